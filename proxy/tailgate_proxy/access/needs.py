"""What each call needs: the table of the gRPC methods, and that of the admin port's paths.

What no row names needs the scope that gives most away, so that a method that a server adds is closed until somebody has
thought about it.
"""

from __future__ import annotations

from typing import Final

from tailgate.access.tokens import Scope
from tailgate.protocol.names import SERVICE
from tailgate_proxy.feedback.wire import SERVICE as FEEDBACK
from tailgate_proxy.feedback.wire import SUBMIT, SUBMIT_STREAM

Needed = tuple[Scope, ...]
"""Scopes any of which is enough; none: everybody is let in."""

OPEN: Final[Needed] = ()
INFER: Final[Needed] = (Scope.INFER,)
LABEL: Final[Needed] = (Scope.LABEL,)
ADMIN: Final[Needed] = (Scope.ADMIN,)

_SERVICES: Final = (f"/{SERVICE}/".encode(), f"/{FEEDBACK}/".encode())

_METHODS: Final[dict[str, Needed]] = {
    # One bit each, for whoever deals requests out and has no token.
    "ServerLive": OPEN,
    "ServerReady": OPEN,
    "ModelInfer": INFER,
    "ModelStreamInfer": INFER,
    # What a client asks before it infers. They name models, and so are not for everybody.
    "ModelReady": INFER,
    "ServerMetadata": INFER,
    "ModelMetadata": INFER,
    "ModelConfig": INFER,
    "ModelStatistics": INFER,
    "RepositoryIndex": INFER,
    # All others of Triton's change the server: models, shared memory, its tracing and its log.
}

_CALLS: Final[dict[bytes, Needed]] = {
    **{f"/{SERVICE}/{method}".encode(): needed for method, needed in _METHODS.items()},
    SUBMIT.encode(): LABEL,
    SUBMIT_STREAM.encode(): LABEL,
}

_PAGES: Final[dict[str, Needed]] = {
    "/healthz": OPEN,  # whoever restarts processes has no token
    "/readyz": OPEN,
    "/metrics": (Scope.METRICS, Scope.ADMIN),  # Prometheus should not have to hold a token that is good for more
    "/v1/feedback": LABEL,
}


def of_call(path: bytes) -> Needed:
    """What a gRPC call needs. What is not here at all needs nothing: it is refused without a look at anything else."""
    needed = _CALLS.get(path)
    if needed is not None:
        return needed
    return ADMIN if path.startswith(_SERVICES) else OPEN


def of_page(pattern: str, *, admin_open: bool) -> Needed:
    """What a request to the admin port needs.

    Args:
        pattern: The path of the route that it goes to; empty where it goes to none.
        admin_open: Whether everybody may read there. Labels are not for everybody even then.
    """
    needed = _PAGES.get(pattern, ADMIN)
    return OPEN if admin_open and needed != LABEL else needed
