"""One request that is mirrored: its copy is gathered as it passes, sent when it is whole, and booked when it has ended.

gathering ──whole, and the original has gone to its upstream──► sent ──answer, failure, limit──► booked
    └── too large, no room, the original ended before ──► dropped
"""

from __future__ import annotations

import logging
import math
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Final

from tailgate.deadline import Deadline
from tailgate.errors import Status
from tailgate.http2.events import Headers
from tailgate.outcome import Ending
from tailgate.policy.attempts import Result
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.protocol.names import SHADOW
from tailgate_proxy.call import Answer, CallFailed, Leg, Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.steps.forward import forwarded_headers, judge, reply_to_failure
from tailgate_proxy.steps.observe import RACE_S

if TYPE_CHECKING:  # it makes mirrors
    from tailgate_proxy.shadows.shadows import Shadows

_MARK: Final = (SHADOW.encode(), b"1")

_log = logging.getLogger(__name__)


class Dropped(StrEnum):
    """Why a request that was to be mirrored was not."""

    TOO_LARGE = auto()
    """Its body is longer than what is copied."""
    NO_ROOM = auto()
    """The copies at once hold as many bytes as they may."""
    BUSY = auto()
    """There are as many copies at once as may be."""
    OVERLOAD = auto()
    """Clients need the room: requests wait for their turn, or fill much of the proxy."""
    UNSENT = auto()
    """The request itself never went to its upstream as a whole."""


