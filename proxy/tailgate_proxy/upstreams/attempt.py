"""One call to one member: between whoever makes the request and the connection that carries it.

To the connection it is the caller, to the requester the leg; bytes pass through it as they are. It sees how the call
ends, and settles with the pool exactly once. Where the server must not be told that a call is not wanted any more, the
requester leaves and the attempt stays behind, until the server has done with it, and the requester is told of that.
"""

from __future__ import annotations

from typing import Final, Protocol

from tailgate.errors import Status
from tailgate.http2.events import Headers
from tailgate.policy.attempts import Result, result_of
from tailgate_proxy.call import Answer, CallFailed, Leg, Requester
from tailgate_proxy.profiles import Profile
from tailgate_proxy.upstreams.member import Member

_TIMEOUT: Final = b"grpc-timeout"


class Book(Protocol):
    """Who is told what becomes of an attempt."""

    def began(self, attempt: Attempt) -> None:
        """It waits for no connection any more."""
        ...

    def sent(self, attempt: Attempt) -> None:
        """All of its body was given to its connection; told only of one that may be hedged."""
        ...

    def left(self, attempt: Attempt) -> None:
        """Its requester has gone, and it goes on."""
        ...

    def heard(self, attempt: Attempt) -> None:
        """It was answered, though nobody waits for that any more."""
        ...

    def freed(self, attempt: Attempt) -> None:
        """Its member has done with it, and can have another; told once, and before anybody is dealt its place."""
        ...

    def settled(self, attempt: Attempt, result: Result) -> None:
        """It has ended."""
        ...

    def may_repeat(self, attempt: Attempt, failure: CallFailed, result: Result) -> bool:
        """Whether the request may be tried again."""
        ...


class Attempt:
    """One call.

    Attributes:
        requester: Who wants the answer.
        member: Whom it is made to.
        made_s: When it was made, on the monotonic clock.
        over: Whether it has settled.
        under_way: Whether it has a connection, or had one.
        gone: How it counts for its requester, who has gone; None while there is one.
        gone_s: When that was.
        hedge: Whether it was made while another call of the same request was at work.
    """

    __slots__ = (
        "_book",
        "_freed",
        "_hedged",
        "_leg",
        "_profile",
        "_sent_whole",
        "_stream_id",
        "_unsent",
        "gone",
        "gone_s",
        "hedge",
        "made_s",
        "member",
        "over",
        "requester",
        "under_way",
    )

    def __init__(
        self,
        requester: Requester,
        member: Member,
        made_s: float,
        profile: Profile,
        book: Book,
        *,
        hedge: bool = False,
        hedged: bool = False,
    ) -> None:
        """Not yet handed to a connection; `hedged`: the book wants to know when it is `sent`."""
        self.hedge = hedge
        self._hedged = hedged
        self.requester = requester
        self.member = member
        self.made_s = made_s
        self.over = False
        self._freed = False
        self.under_way = False
        self.gone: Result | None = None
        self.gone_s = 0.0
        self._profile = profile
        self._book = book
        self._leg: Leg | None = None
        self._stream_id = 0
        self._unsent = 0
        self._sent_whole = False  # the end of the body was given to the connection; parts of it may wait there

    # -- a Caller, as the connection sees it ---------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether it is still to be made."""
        return not self.over and self.requester.wanted

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        """What the server is told."""
        headers = self.requester.headers(authority, tls=tls)
        if self._profile.tells_timeout:
            return headers
        return tuple(field for field in headers if field[0] != _TIMEOUT)

    def begun(self, leg: Leg, stream_id: int) -> None:
        """It is on a connection."""
        self._leg, self._stream_id = leg, stream_id
        self.under_way = True
        self._book.began(self)
        self.requester.begun(self, stream_id)

    def left(self, count: int) -> None:
        """So much more of the body has left."""
        self._unsent -= count
        self.requester.left(count)

    def answered(self, answer: Answer) -> None:
        """The server has answered."""
        self._leg = None
        if self.gone is not None:
            self._book.heard(self)
            self._have_done(self.gone, Result.ANSWERED)
        else:
            answer.repeats_id = self._profile.repeats_id
            self._free()  # first: the requester gives its place to others, who choose among the members then
            try:
                self.requester.answered(answer)
            finally:
                self._settle(Result.INVALID if answer.malformed else Result.ANSWERED)

    def failed(self, failure: CallFailed) -> None:
        """It has not."""
        self._leg = None
        if failure.status is Status.CANCELLED and self._profile.tells_timeout and self.requester.overdue:
            failure.status = Status.DEADLINE_EXCEEDED  # the time that it was told is over: some say so by a reset
        result = failure.result or result_of(failure.status, self._profile.shed)
        if self.gone is not None:
            self._have_done(self.gone, result)
            return
        self._settle(result)
        failure.result = result
        failure.by = self.member.name
        failure.retryable = self._book.may_repeat(self, failure, result)
        self.requester.failed(failure)

    # -- a Leg, as the requester sees it -------------------------------------------------------------------------------

    def send(self, stream_id: int, data: bytes | memoryview, *, end: bool) -> int:
        """Send a piece of the body; returns how much of it has left."""
        leg = self._leg
        assert leg is not None
        sent = leg.send(stream_id, data, end=end)
        self._unsent += len(data) - sent
        if end:
            self._sent_whole = True
            if self._hedged:
                self._book.sent(self)
        return sent

    def cancel(self, stream_id: int) -> None:
        """The requester goes."""
        leg = self._leg
        if leg is None:
            return
        result = self._unwanted
        if not self._profile.cancels and self._sent_whole and self._unsent == 0:
            self.gone = result
            self._book.left(self)
            self.requester.goes_on()
        else:
            self._leg = None
            leg.cancel(stream_id)
            self._settle(result)

    # -- for the pool --------------------------------------------------------------------------------------------------

    def give_up(self) -> None:
        """The requester has gone, and the server has had long enough; or it went before there was a connection."""
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.cancel(self._stream_id)
        if self.gone is not None:
            self._have_done(self.gone, Result.DEADLINE)
        else:
            self._settle(self._unwanted)

    @property
    def _unwanted(self) -> Result:
        """How it counts that its requester does not want it any more."""
        if self.requester.overtaken:
            return Result.OVERTAKEN
        return Result.DEADLINE if self.requester.overdue else Result.CANCELLED

    def _have_done(self, counts_as: Result, result: Result) -> None:
        """The server has, with a call whose requester had gone; `counts_as` is how it ended for the requester."""
        if not self.over:
            self._settle(counts_as)
            self.requester.done(result)

    def _settle(self, result: Result) -> None:
        if not self.over:
            self.over = True
            self._free()
            self._book.settled(self, result)

    def _free(self) -> None:
        if not self._freed:
            self._freed = True
            self._book.freed(self)
