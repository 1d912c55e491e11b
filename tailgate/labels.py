"""Labels that become known after the answer: joined with their requests by id, in any order, within bounds.

Lives here: the join as a state machine on numbers. Must not live here: how labels arrive (gRPC, HTTP), what is counted
from them, a clock (instants are arguments, in Unix seconds and never falling).

A request that ended without a label waits for one; a label whose request has not ended yet waits for that. Both wait
for so long and in such numbers as is configured, and what is given up is counted.

    request ends ──► waiting ──label──► settling ──time──► judged, once
                        └──too old, too many──► given up ──label──► late
    label comes ──► pending ──request ends──► settling
                        └──too old, too many──► unknown

Until it has settled the last label wins (a correction); from then on a label that says the same is a duplicate and one
that says something else a conflict, which changes nothing: what was judged never changes silently.

Several requests may share an id, as the attempts of a client that retries do. They ask the same question, so a label is
for all of them; for the last `MOST_ATTEMPTS`, since a client may also give one id to everything it asks.

Where several processes serve, a label may be lent to one that has seen its request, as `visiting` decides. It is
pending here until that one has it.

At any instant: labels received = joined + duplicate + correction + conflict + late + unknown + rejected + handed over +
pending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from enum import StrEnum, auto
from typing import Final, NamedTuple, Protocol, TypeVar

from tailgate.observation import Observation
from tailgate.outcome import ANSWER_SEEN
from tailgate.protocol.answers import UNKNOWN_CLASS


class Result(StrEnum):
    """What became of a label: the values of a metric's label."""

    JOINED = auto()
    """It found its request."""
    DUPLICATE = auto()
    """The same was said before."""
    CORRECTION = auto()
    """Something else was said before, and this counts now."""
    CONFLICT = auto()
    """Something else was said before, and has been judged by: this counts no longer."""
    LATE = auto()
    """Its request had been given up."""
    UNKNOWN = auto()
    """No request of this id was seen for as long as it waited."""
    REJECTED = auto()
    """It was malformed."""
    HANDED_OVER = auto()
    """Another process had seen its request, and has counted it as received, too."""


class Given(StrEnum):
    """Why a request is no longer waited for."""

    TOO_OLD = auto()
    TOO_MANY = auto()


class Label(NamedTuple):
    """What is now known to be right for one request.

    Attributes:
        request_id: Its id.
        truth: The right class; `RIGHT` or `WRONG` where somebody else has judged.
        weight: One over the probability with which the request was chosen to be labelled.
        at_unix_s: When the truth was established.
    """

    request_id: str
    truth: int
    weight: float = 1.0
    at_unix_s: float = 0.0


MOST_ATTEMPTS: Final = 8
"""Requests of one id that wait for its label; beyond it the oldest go."""

RIGHT: Final = -2
WRONG: Final = -3


class Judged(NamedTuple):
    """A request with its label, to be counted once.

    Attributes:
        observation: The request; its label is set.
        given: The label.
    """

    observation: Observation
    given: Label


class Watcher(Protocol):
    """Somebody who looks for the requests of labels elsewhere."""

    def changed(self, name: str) -> None:
        """A label of this id begins to wait, or ceases to."""

    def seen(self, name: str) -> None:
        """A request of this id has ended."""


class _Settling(NamedTuple):
    observations: tuple[Observation, ...]
    label: Label
    due_unix_s: float


class _Orphan(NamedTuple):
    label: Label
    until_unix_s: float


class _Known(NamedTuple):
    label: Label
    until_unix_s: float


class _Waiting(NamedTuple):
    observations: tuple[Observation, ...]
    until_unix_s: float


Entry = TypeVar("Entry", _Settling, _Orphan, _Known, _Waiting)


