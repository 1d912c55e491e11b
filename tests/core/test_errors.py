"""The error tree: whose fault it is, and what the client of a request is told."""

from __future__ import annotations

import grpc
import pytest

from tailgate import errors
from tailgate.errors import RequestError, Status, TailgateError, UsageError


def subclasses(cls: type[TailgateError]) -> set[type[TailgateError]]:
    return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))


def test_status_numbers_are_grpcs_own() -> None:
    assert {status.name: int(status) for status in Status} == {code.name: code.value[0] for code in grpc.StatusCode}


@pytest.mark.parametrize(
    ("name", "status", "http_status"),
    [
        ("InvalidRequest", Status.INVALID_ARGUMENT, 400),
        ("NotFound", Status.NOT_FOUND, 404),
        ("UnsupportedMediaType", Status.INVALID_ARGUMENT, 415),
        ("TooLarge", Status.RESOURCE_EXHAUSTED, 413),
        ("Overloaded", Status.RESOURCE_EXHAUSTED, 429),
        ("DeadlineExceeded", Status.DEADLINE_EXCEEDED, 504),
        ("Unavailable", Status.UNAVAILABLE, 503),
        ("Unauthenticated", Status.UNAUTHENTICATED, 401),
        ("PermissionDenied", Status.PERMISSION_DENIED, 403),
        ("Unimplemented", Status.UNIMPLEMENTED, 501),
        ("InternalError", Status.INTERNAL, 500),
    ],
)
def test_a_request_error_carries_the_status_its_client_is_given(name: str, status: Status, http_status: int) -> None:
    error = getattr(errors, name)
    assert issubclass(error, RequestError)
    assert (error.status, error.http_status) == (status, http_status)


def test_every_error_is_either_the_users_or_a_requests_and_stands_in_the_drawn_tree() -> None:
    own = {error for error in subclasses(TailgateError) if error.__module__ == errors.__name__}
    assert all(error.__name__ in (errors.__doc__ or "") for error in own - {TailgateError})
    assert {error for error in own if issubclass(error, UsageError) and issubclass(error, RequestError)} == set()
    assert own - subclasses(UsageError) - subclasses(RequestError) == {TailgateError}
