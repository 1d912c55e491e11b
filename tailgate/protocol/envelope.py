"""The envelope of a ModelInfer request: model, version and id, read from the wire without touching a tensor.

A request is a protobuf message of a few top-level fields, of which the tensors are by far the largest. Walking the
field headers and stepping over every payload costs the same for 1 KB and for 100 MB. A request is also *written* here
the same way: everything but the payload once, the payload appended as it lies in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb

_MODEL_NAME, _MODEL_VERSION, _ID, _RAW_INPUT_CONTENTS = 1, 2, 3, 7
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_TAG, _MAX_TAG_BYTES, _UINT64 = (1 << 32) - 1, 5, (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a request says of itself outside its tensors; empty where it says nothing."""

    model: str
    version: str
    id: str


def read_envelope(body: bytes | memoryview) -> Envelope:
    """The envelope of a serialized ModelInferRequest.

    Raises:
        InvalidRequest: The bytes are no protobuf message, or a name is no UTF-8.

    >>> read_envelope(pb.ModelInferRequest(model_name="digits", id="7").SerializeToString())
    Envelope(model='digits', version='', id='7')
    """
    view, position, end = memoryview(body), 0, len(body)
    found: dict[int, str] = {}
    try:
        while position < end:
            tag, tag_end = _varint(view, position)
            field, wire_type = tag >> 3, tag & 7
            if field == 0 or tag > _MAX_TAG or tag_end - position > _MAX_TAG_BYTES:
                raise _not_protobuf(position)
            position = tag_end
            if wire_type == _LENGTH:
                length, position = _varint(view, position)
                if position + length > end:
                    raise _not_protobuf(position)
                if field <= _ID:
                    found[field] = str(view[position : position + length], "utf-8")
                position += length
            elif wire_type == _VARINT:
                _, position = _varint(view, position)
            elif wire_type == _FIXED64:
                position += 8
            elif wire_type == _FIXED32:
                position += 4
            else:
                raise _not_protobuf(position)
        if position > end:
            raise _not_protobuf(position)
    except IndexError:
        raise _not_protobuf(position) from None
    except UnicodeDecodeError as error:
        raise InvalidRequest("model_name, model_version and id must be UTF-8") from error
    return Envelope(found.get(_MODEL_NAME, ""), found.get(_MODEL_VERSION, ""), found.get(_ID, ""))


class RequestFrame:
    """A ModelInfer request with one raw input, of which only id and payload change from one to the next.

    >>> frame = RequestFrame("digits", "image", "UINT8", (1, 2))
    >>> pb.ModelInferRequest.FromString(frame.build("7", b"ab")).raw_input_contents[0]
    b'ab'
    """

    def __init__(self, model: str, input_name: str, datatype: str, shape: Sequence[int], version: str = "") -> None:
        """Serialize what stays the same: names, datatype and shape of the input."""
        request = pb.ModelInferRequest(model_name=model, model_version=version)
        request.inputs.add(name=input_name, datatype=datatype, shape=shape)
        self._head = request.SerializeToString()

    def build(self, request_id: str, payload: bytes | memoryview) -> bytes:
        """The serialized request; the payload is copied once, into it."""
        name = request_id.encode()
        return b"".join(
            (
                self._head,
                bytes((_ID << 3 | _LENGTH,)),
                _encode_varint(len(name)),
                name,
                bytes((_RAW_INPUT_CONTENTS << 3 | _LENGTH,)),
                _encode_varint(len(payload)),
                payload,
            )
        )


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = view[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _UINT64, position
    raise _not_protobuf(position)


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _not_protobuf(position: int) -> InvalidRequest:
    return InvalidRequest(f"the request body is not a ModelInferRequest: malformed protobuf near byte {position}")
