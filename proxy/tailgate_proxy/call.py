"""What crosses the seams of the proxy: what a call arrives with, what its client is given, what an upstream says.

Whatever speaks gRPC on either side turns its wire into these; nothing behind it ever sees a socket.

What is made for every call has its `__init__` written out: one that dataclasses make is interpreted wherever it is, and
costs several times as much as the rest of the object in the compiled wheel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from tailgate.errors import Status
from tailgate.http2.events import Headers
from tailgate.outcome import Ending
from tailgate.policy.attempts import Result
from tailgate.policy.hedging import Prospect
from tailgate.protocol.answers import NO_CONFIDENCE, UNKNOWN_CLASS

_OK: Final = Status.OK


@dataclass(slots=True, init=False)
class Arrival:
    """One ModelInfer call, known by its headers; its message may still be on its way.

    Attributes:
        fields: Its header fields, as the client sent them.
        by_name: The same by their names; of several with one name the last.
        at_s: When they came, on the monotonic clock: the earliest instant at which that may have been, where the proxy
            had not looked for a while.
        unix_s: The same on the wall clock.
    """

    fields: Headers
    by_name: Mapping[bytes, bytes]
    at_s: float
    unix_s: float

    def __init__(self, fields: Headers, by_name: Mapping[bytes, bytes], at_s: float, unix_s: float) -> None:
        """As it came."""
        self.fields = fields
        self.by_name = by_name
        self.at_s = at_s
        self.unix_s = unix_s


@dataclass(slots=True, init=False)
class Reply:
    """How a call ended.

    Attributes:
        ending: What ended it.
        status: What the client is given.
        message: The status's text; empty with OK.
        body: The answer as it goes into a body: one gRPC message with its prefix. Empty unless the status is OK.
        trailers: Fields that go after it.
        version: The model version that answered.
        predicted: The class the answer names.
        confidence: How sure the answer is of it, if that was looked at.
        stands_for: How many answers this one was chosen from to be looked at; 0: it was not.
    """

    ending: Ending
    status: Status
    message: str
    body: bytes
    trailers: Headers
    version: str
    predicted: int
    confidence: float
    stands_for: int

    def __init__(
        self,
        ending: Ending,
        status: Status = _OK,
        message: str = "",
        *,
        body: bytes = b"",
        trailers: Headers = (),
        version: str = "",
        predicted: int = UNKNOWN_CLASS,
        confidence: float = NO_CONFIDENCE,
        stands_for: int = 0,
    ) -> None:
        """What is not said is what most have not."""
        self.ending = ending
        self.status = status
        self.message = message
        self.body = body
        self.trailers = trailers
        self.version = version
        self.predicted = predicted
        self.confidence = confidence
        self.stands_for = stands_for


@dataclass(slots=True, init=False)
class Answer:
    """A call to an upstream ended with OK.

    Attributes:
        body: The answer as it stands in a body: one gRPC message with its prefix.
        trailers: The upstream's trailing metadata.
        malformed: Whether whoever read it found that it is no answer.
        repeats_id: Whether an id in it is the request's, by what is known of who gave it.
    """

    body: bytes
    trailers: Headers
    malformed: bool
    repeats_id: bool

    def __init__(self, body: bytes, trailers: Headers = ()) -> None:
        """As it came."""
        self.body = body
        self.trailers = trailers
        self.malformed = False
        self.repeats_id = True


class CallFailed(Exception):
    """A call to an upstream did not end with OK.

    Attributes:
        status: What the upstream said, or what the loss of the connection amounts to.
        message: In words.
        trailers: The upstream's trailing metadata.
        retryable: The call may be made again: the upstream cannot have seen it, or it is known to be safe.
        shed: There was no room for its answer, here.
        said: The status is the upstream's own word, in gRPC. It is not where a stream was reset, nor where something on
            the way answered in HTTP, nor where the answer was there and could not be taken.
        result: What it says of the upstream, where that does not follow from the status.
        by: The member of an upstream that failed.
    """

    def __init__(
        self,
        status: Status,
        message: str,
        trailers: Headers = (),
        *,
        retryable: bool = False,
        shed: bool = False,
        said: bool = False,
        result: Result | None = None,
    ) -> None:
        """Carry what is known."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.trailers = trailers
        self.retryable = retryable
        self.shed = shed
        self.said = said
        self.result = result
        self.by = ""


