"""Any other message as a JSON document: its fields by their names, numbers as numbers.

Protobuf's own JSON writes 64-bit numbers as strings, which V2's clients do not expect of a shape.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message


def document_of(message: Message) -> dict[str, Any]:
    """All of a message: what it does not say is there with its default, but for messages within that are not there.

    >>> from tailgate.pb import inference_pb2 as pb
    >>> document_of(pb.ModelMetadataResponse.TensorMetadata(name="image", datatype="UINT8", shape=[-1, 3]))
    {'name': 'image', 'datatype': 'UINT8', 'shape': [-1, 3]}
    """
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            of = kind.fields_by_name["value"]
            found[field.name] = {str(key): _plain(value[key], of) for key in sorted(value)}
        elif field.is_repeated:
            found[field.name] = [_plain(one, field) for one in value]
        elif kind is None or message.HasField(field.name):
            found[field.name] = _plain(value, field)
    return found


def _plain(value: Any, field: Any) -> Any:
    """A value of a field, by the field's descriptor, of which protobuf has several kinds."""
    if field.message_type is not None:
        return document_of(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    return value
