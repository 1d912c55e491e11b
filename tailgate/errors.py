"""Everything that can go wrong in Tailgate's own terms.

    TailgateError
    ├── UsageError          an option, a file or a configuration the user can mend; exit status 2
    │   ├── ConfigError     in a configuration file or option value; ConfigMistakes: all there are in it
    │   ├── DatasetError    in a labelled data set
    │   ├── WeightsError    in a model's weights
    │   └── TraceError      in a trace file
    ├── RequestError        in one request; the client is told, nobody else is touched
    │   ├── InvalidRequest      INVALID_ARGUMENT / 400
    │   ├── NotFound            NOT_FOUND / 404
    │   ├── UnsupportedMediaType  INVALID_ARGUMENT / 415
    │   ├── TooLarge            RESOURCE_EXHAUSTED / 413
    │   ├── Overloaded          RESOURCE_EXHAUSTED / 429
    │   ├── DeadlineExceeded    DEADLINE_EXCEEDED / 504
    │   ├── Unavailable         UNAVAILABLE / 503
    │   ├── Unauthenticated     UNAUTHENTICATED / 401
    │   ├── PermissionDenied    PERMISSION_DENIED / 403
    │   └── Unimplemented       UNIMPLEMENTED / 501
    └── InternalError       a fault of Tailgate itself: INTERNAL / 500

A message names the field, the value and the remedy, in one sentence. What a foreign library raises is translated
where it enters, with its cause kept.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class Status(IntEnum):
    """gRPC's status codes, by their numbers on the wire (so that the core needs no gRPC library)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class TailgateError(Exception):
    """Anything Tailgate raises on purpose; its text is fit for a user."""


class UsageError(TailgateError):
    """Something the user gave that the user can mend. Commands print the sentence and exit with status 2."""


class ConfigError(UsageError):
    """A configuration file or an option value is wrong."""


class ConfigMistakes(ConfigError):
    """Several things, or one, in a configuration are wrong.

    Attributes:
        sentences: One for each.
    """

    def __init__(self, sentences: list[str]) -> None:
        """Carry them all; the text has them one behind the other."""
        super().__init__("; ".join(sentences))
        self.sentences = sentences


class DatasetError(UsageError):
    """A labelled data set is missing, incomplete or unreadable."""


class WeightsError(UsageError):
    """A model's weights are missing, unreadable or belong to another architecture."""


class TraceError(UsageError):
    """A trace file is missing, is not a trace, or has a damaged header."""


class RequestError(TailgateError):
    """One request cannot be answered. Carries the status its client is given."""

    status: ClassVar[Status] = Status.UNKNOWN
    http_status: ClassVar[int] = 500


class InvalidRequest(RequestError):
    """The request is malformed or does not fit the model."""

    status = Status.INVALID_ARGUMENT
    http_status = 400


class NotFound(RequestError):
    """There is no such model or version."""

    status = Status.NOT_FOUND
    http_status = 404


class UnsupportedMediaType(RequestError):
    """The request's body comes in a form that is not taken here."""

    status = Status.INVALID_ARGUMENT
    http_status = 415


class TooLarge(RequestError):
    """The request is larger than this server takes."""

    status = Status.RESOURCE_EXHAUSTED
    http_status = 413


class Overloaded(RequestError):
    """There is no room for the request now."""

    status = Status.RESOURCE_EXHAUSTED
    http_status = 429


class DeadlineExceeded(RequestError):
    """The request's deadline has passed."""

    status = Status.DEADLINE_EXCEEDED
    http_status = 504


class Unavailable(RequestError):
    """Nothing here can answer at present; trying again later may help."""

    status = Status.UNAVAILABLE
    http_status = 503


class Unauthenticated(RequestError):
    """Nobody knows who asks: no token came with the request, or one that is not known."""

    status = Status.UNAUTHENTICATED
    http_status = 401


class PermissionDenied(RequestError):
    """It is known who asks, and that they may not."""

    status = Status.PERMISSION_DENIED
    http_status = 403


class Unimplemented(RequestError):
    """This call is not offered here."""

    status = Status.UNIMPLEMENTED
    http_status = 501


class InternalError(RequestError):
    """A fault of Tailgate itself."""

    status = Status.INTERNAL
    http_status = 500
