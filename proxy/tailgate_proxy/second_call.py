"""The second call of a request, made to another member of its upstream while the first one is at work.

    considered ──made──► under way ──answered──► the request is, and the first call is cancelled
        │                    ├──failed──► over: the request waits for the first call, if that is still under way
        └──── dropped ◄──────┘  the request has ended: the first was answered, the time was up, the client left

It sends the copy of the body that is kept to be sent again, so the client hears nothing of it. When it is made is
decided in `tailgate.policy.hedging`, and what becomes of the request in `passage`.
"""

from __future__ import annotations

from typing import Protocol

from tailgate.http2.events import Headers
from tailgate.policy.attempts import Result
from tailgate.policy.hedging import Prospect
from tailgate.policy.ticket import Ended
from tailgate_proxy.call import Answer, CallFailed, Leg, Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.request_body import RequestBody
from tailgate_proxy.turn import Turn


class Original(Protocol):
    """The request."""

    exchange: Exchange

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for it."""
        ...

    @property
    def pool(self) -> str:
        """The upstream it is for."""
        ...

    @property
    def overdue(self) -> bool:
        """Whether its time has passed."""
        ...

    @property
    def overtaken(self) -> bool:
        """Whether it has an answer."""
        ...

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        """What the upstream is told."""
        ...

    def second_answered(self, answer: Answer) -> None:
        """Its second call was."""
        ...

    def second_failed(self, otherwise: Reply | None) -> None:
        """Its second call was not; without it the request would have ended so, or is still under way."""
        ...


class SecondCall:
    """One request's.

    Attributes:
        request: Whose it is.
        made: Whether it was.
        under_way: Whether it was, and has not ended.
        answered_first: Whether it has the request's answer.
    """

    __slots__ = (
        "_begun",
        "_body",
        "_leg",
        "_otherwise",
        "_pipeline",
        "_stream_id",
        "_turn",
        "answered_first",
        "made",
        "request",
        "under_way",
    )

    def __init__(self, request: Original, pipeline: Pipeline, body: RequestBody, turn: Turn) -> None:
        """Not made.

        Args:
            request: Whose it would be.
            pipeline: What every call has at hand.
            body: Of the request, whole and kept.
            turn: Of the first call; once this one is made, its own.
        """
        self.request = request
        self._pipeline = pipeline
        self._body = body
        self._turn = turn
        self._leg: Leg | None = None
        self._stream_id = 0
        self._begun = False
        self._otherwise: Reply | None = None  # how the request would have ended by its first call
        self.made = self.under_way = self.answered_first = False

    # -- before it is made ---------------------------------------------------------------------------------------------

    def usual_s(self, share: float) -> float:
        """The time in which this share of its kind are answered; infinity where that is not known."""
        return self._turn.usual_s(share)

    def prospect(self) -> Prospect:
        """How it would be, were it made now."""
        if self.request.wanted and not self._pipeline.admit.draining:
            return self._turn.prospect()
        return Prospect(0.0, spare=False)

    def take_place(self) -> None:
        """It is made now; there has to be room to spare."""
        self._turn = self._turn.second()
        self.made = self.under_way = True

    # -- a Requester ---------------------------------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether it is still to be made."""
        return self.under_way

    @property
    def pool(self) -> str:
        """The upstream it is for."""
        return self.request.pool

    @property
    def tried(self) -> tuple[str, ...]:
        """It goes where it is sent."""
        return ()

    @property
    def repeatable(self) -> bool:
        """It is never made again."""
        return False

    @property
    def overdue(self) -> bool:
        """Whether the request's time has passed."""
        return self.request.overdue

    @property
    def overtaken(self) -> bool:
        """Whether the request has an answer."""
        return self.request.overtaken

    def second(self) -> None:
        """There is no third."""

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        """What its member is told. The request's time is up at the earlier end of what either was told."""
        exchange = self.request.exchange
        told_until_s = exchange.told_until_s
        headers = self.request.headers(authority, tls=tls)
        exchange.told_until_s = min(exchange.told_until_s, told_until_s)
        return headers

    def begun(self, leg: Leg, stream_id: int) -> None:
        """Its member has a place."""
        self._leg, self._stream_id, self._begun = leg, stream_id, True
        self._turn.begun(self._pipeline.clock())
        pieces = self._body.kept
        for index, piece in enumerate(pieces, 1):
            leg.send(stream_id, piece, end=index == len(pieces))

    def left(self, count: int) -> None:
        """What it sends is kept for the whole request, and counts once."""

    def answered(self, answer: Answer) -> None:
        """Its member's answer is complete."""
        self._leg = None
        if self.under_way:
            self.request.second_answered(answer)

    def failed(self, failure: CallFailed) -> None:
        """There will be none."""
        self._leg = None
        if self.under_way:
            self._fail(Ended.OVERLOADED if failure.result is Result.SHED else Ended.UNTOLD)

    def goes_on(self) -> None:
        """Never: where a call may not be cancelled, none is made."""

    def done(self, result: Result) -> None:
        """Never, as above."""

    # -- its end -------------------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """It could not be made, or is given up; the request waits for the first call."""
        if self.under_way:
            self.cancel()
            self._fail(Ended.UNTOLD)

    @property
    def alone(self) -> bool:
        """Whether the request waits for it alone."""
        return self.under_way and self._otherwise is not None

    def stands_in(self, reply: Reply) -> bool:
        """The first call has ended so: whether the request waits for this one."""
        if self.under_way:
            self._otherwise = reply
        return self.under_way

    def cancel(self) -> None:
        """The request has ended: nobody wants an answer any more."""
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.cancel(self._stream_id)

    def end(self, reply: Reply, now_s: float) -> bool:
        """The request has ended so, and is booked: its place is free. Returns whether it ended by this one's answer."""
        if self.under_way:
            self.under_way = False
            if self.answered_first:
                self._turn.give_back(self.request.exchange, reply, now_s, whole=True)
            else:
                self._turn.leave(Ended.OVERTAKEN if self._begun else Ended.UNTOLD)
        return self.answered_first

    def malformed(self) -> None:
        """Its answer was none."""
        self._fail(Ended.UNTOLD)

    def _fail(self, learned: Ended) -> None:
        self.under_way = False
        self._turn.leave(learned)
        self.request.second_failed(self._otherwise)
