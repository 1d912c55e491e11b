"""One ModelInfer call on its way through the proxy: a state machine that neither waits nor knows a socket.

What comes from the client goes on to the upstream as it comes. What comes back is held until it is complete, because
only then can it be judged and said to be in time: so nothing of a late answer ever reaches a client that is to have
none.

    arrived ──gates──► receiving ──model known──► under way ──answer or failure──► ended
       └── refused ────────┴─ limit, client left, malformed ─┴───────────────────────┘

It ends once. The client has its reply then, or has left, and the outcome is booked in the same breath; except for the
share of late calls that run on: their client is answered at the deadline, and they are booked when they end.
"""

from __future__ import annotations

import logging
from typing import Final

from tailgate.deadline import Deadline
from tailgate.errors import Overloaded, RequestError, Status, TooLarge
from tailgate.http2.events import Headers
from tailgate.http2.grpc_messages import frame_message
from tailgate.outcome import Ending, Mode, Outcome
from tailgate.protocol.envelope import read_envelope
from tailgate.protocol.request_reader import RequestReader
from tailgate_proxy.call import MOST_TRIES, Answer, CallFailed, Client, Leg, Reply
from tailgate_proxy.compression import open_message
from tailgate_proxy.exchange import Exchange, know_model
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.steps.forward import forwarded_headers, judge, reply_to_failure
from tailgate_proxy.steps.limit import next_limit, patience, reply_at_limit, runs_on
from tailgate_proxy.steps.observe import mark

REPLAYABLE_BYTES: Final = 64 * 1024
"""A body up to this size is kept until its call has ended, to be sent again where the upstream cannot have seen it."""

_STOPPED: Final = "the proxy is shutting down and has waited long enough"

_log = logging.getLogger(__name__)


