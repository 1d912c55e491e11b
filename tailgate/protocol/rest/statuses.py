"""Which HTTP status says what a gRPC status says."""

from __future__ import annotations

from typing import Final

from tailgate.errors import Status

CLIENT_LEFT: Final = 499
"""What proxies write down for a client that did not wait; nobody is ever sent it."""

_HTTP: Final = {
    Status.OK: 200,
    Status.CANCELLED: CLIENT_LEFT,
    Status.UNKNOWN: 500,
    Status.INVALID_ARGUMENT: 400,
    Status.DEADLINE_EXCEEDED: 504,
    Status.NOT_FOUND: 404,
    Status.ALREADY_EXISTS: 409,
    Status.PERMISSION_DENIED: 403,
    Status.RESOURCE_EXHAUSTED: 429,
    Status.FAILED_PRECONDITION: 400,
    Status.ABORTED: 409,
    Status.OUT_OF_RANGE: 400,
    Status.UNIMPLEMENTED: 501,
    Status.INTERNAL: 500,
    Status.UNAVAILABLE: 503,
    Status.DATA_LOSS: 500,
    Status.UNAUTHENTICATED: 401,
}


def http_status(status: Status) -> int:
    """The HTTP status, as `google.rpc.Code` maps them.

    >>> http_status(Status.DEADLINE_EXCEEDED)
    504
    """
    return _HTTP[status]