MOST_TRIES: Final = 5
"""How often a call is made where the upstream cannot have seen it, within its deadline. A server that is just at its
limit of streams may refuse several times, for it counts those that have ended a moment longer; each time the call waits
for another to end."""


class Client(Protocol):
    """Where a call came from. Nothing of it waits."""

    def taken(self, stream_id: int, count: int) -> None:
        """So many bytes of the call's body are no longer held: the client may send as many more."""
        ...

    def answer(self, stream_id: int, reply: Reply) -> None:
        """Give the client its reply: the last that is done to a call. What was not taken of its body is dropped."""
        ...


class Leg(Protocol):
    """A call's way to an upstream, once it has one. Nothing of it waits."""

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool) -> int:
        """Send a piece of the body, which may change as soon as this returns; returns how much of it has left.

        The rest is kept, and `Caller.left` says when it goes.
        """
        ...

    def cancel(self, stream_id: int) -> None:
        """Nobody wants the answer any more."""
        ...


class Caller(Protocol):
    """Whoever makes a call to an upstream: is told what becomes of it. The last two end it."""

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        """What the upstream is to be told, as of now."""
        ...

    def begun(self, leg: Leg, stream_id: int) -> None:
        """The call is on a connection: its body may be sent."""
        ...

    def left(self, count: int) -> None:
        """So many bytes of the body that were kept have left."""
        ...

    def answered(self, answer: Answer) -> None:
        """The upstream answered with OK."""
        ...

    def failed(self, failure: CallFailed) -> None:
        """It did not."""
        ...

    @property
    def wanted(self) -> bool:
        """Whether the call is still to be made; False once nobody waits for it."""
        ...


class Requester(Caller, Protocol):
    """Whoever makes a request: a call to some member of an upstream, and another where that fails and it may."""

    @property
    def pool(self) -> str:
        """The upstream it is for, by name."""
        ...

    @property
    def tried(self) -> tuple[str, ...]:
        """The members that have failed it."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether its call could be made once more."""
        ...

    @property
    def overdue(self) -> bool:
        """Whether its time has passed, or what the upstream was told of it: a call that is cancelled then was too slow,
        not unwanted. Of a request that has ended it tells how that was then, for a call that waits for a connection is
        given up only later.
        """
        ...

    @property
    def overtaken(self) -> bool:
        """Whether another call of the same request was answered: one that is cancelled then was not too slow."""
        ...

    def second(self) -> Second | None:
        """All of its call's body is sent: what a second call of it would be; None: there must be none."""
        ...

    def goes_on(self) -> None:
        """Its call is being cancelled, and the server is not told, for that would harm others: it goes on with it."""
        ...

    def done(self, result: Result) -> None:
        """The server has done with a call that it had gone on with, and this is how; DEADLINE also where it never had,
        and was given up.
        """
        ...


class Second(Requester, Protocol):
    """Whoever may make a second call of a request, to another member, while the first is at work. It takes no place
    before it is begun.
    """

    def usual_s(self, share: float) -> float:
        """The time in which this share of its kind are answered; infinity where that is not known."""
        ...

    def prospect(self) -> Prospect:
        """How it would be, were it made now."""
        ...

    def take_place(self) -> None:
        """It is made now; there has to be room to spare."""
        ...

    def drop(self) -> None:
        """It is not made after all, or no more."""
        ...


class Ongoing(Protocol):
    """A call that a client's connection carries, whatever is done for it."""

    def arrive(self) -> None:
        """It is on its stream now; may be answered before this returns."""
        ...

    def body(self, piece: memoryview, *, end: bool) -> None:
        """A piece of the request's body came; it is valid only until this returns."""
        ...

    def client_left(self) -> None:
        """The client has reset the stream, or its connection is gone: no reply is wanted."""
        ...

    def stop(self) -> None:
        """The proxy is about to stop: answer now."""
        ...
