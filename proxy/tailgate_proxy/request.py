"""One ModelInfer request as its upstream sees it: what it is for, how long there is, what of its body has come.

What the upstream asks is answered here, and what it says of the body is written down. What becomes of the request is
decided in `passage`, which builds on this.
"""

from __future__ import annotations

from tailgate.deadline import Deadline
from tailgate.http2.events import Headers
from tailgate.outcome import Ending, Mode
from tailgate.policy.attempts import Result
from tailgate_proxy.call import MOST_TRIES, Client, Leg, Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.request_body import RequestBody
from tailgate_proxy.second_call import SecondCall
from tailgate_proxy.steps.forward import forwarded_headers
from tailgate_proxy.steps.limit import extended, patience, runs_on, upstream_over
from tailgate_proxy.steps.observe import ends_late
from tailgate_proxy.turn import Turn


class Request:
    """All of a `Requester` but how its call ends.

    Attributes:
        exchange: What is known of it.
        ended: Whether its outcome is booked.
        tried: The members of the upstream that have failed it.
    """

    __slots__ = (
        "_body",
        "_client",
        "_ended_s",
        "_pipeline",
        "_second",
        "_stream_id",
        "_turn",
        "ended",
        "exchange",
        "tried",
    )

    def __init__(
        self, exchange: Exchange, pipeline: Pipeline, client: Client, stream_id: int, *, replayable_bytes: int
    ) -> None:
        """One whose headers are here; a body up to `replayable_bytes` is kept, to be sent again."""
        self.exchange = exchange
        self.ended = False
        self._ended_s = 0.0  # when it did
        self.tried: tuple[str, ...] = ()
        self._pipeline = pipeline
        self._client: Client | None = client  # None once it has left, or was answered before the end
        self._stream_id = stream_id
        self._body = RequestBody(pipeline.held, pipeline.max_message_bytes, replayable_bytes)
        self._turn = Turn(pipeline.entrances)
        self._second: SecondCall | None = None  # what is made of it while the first call is at work

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for the upstream."""
        return not self.ended

    @property
    def asked(self) -> bool:
        """Whether it has asked for its turn at the upstream."""
        return self._turn.asked

    @property
    def pool(self) -> str:
        """The upstream it is for."""
        return self.exchange.route.pool

    @property
    def replayable(self) -> bool:
        """Whether all that came of its body is kept."""
        return self._body.replayable

    @property
    def repeatable(self) -> bool:
        """Whether the call could be made once more: its body is kept, its client waits, nobody else was given it."""
        if self._second is not None and self._second.made:
            return False
        return self._body.replayable and self._client is not None and len(self.tried) + 1 < MOST_TRIES

    @property
    def overdue(self) -> bool:
        """Whether its time has passed, or had when it ended: its deadline, by the client's clock or ours, or what the
        upstream was told.
        """
        pipeline, exchange = self._pipeline, self.exchange
        now_s = self._ended_s if self.ended else pipeline.clock()
        return upstream_over(exchange, now_s) or ends_late(exchange, Ending.CANCELLED, now_s)

    @property
    def overtaken(self) -> bool:
        """Whether it has an answer: a call that is cancelled then was slower than another."""
        return self.exchange.answered_s > 0.0

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        """What the upstream is told, with the time that is left now, but for what the way back of its answer takes."""
        pipeline, exchange = self._pipeline, self.exchange
        until, now_s = self._extended() if self._may_run_on() else patience(exchange), pipeline.clock()
        told_s = pipeline.reserve.told(until.remaining_s(now_s))
        exchange.told_until_s = now_s + told_s
        return forwarded_headers(exchange, authority, told_s, tls=tls)

    def begun(self, leg: Leg, stream_id: int) -> None:
        """The upstream has a place."""
        exchange, body = self.exchange, self._body
        exchange.begun_s = now_s = self._pipeline.clock()
        self._turn.begun(now_s)
        if body.copy is not None:
            body.copy.original_begun(exchange.deadline.remaining_s(now_s))
        self._tell(body.begin(leg, stream_id))

    def left(self, count: int) -> None:
        """So much of what was held has gone to the upstream: the client may send as much more."""
        self._tell(self._body.left(count))

    def goes_on(self) -> None:
        """The upstream goes on with the call, which has ended: it keeps its place there."""
        self._turn.goes_on = True

    def done(self, result: Result) -> None:
        """The upstream has done with it."""
        self._turn.done(self.exchange, result, self._pipeline.clock())

    # -- for whoever decides -------------------------------------------------------------------------------------------

    def _tell(self, taken: int) -> None:
        """The client may send so much more."""
        if taken and self._client is not None:
            self._client.taken(self._stream_id, taken)

    def _rendered(self, reply: Reply) -> Reply:
        """A reply in the form that the client reads."""
        render = self.exchange.render
        return reply if render is None or not reply.body or self._client is None else render(reply)

    @property
    def _defaults(self) -> bool:
        """Whether a late answer is replaced by the configured one."""
        return self.exchange.route.mode is Mode.DEFAULT_ANSWER

    @property
    def _may_have_second(self) -> bool:
        """Whether there may be a second call: its body is kept, it is the first try, and its time is not watched."""
        watched = self.exchange.route.mode is Mode.OBSERVE or self._may_run_on()
        return self._body.replayable and not self.tried and not watched and self._turn.may_have_second

    def _waits_for_second(self, reply: Reply) -> bool:
        """Whether the first call, which has ended so, does not end the request, because the second is under way."""
        if self._second is None or not self._second.stands_in(reply):
            return False
        self._turn.give_back(self.exchange, reply, self._pipeline.clock(), whole=True)
        return True

    def _may_run_on(self) -> bool:
        """Whether this is one of the late calls that go on without their client."""
        return runs_on(self.exchange, self._pipeline.late_share)

    def _extended(self) -> Deadline:
        """When it ends if it does."""
        return extended(self.exchange, self._pipeline.late_patience_s)
