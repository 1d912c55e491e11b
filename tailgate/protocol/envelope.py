"""The envelope of a ModelInfer request: model, version and id, read from the wire without touching a tensor.

A request is a protobuf message of a few top-level fields, of which the tensors are by far the largest. Walking the
field headers and stepping over every payload costs the same for 1 KB and for 100 MB. A request is also *written* here
the same way: everything but the payload once, the payload appended as it lies in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb

_MODEL_NAME: Final = 1
_MODEL_VERSION: Final = 2
_ID: Final = 3
RAW_INPUT_CONTENTS: Final = 7
_VARINT: Final = 0
_FIXED64: Final = 1
_LENGTH: Final = 2
_FIXED32: Final = 5
_LAST_NAMED_TAG: Final = _ID << 3 | _LENGTH
_MAX_TAG: Final = (1 << 32) - 1
_MAX_TAG_BYTES: Final = 5
_UINT64: Final = (1 << 64) - 1

MAX_NAME_BYTES: Final = 64 * 1024
"""Longest name, version or id of a request: they are kept, where a tensor is not."""
MAX_FIELDS: Final = 1 << 15
"""Top-level fields of a request, as of thousands of tensors. They are stepped over one by one: sixty megabytes of the
smallest, which are sixty kilobytes of gzip, would take half a minute.
"""


class Envelope(NamedTuple):
    """What a request says of itself outside its tensors; empty where it says nothing."""

    model: str
    version: str
    id: str


NO_ENVELOPE: Final = Envelope("", "", "")
"""Of a request that has said nothing yet."""


def read_envelope(body: bytes | memoryview) -> Envelope:
    """The envelope of a serialized ModelInferRequest.

    Raises:
        InvalidRequest: The bytes are no protobuf message, a name is no UTF-8 or too long, or the fields are too many.

    >>> read_envelope(pb.ModelInferRequest(model_name="digits", id="7").SerializeToString())
    Envelope(model='digits', version='', id='7')
    """
    view, position, end, fields = memoryview(body), 0, len(body), 0
    found: dict[int, str] = {}
    try:
        while position < end:
            field, named, begin, position = field_at(view, position)
            if position > end:
                raise not_protobuf(begin)
            fields += 1
            if fields > MAX_FIELDS:
                raise too_many_fields()
            if named:
                check_name(position - begin)
                found[field] = read_name(view[begin:position])
    except IndexError:
        raise not_protobuf(position) from None
    return envelope_of(found)


def envelope_of(names: Mapping[int, str]) -> Envelope:
    """The envelope, from names by their field's number."""
    return Envelope(names.get(_MODEL_NAME, ""), names.get(_MODEL_VERSION, ""), names.get(_ID, ""))


def field_at(view: memoryview, position: int) -> tuple[int, bool, int, int]:
    """The top-level field that begins there: its number, whether it is one of the envelope's, where its content begins
    and where it ends, which may be beyond what is in the view.

    Raises:
        IndexError: The view ends before the content begins.
        InvalidRequest: No field can begin so.
    """
    tag = view[position]
    if 0x08 <= tag < 0x80:  # one byte, as of every field that a request has
        begin = position + 1
    else:
        tag, begin = _varint(view, position)
        if tag < 0x08 or tag > _MAX_TAG or begin - position > _MAX_TAG_BYTES:
            raise not_protobuf(position)
    wire_type = tag & 7
    if wire_type == _LENGTH:
        length = view[begin]
        if length < 0x80:
            begin += 1
        else:
            length, begin = _varint(view, begin)
        return tag >> 3, tag <= _LAST_NAMED_TAG, begin, begin + length
    if wire_type == _VARINT:
        return tag >> 3, False, begin, _varint(view, begin)[1]
    if wire_type == _FIXED64:
        return tag >> 3, False, begin, begin + 8
    if wire_type == _FIXED32:
        return tag >> 3, False, begin, begin + 4
    raise not_protobuf(begin)


def check_name(size: int) -> None:
    """Whether a field of the envelope may be so long.

    Raises:
        InvalidRequest: It may not.
    """
    if size > MAX_NAME_BYTES:
        raise InvalidRequest(f"model_name, model_version or id has {size} bytes; {MAX_NAME_BYTES} are allowed")


def read_name(content: memoryview) -> str:
    """A field of the envelope.

    Raises:
        InvalidRequest: It is no UTF-8.
    """
    try:
        return content.tobytes().decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("model_name, model_version and id must be UTF-8") from error


def not_protobuf(position: int) -> InvalidRequest:
    """The error for bytes that are no message."""
    return InvalidRequest(f"the request body is not a ModelInferRequest: malformed protobuf near byte {position}")


def too_many_fields() -> InvalidRequest:
    """The error for a message of more fields than any request has."""
    return InvalidRequest(f"the request has more than {MAX_FIELDS} fields; no model has so many tensors")


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
        return b"".join((self.before(request_id, len(payload)), payload))

    def before(self, request_id: str, payload_bytes: int) -> bytes:
        """What stands before a payload of so many bytes; with the payload behind it, it is the serialized request."""
        name = request_id.encode()
        return b"".join(
            (
                self._head,
                bytes((_ID << 3 | _LENGTH,)),
                _encode_varint(len(name)),
                name,
                raw_input_prefix(payload_bytes),
            )
        )


def raw_input_prefix(count: int) -> bytes:
    """What stands in a message before the raw contents of an input, which are so many bytes long."""
    return bytes((RAW_INPUT_CONTENTS << 3 | _LENGTH,)) + _encode_varint(count)


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
    raise not_protobuf(position)


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