class Mirror:
    """One copy: a `Requester`, and what is watched for its limit.

    Attributes:
        limit: When it ends at the latest.
        ended: Whether it has.
    """

    __slots__ = (
        "_begun_s",
        "_budget_s",
        "_ended_s",
        "_exchange",
        "_goes_on",
        "_held",
        "_leg",
        "_leg_stream",
        "_ours",
        "_pieces",
        "_sent",
        "_series",
        "_shadows",
        "_theirs",
        "_upstream_until_s",
        "_whole",
        "ended",
        "limit",
    )

    def __init__(self, exchange: Exchange, shadows: Shadows) -> None:
        """Of this request, of which nothing was copied yet."""
        self.limit = exchange.deadline
        self.ended = False
        self._exchange = exchange
        self._shadows = shadows
        self._pieces: list[bytes] = []
        self._held = 0
        self._whole = self._sent = self._goes_on = False
        self._begun_s = self._ended_s = 0.0
        self._budget_s: float | None = None  # what the original had when its own call began
        self._series: tuple[str, str] | None = None
        self._theirs: int | None = None  # the class that the original's answer names, once it has ended
        self._ours = UNKNOWN_CLASS
        self._leg: Leg | None = None
        self._leg_stream = 0
        self._upstream_until_s = math.inf  # the end of the time that the upstream was told it has

    # -- the original's side: nothing here raises, or waits ------------------------------------------------------------

    def add(self, piece: memoryview | bytes, *, end: bool) -> bool:
        """A piece of the original's body passes; returns whether more is wanted."""
        if self.ended:
            return False
        count = len(piece)
        reason = self._shadows.take(count, self._held + count)
        if reason is not None:
            self._drop(reason)
            return False
        self._held += count
        self._pieces.append(bytes(piece))
        if end:
            self._whole = True
            self._go()
        return True

    def original_begun(self, left_s: float) -> None:
        """The original's call has begun, with so much time."""
        if self._budget_s is None and not self.ended:
            self._budget_s = left_s
            self._go()

    def original_ended(self, predicted: int) -> None:
        """The original has ended, with an answer that names this class, or none."""
        self._theirs = predicted
        if not self._sent and not self.ended:
            self._drop(Dropped.UNSENT)
        self._compare()

    # -- the upstream's side: a Requester ------------------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether it is still to be made."""
        return not self.ended

    @property
    def pool(self) -> str:
        """The upstream it is for."""
        return self._exchange.route.shadow

    @property
    def tried(self) -> tuple[str, ...]:
        """It is made once."""
        return ()

    @property
    def repeatable(self) -> bool:
        """It is never made again."""
        return False

    @property
    def overdue(self) -> bool:
        """Whether its deadline has passed, or had when it ended, or what the upstream was told, by either clock."""
        now_s = self._ended_s if self.ended else self._shadows.clock()
        return now_s + RACE_S > self._upstream_until_s or self.limit.passed(now_s)

    @property
    def overtaken(self) -> bool:
        """It has one call only."""
        return False

    def second(self) -> None:
        """Nobody waits for it."""

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        """What the upstream is told: as of the original, with the time that the copy has."""
        now_s = self._shadows.clock()
        told_s = self._shadows.reserve.told(self.limit.remaining_s(now_s))
        self._upstream_until_s = now_s + told_s
        return (*forwarded_headers(self._exchange, authority, told_s, tls=tls), _MARK)

    def begun(self, leg: Leg, stream_id: int) -> None:
        """It is on a connection."""
        self._leg, self._leg_stream = leg, stream_id
        pieces, self._pieces = self._pieces, []
        for index, piece in enumerate(pieces, 1):
            leg.send(stream_id, piece, end=index == len(pieces))

    def left(self, count: int) -> None:
        """What it holds is given back when it has ended."""

    def answered(self, answer: Answer) -> None:
        """The upstream has answered."""
        self._leg = None
        if self.ended:
            return
        exchange = self._exchange
        reply = judge(answer, exchange.route.output, request_id=exchange.envelope.id)
        answer.malformed = reply.ending is Ending.UPSTREAM_INVALID
        self._end(reply)

    def failed(self, failure: CallFailed) -> None:
        """It has not."""
        self._leg = None
        if not self.ended:
            self._end(reply_to_failure(failure))

    def goes_on(self) -> None:
        """The upstream goes on with the copy, which has ended: it keeps its place among those at once."""
        self._goes_on = True

    def done(self, result: Result) -> None:  # noqa: ARG002 — a `Requester`'s signature
        """The upstream has done with it."""
        self._shadows.leave()

    # -- time ----------------------------------------------------------------------------------------------------------

    def time_up(self) -> None:
        """Its deadline has passed."""
        if not self.ended:
            self._end(Reply(Ending.DEADLINE, Status.DEADLINE_EXCEEDED))

    def stop(self) -> None:
        """The proxy stops."""
        if not self.ended:
            self._end(Reply(Ending.DRAINING, Status.UNAVAILABLE))

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _go(self) -> None:
        if self._whole and self._budget_s is not None and not self._sent:
            self._sent = True
            self._shadows.soon(self._start)

    def _start(self) -> None:
        """Send the copy; its clock starts now, and allows as much time as the original had."""
        shadows = self._shadows
        assert self._budget_s is not None
        self._begun_s = shadows.clock()
        self.limit = Deadline(self._begun_s, self._budget_s)
        shadows.ledger.arrive()
        shadows.watch(self)
        try:
            shadows.begin(self)
        except Exception:  # noqa: BLE001 — whatever it was, the copy ends in one outcome
            _log.exception("the shadow of request %s failed inside the proxy", self._exchange.request_id)
            if not self.ended:
                self._end(Reply(Ending.FAULT, Status.INTERNAL))

    def _end(self, reply: Reply) -> None:
        assert self._budget_s is not None
        self._ended_s = self._shadows.clock()
        self.ended = True
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.cancel(self._leg_stream)
        self._series = self._shadows.book(self._exchange, reply, self._begun_s, self._budget_s)
        self._ours = reply.predicted
        self._compare()
        self._leave()

    def _compare(self) -> None:
        if self._series is not None and self._theirs is not None:
            self._shadows.compare(self._series, self._theirs, self._ours)

    def _drop(self, reason: Dropped) -> None:
        self.ended = True
        self._shadows.drop(reason)
        self._shadows.labels.dropped(self._exchange.request_id)
        self._leave()

    def _leave(self) -> None:
        self._shadows.give_back(self._held)
        self._pieces = []
        if not self._goes_on:
            self._shadows.leave()
