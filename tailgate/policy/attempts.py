"""How a call to a member of an upstream ended, as the policies see it: a closed set, and what each end says of it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final

from tailgate.errors import Status


class Result(Enum):
    """How one call to one member ended. A request that is made again has several."""

    ANSWERED = "answered"
    """It answered with OK."""
    REJECTED = "rejected"
    """It found something wrong with the request: it did its work."""
    SHED = "shed"
    """It had no room, and said so."""
    REFUSED = "refused"
    """It did not take the call at all: it is at its limit of calls at once, or about to go."""
    DEADLINE = "deadline"
    """The deadline passed first."""
    CANCELLED = "cancelled"
    """The client left, or the proxy stopped."""
    OVERTAKEN = "overtaken"
    """Another call for the same request was answered first."""
    UNREACHABLE = "unreachable"
    """No connection could be had."""
    LOST = "lost"
    """The connection broke while it was at work."""
    ERROR = "error"
    """It failed, by its own word."""
    INVALID = "invalid"
    """It answered with what is no answer."""
    LIMIT = "limit"
    """Its answer was larger than the proxy takes, or has room for."""

    __hash__ = object.__hash__  # an enumeration's own is many times as slow, and every call is counted by it


BAD: Final = frozenset((Result.UNREACHABLE, Result.LOST, Result.ERROR, Result.INVALID))
"""What no member does that is well."""
GOOD: Final = frozenset((Result.ANSWERED, Result.REJECTED))
"""What only a member does that is well. What is neither says nothing: one that sheds is busy, not broken; a deadline
may have been too tight, and counts as bad only where the member has answered nobody since the call began."""

_REJECTIONS: Final = frozenset(
    (
        Status.INVALID_ARGUMENT,
        Status.NOT_FOUND,
        Status.ALREADY_EXISTS,
        Status.PERMISSION_DENIED,
        Status.FAILED_PRECONDITION,
        Status.OUT_OF_RANGE,
        Status.UNAUTHENTICATED,
    )
)


def result_of(status: Status, shed: AbstractSet[Status]) -> Result:
    """What the status of an upstream amounts to.

    Args:
        status: As it came; not OK.
        shed: The codes with which this kind of server says that it has no room.
    """
    if status in shed:
        return Result.SHED
    if status is Status.DEADLINE_EXCEEDED:
        return Result.DEADLINE
    return Result.REJECTED if status in _REJECTIONS else Result.ERROR
