"""Where labels meet requests: a clock and counts around the join."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from tailgate.errors import InvalidRequest
from tailgate.gauges import LabelCounts
from tailgate.labels import Judged, Label, LabelJoin, Result
from tailgate.ledger import Histogram
from tailgate.observation import Observation
from tailgate_proxy.feedback.wire import MAX_ID_LENGTH, Read

DELAY_BUCKETS_S: Final[tuple[float, ...]] = (0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
MAX_ERRORS: Final = 100
"""So many malformed labels are described in a receipt; all are counted."""


@dataclass
class Receipt:
    """What became of the labels of one request.

    Attributes:
        received: How many there were.
        results: By what became of them.
        pending: How many wait for their request.
        errors: Position, request id and what is wrong, of the first that were rejected.
    """

    received: int = 0
    results: Counter[Result] = field(default_factory=Counter)
    pending: int = 0
    errors: list[tuple[int, str, str]] = field(default_factory=list)


class LabelDesk:
    """The join of one process.

    Attributes:
        join: Itself.
    """

    def __init__(
        self,
        on_judged: Callable[[Judged], None],
        *,
        wait_s: float,
        settle_s: float,
        max_predictions: int,
        max_labels: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Nothing waits.

        Args:
            on_judged: Told of each request that is judged by a label that came after it.
            wait_s: How long a request waits for its label, and a label for its request.
            settle_s: How long a label may be corrected.
            max_predictions: Requests that wait at once.
            max_labels: Labels that wait at once.
            now: The wall clock, in seconds since the epoch.
        """
        self._on_judged = on_judged
        self._now = now
        self._latest_s = 0.0
        self._delays: dict[str, Histogram] = {}
        self.join = LabelJoin(
            self._judged, wait_s=wait_s, settle_s=settle_s, max_predictions=max_predictions, max_labels=max_labels
        )

    def observe(self, observation: Observation) -> None:
        """A request has ended: a sink. One whose id is longer than a label's may be can have none, and is not kept."""
        if len(observation.request_id) <= MAX_ID_LENGTH:
            self.join.observe(observation, self.now_s())

    def submit(self, labels: Iterable[tuple[str, Read]], receipt: Receipt) -> None:
        """Take labels in, and write into the receipt what became of them."""
        now_s = self.now_s()
        for name, read in labels:
            index = receipt.received
            receipt.received += 1
            if isinstance(read, InvalidRequest):
                self.join.reject()
                receipt.results[Result.REJECTED] += 1
                if len(receipt.errors) < MAX_ERRORS:
                    receipt.errors.append((index, name[:MAX_ID_LENGTH], str(read)))
                continue
            result = self.join.label(_dated(read, now_s), now_s)
            if result is None:
                receipt.pending += 1
            else:
                receipt.results[result] += 1

    def advance(self) -> None:
        """To be called about once a second."""
        self.join.advance(self.now_s())

    def finish(self) -> None:
        """The proxy stops: judge what is settling."""
        self.join.finish(self.now_s())

    def counts(self) -> LabelCounts:
        """For a scrape."""
        join = self.join
        return LabelCounts(
            {result.value: count for result, count in join.results.items()},
            join.pending,
            {model: delays.copy() for model, delays in self._delays.items()},
            join.predictions_pending,
            {reason.value: count for reason, count in join.given_up.items()},
        )

    def _judged(self, judged: Judged) -> None:
        observation = judged.observation
        delays = self._delays.get(observation.model)
        if delays is None:
            delays = self._delays[observation.model] = Histogram(DELAY_BUCKETS_S)
        delays.add(max(judged.given.at_unix_s - observation.arrival_unix_s, 0.0))
        self._on_judged(judged)

    def now_s(self) -> float:
        """The wall clock, but never backwards: what waits is kept in the order of its end."""
        self._latest_s = max(self._latest_s, self._now())
        return self._latest_s


def _dated(label: Label, now_s: float) -> Label:
    return label if label.at_unix_s else label._replace(at_unix_s=now_s)