class Passage:
    """One call.

    Attributes:
        exchange: What is known of it.
        limit: The instant at which `time_up` is to be called; it may move, and is told to `Pipeline.watch` then.
        ended: Whether its outcome is booked.
    """

    __slots__ = (
        "_begun",
        "_body_ended",
        "_client",
        "_collected",
        "_held",
        "_kept",
        "_kept_bytes",
        "_leg",
        "_leg_stream",
        "_owed",
        "_pipeline",
        "_reader",
        "_stream_id",
        "_told",
        "_tries",
        "_waiting",
        "ended",
        "exchange",
        "limit",
    )

    def __init__(self, exchange: Exchange, pipeline: Pipeline, client: Client, stream_id: int) -> None:
        """A call whose headers are here; `arrive` comes next."""
        self.exchange = exchange
        self.limit: Deadline = exchange.deadline
        self.ended = False
        self._pipeline = pipeline
        self._client: Client | None = client  # None once it has left, or was answered before the end
        self._stream_id = stream_id
        self._reader = RequestReader(pipeline.max_message_bytes)
        self._body_ended = self._begun = False
        self._tries = 1
        self._told = False  # whether the call runs on although its client was answered at the deadline, or left then
        self._leg: Leg | None = None  # the way to the upstream, once there is one
        self._leg_stream = 0
        self._waiting: list[bytes] = []  # pieces for an upstream that has no place yet
        self._collected: list[bytes] | None = None  # pieces that nothing can be done with before there are more
        self._kept: list[bytes] | None = []  # all pieces, to be sent again; None where they are too many
        self._kept_bytes = 0
        self._held = 0  # bytes that wait: for a place, for room at the upstream, for more of them
        self._owed = 0  # bytes of which the client has not been told that they have left

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
        if self.ended or self._client is None:
            return
        try:
            if self._kept is None and not end and self._leg is not None and self._reader.inside(len(piece)):
                # The middle of a large tensor, as nearly every piece is: all that `_body` would find to do.
                size = len(piece)
                sent = self._leg.send(self._leg_stream, piece, end=False)
                if sent:
                    self._client.taken(self._stream_id, sent)
                if sent < size:
                    self._owed += size - sent
                    self._hold(size - sent)
            else:
                self._body(piece, end=end)
        except RequestError as error:
            self._end(_refusal(error))
        except Exception:  # noqa: BLE001 — whatever it was, the request ends in exactly one outcome
            self._fault()

    def client_left(self) -> None:
        """The client has given up, or is gone."""
        if self.ended or self._client is None:
            return
        self._client = None
        late = self._pipeline.observe.is_late(self.exchange, Ending.CANCELLED, self._pipeline.clock())
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
        reply = reply_at_limit(self.exchange)
        if self._client is None or not self._run_on():
            self._end(reply)
            return
        client, self._client = self._client, None
        self._told = True
        client.answer(self._stream_id, mark(self.exchange, reply, Outcome.DEADLINE_IN_FLIGHT))

    # -- the upstream's side: a Caller ---------------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for the upstream."""
        return not self.ended

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        """What the upstream is told, with the time that is left now."""
        until = self._extended() if self._may_run_on() else patience(self.exchange)
        return forwarded_headers(self.exchange, authority, until.remaining_s(self._pipeline.clock()), tls=tls)

    def begun(self, leg: Leg, stream_id: int) -> None:
        """The upstream has a place."""
        self._leg, self._leg_stream = leg, stream_id
        self.exchange.begun_s = self._pipeline.clock()
        pieces, self._waiting = self._waiting, []
        for index, piece in enumerate(pieces, 1):
            self.left(leg.send(stream_id, piece, end=self._body_ended and index == len(pieces)))

    def left(self, count: int) -> None:
        """So much of what was held has gone to the upstream: the client may send as much more."""
        freed, told = min(count, self._held), min(count, self._owed)
        self._held -= freed
        if self._kept is None:
            self._pipeline.held.give_back(freed)
        self._owed -= told
        if told and self._client is not None:
            self._client.taken(self._stream_id, told)

    def answered(self, answer: Answer) -> None:
        """The upstream's answer is complete."""
        self._leg = None
        if self.ended:
            return
        exchange = self.exchange
        exchange.answered_s = self._pipeline.clock()
        try:
            if self._defaults_now():
                self.time_up()  # its timer has not had its turn yet
            else:
                stands_for = self._pipeline.sampler.stands_for(exchange.answered_s)
                self._end(judge(answer, exchange.route.output, stands_for))
        except Exception:  # noqa: BLE001 — as above
            self._fault()

    def failed(self, failure: CallFailed) -> None:
        """There will be no answer; the call is made again where the upstream cannot have seen it."""
        self._leg = None
        if self.ended:
            return
        if failure.retryable and self._client is not None and self._again():
            self._begin()
        elif self._defaults_now() or (self._defaults and failure.status is Status.DEADLINE_EXCEEDED):
            self.time_up()  # the upstream keeps the deadline, too
        else:
            self._end(reply_to_failure(failure))

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _body(self, piece: memoryview | bytes, *, end: bool) -> None:
        reader, told = self._reader, False
        reader.feed(memoryview(piece))
        if end:
            reader.end()
            self._body_ended = True
        if not self._begun:
            if self._collected is not None or reader.compressed or not reader.known:
                whole = self._collect(piece)
                if whole is None:
                    return
                piece, told = whole, True
            know_model(self.exchange, reader.envelope, self._pipeline.routes)
            if not self._pass_gates():
                return
            self._begin()
        self._pass_on(piece, end=end, told=told)

    def _collect(self, piece: memoryview | bytes) -> bytes | None:
        """Keep a piece until something can be done with what there is: then, all of it.

        The client is told at once that it has left, for it must be able to send the rest; the bound on all that is
        held is what stops it.
        """
        reader = self._reader
        self._hold(len(piece))
        if self._client is not None:
            self._client.taken(self._stream_id, len(piece))
        collected = self._collected = self._collected or []
        collected.append(bytes(piece))
        if not (reader.complete if reader.compressed else reader.known):
            return None
        whole, self._collected = b"".join(collected), None
        self._pipeline.held.give_back(self._held)
        self._held = 0
        if reader.compressed:
            message = open_message(whole, self.exchange.encoding, self._pipeline.max_message_bytes)
            reader.envelope = read_envelope(message)
            whole = frame_message(message)
        return whole

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

    def _begin(self) -> None:
        self._begun = True
        self._pipeline.begin(self)

    def _pass_on(self, piece: memoryview | bytes, *, end: bool, told: bool) -> None:
        """Send a piece on, or keep it for an upstream that has no place yet; `told`: the client knows of it already."""
        size = len(piece)
        if self._kept is not None:
            if self._kept_bytes + size <= REPLAYABLE_BYTES and self._pipeline.held.take(size):
                self._kept_bytes += size
                piece = bytes(piece)
                self._kept.append(piece)
            else:  # what waits of it is all that is left
                self._kept = None
                self._pipeline.held.give_back(self._kept_bytes - self._held)
        if self.ended:  # the call failed as soon as it was begun
            return
        if self._leg is None:
            self._waiting.append(bytes(piece))
            sent = 0
        else:
            sent = self._leg.send(self._leg_stream, piece, end=end)
        if sent and not told and self._client is not None:
            self._client.taken(self._stream_id, sent)
        if sent < size:
            self._owed += 0 if told else size - sent
            self._hold(size - sent)

    def _hold(self, count: int) -> None:
        """So much more waits; what is kept anyway, to be sent again, counts only once."""
        if (self._kept is None or not self._begun) and not self._pipeline.held.take(count):
            raise Overloaded(f"the proxy holds {self._pipeline.held.bytes} bytes, about as many as it may")
        self._held += count

    def _again(self) -> bool:
        """Whether the call can be made once more; if so, what was sent of it waits again."""
        if self._tries >= MOST_TRIES or self._kept is None:
            return False
        self._tries += 1
        self._held = self._kept_bytes
        self._waiting = list(self._kept)
        return True

    @property
    def replayable(self) -> bool:
        """Whether all that came of its body is kept."""
        return self._kept is not None

    @property
    def _defaults(self) -> bool:
        return self.exchange.route.mode is Mode.DEFAULT_ANSWER

    def _defaults_now(self) -> bool:
        """Whether it is time for the configured answer."""
        return self._defaults and self.exchange.deadline.passed(self._pipeline.clock())

    def _may_run_on(self) -> bool:
        return runs_on(self.exchange, self._pipeline.late_share)

    def _extended(self) -> Deadline:
        deadline = self.exchange.deadline
        return Deadline(deadline.start_s, deadline.budget_s + self._pipeline.late_patience_s)

    def _run_on(self) -> bool:
        """Whether this call goes on without its client; if so, it has a new limit."""
        if not (self._leg is not None and self._body_ended and self._may_run_on()):
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
        self.ended = True
        pipeline, client = self._pipeline, self._client
        self._client = None
        pipeline.admit.leave(self.exchange)
        if self._leg is not None:
            self._leg.cancel(self._leg_stream)
            self._leg = None
        counted = self._held if self._kept is None or not self._begun else self._kept_bytes
        if counted:
            pipeline.held.give_back(counted)
        self._held = 0
        self._kept = self._collected = None
        self._waiting = []
        if self._told and reply.ending is not Ending.ANSWERED:
            reply = reply_at_limit(self.exchange)  # as its client was told
        reply = pipeline.observe.book(self.exchange, reply, pipeline.clock(), missed=self._told)
        if client is not None:
            client.answer(self._stream_id, reply)


def _refusal(error: RequestError) -> Reply:
    """What is wrong with the message."""
    if isinstance(error, TooLarge):
        return Reply(Ending.TOO_LARGE, error.status, f"{error} (--max-message-mib)")
    if isinstance(error, Overloaded):
        return Reply(Ending.SHED, error.status, f"{error} (--max-held-mib)")
    return Reply(Ending.INVALID, error.status, str(error))