class LabelJoin:
    """The join of one process.

    Attributes:
        results: Labels by what became of them.
        given_up: Requests that are no longer waited for, by reason.
        watcher: Who looks elsewhere; None: nobody does.
    """

    def __init__(
        self,
        on_judged: Callable[[Judged], None],
        *,
        wait_s: float,
        settle_s: float,
        max_predictions: int,
        max_labels: int,
    ) -> None:
        """Nothing waits.

        Args:
            on_judged: Told of each request that is judged, once.
            wait_s: How long a request waits for its label, and a label for its request.
            settle_s: How long a label may be corrected.
            max_predictions: Requests that wait at once, and ids that are remembered; beyond it the oldest go.
            max_labels: Labels that wait at once.
        """
        self._on_judged = on_judged
        self._wait_s = wait_s
        self._settle_s = settle_s
        self._max_predictions = max_predictions
        self._max_labels = max_labels
        # All in the order in which they end: the oldest first.
        self._waiting: dict[str, _Waiting] = {}
        self._settling: dict[str, _Settling] = {}
        self._known: dict[str, _Known] = {}
        self._orphans: dict[str, _Orphan] = {}
        self._gone: dict[str, float] = {}
        self._lent = 0
        self.watcher: Watcher | None = None
        self.results: Counter[Result] = Counter(dict.fromkeys(Result, 0))
        self.given_up: Counter[Given] = Counter(dict.fromkeys(Given, 0))

    @property
    def pending(self) -> int:
        """Labels that wait for their request, or to arrive where it is."""
        return len(self._orphans) + self._lent

    @property
    def waiting(self) -> Collection[str]:
        """Ids of the labels that wait for their request."""
        return self._orphans.keys()

    @property
    def predictions_pending(self) -> int:
        """Ids of requests that wait for a label."""
        return len(self._waiting)

    @property
    def received(self) -> int:
        """Labels that came, whatever became of them."""
        return sum(self.results.values()) + self.pending

    def knows(self, name: str) -> bool:
        """Whether a request of this id has ended here, as far as that is remembered."""
        return name in self._waiting or name in self._settling or name in self._known or name in self._gone

    def observe(self, observation: Observation, now_unix_s: float) -> None:
        """A request has ended. One whose label came with it was judged by that; it is only remembered."""
        name = observation.request_id
        orphan = self._orphans.pop(name, None) if self._orphans else None
        if orphan is not None:
            self._changed(name)
        if observation.label != UNKNOWN_CLASS:
            if orphan is not None:
                same = orphan.label.truth == observation.label
                self.results[Result.DUPLICATE if same else Result.CONFLICT] += 1
            self._remember(Label(name, observation.label), now_unix_s)
        elif orphan is not None:
            self.results[Result.JOINED] += 1
            self._settle((observation,), orphan.label, now_unix_s)
        elif name in self._settling:
            settling = self._settling[name]
            self._settling[name] = settling._replace(observations=self._with(settling.observations, observation))
        elif name in self._known:
            self._judge((observation,), self._known[name].label)
        else:
            before = self._waiting.pop(name, None)
            observations = (observation,) if before is None else self._with(before.observations, observation)
            self._waiting[name] = _Waiting(observations, now_unix_s + self._wait_s)
            if len(self._waiting) > self._max_predictions:
                self._give_up(Given.TOO_MANY, now_unix_s)
        if self.watcher is not None:
            self.watcher.seen(name)

    def label(self, label: Label, now_unix_s: float) -> Result | None:
        """A label has come; returns what became of it, or None if it waits."""
        result = self._place(label, now_unix_s)
        if result is None:
            result = self._keep_orphan(label, now_unix_s)
        if result is not None:
            self.results[result] += 1
        return result

    def reject(self) -> None:
        """A label has come that was malformed."""
        self.results[Result.REJECTED] += 1

    def lend(self, name: str) -> Label | None:
        """The label that waits for this request, if one does; it waits no longer, and is somewhere between here and
        another process until either `handed_over` or `given_back` is called.
        """
        orphan = self._orphans.pop(name, None)
        if orphan is None:
            return None
        self._lent += 1
        self._changed(name)
        return orphan.label

    def handed_over(self) -> None:
        """Another process has a label that was lent, and has counted it."""
        self._lent -= 1
        self.results[Result.HANDED_OVER] += 1

    def given_back(self, label: Label, now_unix_s: float) -> None:
        """A label that was lent has come back. One that came after it meanwhile stands; the two count as ever."""
        self._lent -= 1
        name = label.request_id
        later = self._orphans.get(name) or self._settling.get(name)
        known = self._known.get(name)
        if later is not None:
            self.results[Result.DUPLICATE if later.label.truth == label.truth else Result.CORRECTION] += 1
        elif known is not None:
            self.results[Result.DUPLICATE if known.label.truth == label.truth else Result.CONFLICT] += 1
        else:
            self.label(label, now_unix_s)

    def take(self, label: Label, now_unix_s: float) -> Result:
        """A label has come from another process, because its request was seen here. If not even that is remembered, it
        has been given up.
        """
        result = self._place(label, now_unix_s) or Result.LATE
        self.results[result] += 1
        return result

    def advance(self, now_unix_s: float) -> None:
        """Time has passed: to be called about once a second."""
        while (settled := _first(self._settling)) is not None and settled[1].due_unix_s <= now_unix_s:
            del self._settling[settled[0]]
            self._judge(settled[1].observations, settled[1].label)
            self._remember(settled[1].label, now_unix_s)
        while (waiting := _first(self._waiting)) is not None and waiting[1].until_unix_s <= now_unix_s:
            self._give_up(Given.TOO_OLD, now_unix_s)
        while (orphan := _first(self._orphans)) is not None and orphan[1].until_unix_s <= now_unix_s:
            self._forget_orphan()
        while (known := _first(self._known)) is not None and known[1].until_unix_s <= now_unix_s:
            del self._known[known[0]]
        while self._gone and self._gone[name := next(iter(self._gone))] <= now_unix_s:
            del self._gone[name]

    def finish(self, now_unix_s: float) -> None:
        """No more labels will come: what is settling is judged now."""
        for settling in self._settling.values():
            self._judge(settling.observations, settling.label)
            self._remember(settling.label, now_unix_s)
        self._settling.clear()

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _place(self, label: Label, now_unix_s: float) -> Result | None:
        """Bring a label to its request; None if none of its id is known."""
        name = label.request_id
        settling = self._settling.get(name)
        if settling is not None:
            if settling.label.truth == label.truth:
                return Result.DUPLICATE
            self._settling[name] = settling._replace(label=label)  # it settles when the first one would have
            return Result.CORRECTION
        known = self._known.get(name)
        if known is not None:
            return Result.DUPLICATE if known.label.truth == label.truth else Result.CONFLICT
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            self._settle(waiting.observations, label, now_unix_s)
            return Result.JOINED
        return Result.LATE if name in self._gone else None

    def _keep_orphan(self, label: Label, now_unix_s: float) -> Result | None:
        orphan = self._orphans.get(label.request_id)
        if orphan is not None:
            if orphan.label.truth == label.truth:
                return Result.DUPLICATE
            self._orphans[label.request_id] = orphan._replace(label=label)
            return Result.CORRECTION
        self._orphans[label.request_id] = _Orphan(label, now_unix_s + self._wait_s)
        self._changed(label.request_id)
        if self.pending > self._max_labels:
            self._forget_orphan()
        return None

    def _settle(self, observations: tuple[Observation, ...], label: Label, now_unix_s: float) -> None:
        if self._settle_s > 0.0:
            self._settling[label.request_id] = _Settling(observations, label, now_unix_s + self._settle_s)
        else:
            self._judge(observations, label)
            self._remember(label, now_unix_s)

    def _judge(self, observations: tuple[Observation, ...], label: Label) -> None:
        for observation in observations:
            self._on_judged(Judged(labelled(observation, label.truth), label))

    def _remember(self, label: Label, now_unix_s: float) -> None:
        self._known.pop(label.request_id, None)
        self._known[label.request_id] = _Known(label, now_unix_s + self._wait_s)
        if len(self._known) > self._max_predictions:
            del self._known[next(iter(self._known))]

    def _with(self, attempts: tuple[Observation, ...], another: Observation) -> tuple[Observation, ...]:
        """One more request of the same id."""
        if len(attempts) < MOST_ATTEMPTS:
            return (*attempts, another)
        self.given_up[Given.TOO_MANY] += 1
        return (*attempts[1:], another)

    def _give_up(self, reason: Given, now_unix_s: float) -> None:
        name = next(iter(self._waiting))
        self.given_up[reason] += len(self._waiting.pop(name).observations)
        self._gone.pop(name, None)
        self._gone[name] = now_unix_s + self._wait_s
        if len(self._gone) > self._max_predictions:
            del self._gone[next(iter(self._gone))]

    def _forget_orphan(self) -> None:
        name = next(iter(self._orphans))
        del self._orphans[name]
        self.results[Result.UNKNOWN] += 1
        self._changed(name)

    def _changed(self, name: str) -> None:
        if self.watcher is not None:
            self.watcher.changed(name)


def labelled(observation: Observation, truth: int) -> Observation:
    """A request with its label; where somebody else has judged, one that makes its verdict theirs."""
    if truth >= 0:
        return observation._replace(label=truth)
    if observation.outcome not in ANSWER_SEEN:  # there was nothing to judge
        return observation._replace(label=1)
    return observation._replace(predicted=int(truth == RIGHT), label=1)


def _first(entries: dict[str, Entry]) -> tuple[str, Entry] | None:
    return next(iter(entries.items()), None)
