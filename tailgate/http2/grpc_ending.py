"""How a gRPC call ends on the wire: trailers, or a response that consists of them; read and written.

What is neither HTTP's nor gRPC's own stays as the fields it is: whoever passes a call on need not understand them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tailgate.errors import Status
from tailgate.http2.events import Field, Headers
from tailgate.http2.grpc_headers import RESPONSE, escape_message, unescape_message
from tailgate.http2.grpc_status import status_of_http

_STATUS: Final = b"grpc-status"
_MESSAGE: Final = b"grpc-message"
_NOT_METADATA: Final = frozenset(
    (b":status", b"content-type", b"content-length", _STATUS, _MESSAGE, b"grpc-encoding", b"grpc-accept-encoding")
)
_OF_TEXT: Final = {b"%d" % status: status for status in Status}
_STATUS_FIELD: Final[dict[Status, Field]] = {status: (_STATUS, text) for text, status in _OF_TEXT.items()}


class Ending(NamedTuple):
    """What trailers, or a response that consists of them, say.

    Attributes:
        status: Of the call.
        message: The status's text.
        fields: The rest: metadata.
    """

    status: Status
    message: str
    fields: Headers


_PLAIN: Final[Headers] = ((_STATUS, b"0"),)
_PLAIN_OK: Final = Ending(Status.OK, "", ())


def read_ending(headers: Headers) -> Ending:
    """What trailers say. Without a ``grpc-status`` the HTTP status decides; an unknown one is UNKNOWN.

    >>> read_ending(((b"grpc-status", b"5"), (b"grpc-message", b"no such%20model"), (b"a", b"b")))
    Ending(status=<Status.NOT_FOUND: 5>, message='no such model', fields=((b'a', b'b'),))
    """
    if headers == _PLAIN:  # as nearly all calls end
        return _PLAIN_OK
    text = message = http = None
    fields: list[Field] = []
    for field in headers:
        name, value = field
        if name not in _NOT_METADATA:
            fields.append(field)
        elif name == _STATUS:
            text = value
        elif name == _MESSAGE:
            message = value
        elif name == b":status":
            http = value
    if text is None:
        code = (http or b"200").decode("latin-1")
        return Ending(status_of_http(int(code)), f"HTTP status {code} without grpc-status", tuple(fields))
    return Ending(
        _OF_TEXT.get(text, Status.UNKNOWN), "" if message is None else unescape_message(message), tuple(fields)
    )


def has_status(headers: Headers) -> bool:
    """Whether trailers are gRPC's own: they have a ``grpc-status``."""
    return any(name == _STATUS for name, _ in headers)


def write_ending(status: Status, message: str = "", fields: Headers = ()) -> Headers:
    """Trailers, after a response's messages."""
    if message:
        return (_STATUS_FIELD[status], (_MESSAGE, escape_message(message)), *fields)
    return (_STATUS_FIELD[status], *fields)


def trailers_only(status: Status, message: str, fields: Headers = ()) -> Headers:
    """A response without any message, as one header list that ends the stream."""
    return RESPONSE + write_ending(status, message, fields)
