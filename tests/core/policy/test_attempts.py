"""What the end of a call says of who was called."""

from __future__ import annotations

import pytest

from tailgate.errors import Status
from tailgate.policy.attempts import BAD, GOOD, Result, result_of

BUSY = frozenset((Status.RESOURCE_EXHAUSTED,))


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_every_status_means_something_and_only_a_failure_of_the_server_is_held_against_it(status: Status) -> None:
    clients_own = {
        Status.INVALID_ARGUMENT,
        Status.NOT_FOUND,
        Status.ALREADY_EXISTS,
        Status.PERMISSION_DENIED,
        Status.FAILED_PRECONDITION,
        Status.OUT_OF_RANGE,
        Status.UNAUTHENTICATED,
    }
    result = result_of(status, BUSY)
    assert (result in GOOD) == (status in clients_own)
    neither = {Status.RESOURCE_EXHAUSTED, Status.DEADLINE_EXCEEDED}
    assert (result in BAD) == (status not in clients_own | neither)


def test_what_a_kind_of_server_says_when_it_is_full_is_no_failure() -> None:
    assert result_of(Status.UNAVAILABLE, BUSY) is Result.ERROR
    assert result_of(Status.UNAVAILABLE, BUSY | {Status.UNAVAILABLE}) is Result.SHED


def test_no_result_is_good_and_bad() -> None:
    assert not GOOD & BAD
    says_nothing = {
        Result.SHED,
        Result.REFUSED,
        Result.DEADLINE,
        Result.CANCELLED,
        Result.OVERTAKEN,
        Result.LIMIT,
    }
    assert says_nothing == set(Result) - GOOD - BAD
