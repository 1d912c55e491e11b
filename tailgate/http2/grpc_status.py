"""What becomes of a call whose other end spoke HTTP but not gRPC: its HTTP status or HTTP/2 error, as a gRPC status.

Tables from the gRPC documents "HTTP to gRPC Status Code Mapping" and "gRPC over HTTP2".
"""

from __future__ import annotations

from typing import Final

from tailgate.errors import Status
from tailgate.http2.codes import ErrorCode

_OF_HTTP: Final = {
    400: Status.INTERNAL,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.UNIMPLEMENTED,
    429: Status.UNAVAILABLE,
    502: Status.UNAVAILABLE,
    503: Status.UNAVAILABLE,
    504: Status.UNAVAILABLE,
}
_OF_RESET: Final = {
    ErrorCode.REFUSED_STREAM: Status.UNAVAILABLE,
    ErrorCode.CANCEL: Status.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Status.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Status.PERMISSION_DENIED,
}


def status_of_http(status: int) -> Status:
    """For a response without ``grpc-status``.

    >>> status_of_http(503).name, status_of_http(200).name
    ('UNAVAILABLE', 'UNKNOWN')
    """
    return _OF_HTTP.get(status, Status.UNKNOWN)


def status_of_reset(code: int) -> Status:
    """For a stream that was reset before its trailers.

    >>> status_of_reset(ErrorCode.CANCEL).name, status_of_reset(99).name
    ('CANCELLED', 'INTERNAL')
    """
    return _OF_RESET.get(code, Status.INTERNAL)  # type: ignore[call-overload,no-any-return]  # an int finds its IntEnum
