"""One ModelInfer call on its way through the proxy: a state machine that neither waits nor knows a socket.

What comes from the client goes on to the upstream as it comes. What comes back is held until it is complete, because
only then can it be judged and said to be in time: so nothing of a late answer ever reaches a client that is to have
none.

    arrived ──gates──► receiving ──model known──► waiting ──its turn──► under way ──answer or failure──► ended
       └── refused ────────┴─ limit, client left, malformed ─┴─ refused ────┴───────────────────────────┘

It ends once. The client has its reply then, or has left, and the outcome is booked in the same breath; except for the
share of late calls that run on: their client is answered at the deadline, and they are booked when they end. Its place
at the upstream is free then, unless the upstream goes on with it: others have it once that has done.
"""

from __future__ import annotations

import logging
from typing import Final

from tailgate.deadline import Deadline
from tailgate.errors import RequestError, Status
from tailgate.outcome import Ending, Outcome
from tailgate.policy.attempts import Result
from tailgate.policy.ticket import Ended
from tailgate_proxy.call import Answer, CallFailed, Client, Reply
from tailgate_proxy.exchange import Exchange, know_model, know_rest
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.request import Request
from tailgate_proxy.second_call import SecondCall
from tailgate_proxy.steps.admit import reply_to_error
from tailgate_proxy.steps.enter import reply_in_queue
from tailgate_proxy.steps.forward import judge, reply_to_failure
from tailgate_proxy.steps.limit import defaults_now, next_limit, over, patience, reply_at_limit
from tailgate_proxy.steps.observe import ends_late, mark

REPLAYABLE_BYTES: Final = 64 * 1024
"""A body up to this size is kept until its call has ended, to be sent again where the upstream cannot have seen it."""

_STOPPED: Final = "the proxy is shutting down and has waited long enough"

_log = logging.getLogger(__name__)


class Passage(Request):
    """One call.

    Attributes:
        limit: The instant at which `time_up` is to be called; it may move, and is told to `Pipeline.watch` then.
    """

    __slots__ = ("_told", "limit")

    def __init__(self, exchange: Exchange, pipeline: Pipeline, client: Client, stream_id: int) -> None:
        """A call whose headers are here; `arrive` comes next."""
        super().__init__(exchange, pipeline, client, stream_id, replayable_bytes=REPLAYABLE_BYTES)
        self.limit: Deadline = exchange.deadline
        self._told = False  # whether the call runs on although its client was answered at the deadline, or left then

    # -- the client's side ---------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """The headers are here."""
        pipeline, exchange = self._pipeline, self.exchange
        pipeline.observe.arrive()
        now_s = pipeline.clock()
        for gate in pipeline.on_arrival:
            reply = gate(exchange, now_s)
            if reply is not None:
                self._end(reply)
                return
        self.limit = next_limit(exchange)
        pipeline.watch(self)

    def body(self, piece: memoryview, *, end: bool) -> None:
        """A piece of the body came; it is valid only until this returns."""
        client, body = self._client, self._body
        if client is None:
            return
        try:
            if not end and body.inside(len(piece)):
                taken = body.send(piece, end=False)
                if taken:
                    client.taken(self._stream_id, taken)
            else:
                self._take(client, piece, end=end)
        except RequestError as error:
            self._end(reply_to_error(error))
        except Exception:  # noqa: BLE001 — whatever it was, the request ends in exactly one outcome
            self._fault()

    def client_left(self) -> None:
        """The client has given up, or is gone."""
        if self.ended or self._client is None:
            return
        self._client = None
        late = ends_late(self.exchange, Ending.CANCELLED, self._pipeline.clock())
        if late and self._run_on():
            self._told = True
        else:
            self._end(Reply(Ending.CANCELLED, Status.CANCELLED))

    def stop(self) -> None:
        """The proxy stops, and has waited long enough."""
        if not self.ended:
            self._end(Reply(Ending.DRAINING, Status.UNAVAILABLE, _STOPPED))

    def time_up(self) -> None:
        """The limit has passed."""
        if self.ended:
            return
        try:
            self._time_up()
        except Exception:  # noqa: BLE001 — as above; and the timer has others to serve
            self._fault()

    def _time_up(self) -> None:
        pipeline, exchange = self._pipeline, self.exchange
        pipeline.observe.fall_due(exchange)
        limit = patience(exchange)
        if limit is not exchange.deadline and not limit.passed(pipeline.clock()):  # observe: it goes on
            self.limit = limit
            pipeline.watch(self)
            return
        reply = reply_in_queue() if self._turn.waits and not self._defaults else reply_at_limit(exchange)
        if self._client is None or not self._run_on():
            self._end(reply)
            return
        client, self._client = self._client, None
        self._told = True
        client.answer(self._stream_id, mark(exchange, reply, Outcome.DEADLINE_IN_FLIGHT))

    # -- its turn: a Guest ---------------------------------------------------------------------------------------------

    def admitted(self) -> None:
        """Its upstream has room for it."""
        try:
            self._pipeline.begin(self)
        except Exception:  # noqa: BLE001 — as above; and others wait for their turn
            self._fault()

    def refused(self, reply: Reply) -> None:
        """It would be late, or too many wait; or what came is no request in the form that its client speaks."""
        if not self.ended:
            self._end(reply)

    # -- the upstream's side: how the call ends there ------------------------------------------------------------------

    def answered(self, answer: Answer) -> None:
        """The upstream's answer is complete."""
        self._body.leg = None
        if not self.ended:
            self._answered(answer, None)

    def failed(self, failure: CallFailed) -> None:
        """There will be no answer; the call is made again where the upstream cannot have seen it."""
        self._body.leg = None
        if self.ended:
            return
        if failure.retryable and self.repeatable:
            self.tried += (failure.by,)
            self.exchange.begun_s = 0.0
            self._body.rewind()
            self._pipeline.begin(self)
            return
        self._turn.overloaded = failure.result is Result.SHED
        reply = reply_to_failure(failure)
        if failure.result is Result.REJECTED or not self._waits_for_second(reply):
            self._fail(reply)

    # -- its second call -----------------------------------------------------------------------------------------------

    def second(self) -> SecondCall | None:
        """All of its call's body is sent: what a second call of it would be; None: there must be none."""
        second = SecondCall(self, self._pipeline, self._body, self._turn) if self._may_have_second else None
        self._second = second
        return second

    def second_answered(self, answer: Answer) -> None:
        """It was answered."""
        if not self.ended:
            self._answered(answer, self._second)

    def second_failed(self, otherwise: Reply | None) -> None:
        """It was not; without it the request would have ended so, or is still under way."""
        if otherwise is not None and not self.ended:
            self._fail(otherwise)

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _answered(self, answer: Answer, second: SecondCall | None) -> None:
        """One of its calls was answered: the second, if that is given."""
        exchange = self.exchange
        exchange.answered_s = self._pipeline.clock()
        try:
            if defaults_now(exchange, exchange.answered_s):
                self.time_up()  # its timer has not had its turn yet
                return
            stands_for = self._pipeline.sampler.stands_for(exchange.answered_s)
            reply = judge(answer, exchange.route.output, stands_for, exchange.envelope.id)
            answer.malformed = reply.ending is Ending.UPSTREAM_INVALID
            if second is not None:
                second.answered_first = not answer.malformed
            if not answer.malformed:
                self._end(reply)
                return
            exchange.answered_s = 0.0
            if second is not None:
                second.malformed()
            elif not self._waits_for_second(reply):
                self._fail(reply)
        except Exception:  # noqa: BLE001 — as above
            self._fault()

    def _fail(self, reply: Reply) -> None:
        """None of its calls is answered: the request ends so, unless its time is up."""
        exchange, now_s = self.exchange, self._pipeline.clock()
        keeps_it_too = reply.status is Status.DEADLINE_EXCEEDED and (self._defaults or over(exchange, now_s))
        if keeps_it_too or defaults_now(exchange, now_s):
            self.time_up()
        else:
            self._end(reply)

    def _take(self, client: Client, piece: memoryview, *, end: bool) -> None:
        """Of a piece of the body take what it says, and pass it on."""
        exchange, pipeline, body, turn = self.exchange, self._pipeline, self._body, self._turn
        reader, told = body.reader, False
        passed: memoryview | bytes = piece
        body.feed(piece, end=end)
        if end and turn.asked:
            know_rest(exchange, reader.envelope)
            turn.begun(pipeline.clock())
        if not turn.asked:
            if body.unread:
                whole = body.collect(piece, exchange.encoding)
                client.taken(self._stream_id, len(piece))
                if whole is None:
                    return
                passed, told = whole, True
            know_model(exchange, reader.envelope, pipeline.routes)
            if not self._pass_gates():
                return
            if exchange.route.shadow and pipeline.shadows is not None:
                body.copy = pipeline.shadows.offer(exchange, reader.message_bytes)
            turn.ask(self, reader.message_bytes)
            if self.ended:  # refused; or sent, and failed at once
                turn.give_back(exchange, Reply(Ending.UNREACHABLE), pipeline.clock(), whole=body.whole)
                return
        self._tell(body.pass_on(passed, end=end, told=told))

    def _pass_gates(self) -> bool:
        """Ask those who decide once the model is known; its route may set another limit."""
        for gate in self._pipeline.on_model:
            reply = gate(self.exchange, self._pipeline.clock())
            if reply is not None:
                self._end(reply)
                return False
        limit = next_limit(self.exchange)
        if limit != self.limit:
            self.limit = limit
            self._pipeline.watch(self)
        return True

    def _run_on(self) -> bool:
        """Whether this call goes on without its client; if so, it has a new limit."""
        if not (self._body.leg is not None and self._body.whole and self._may_run_on()):
            return False
        self.limit = self._extended()
        self._pipeline.watch(self)
        return True

    def _fault(self) -> None:
        _log.exception("request %s failed inside the proxy", self.exchange.request_id)
        if not self.ended:
            self._end(Reply(Ending.FAULT, Status.INTERNAL, "the proxy failed; its log says why"))

    def _end(self, reply: Reply) -> None:
        """Book the outcome, and give the client its reply."""
        pipeline, exchange, body, client = self._pipeline, self.exchange, self._body, self._client
        answered = reply.ending is Ending.ANSWERED
        ended_by = reply = self._rendered(reply)
        self._ended_s = now_s = pipeline.clock()
        if answered and defaults_now(exchange, now_s):  # to read the answer and to put it into its form took too long
            reply = self._rendered(reply_at_limit(exchange))
        self.ended = True
        self._client = None
        pipeline.admit.leave(exchange)
        body.cancel()
        second, self._second = self._second, None
        if second is not None:
            second.cancel()
        body.drop()
        if self._told and reply.ending is not Ending.ANSWERED:
            reply = reply_at_limit(exchange)  # as its client was told
        reply = pipeline.observe.book(exchange, reply, now_s, missed=self._told)
        if client is not None:
            client.answer(self._stream_id, reply)
        if body.copy is not None:
            body.copy.original_ended(reply.predicted)
            body.copy = None
        if second is not None and second.end(ended_by, now_s):
            self._turn.leave(Ended.OVERTAKEN)
        self._turn.give_back(exchange, ended_by, now_s, whole=body.whole)
