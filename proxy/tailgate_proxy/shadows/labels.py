"""Labels that are given after the answer, for copies: a label that counts for a request counts for its copies, too.

Whether a label counts, and when it has settled, is decided once, where it meets the request itself; from there it comes
here. So a copy is scored by the label of its original or by none. A copy waits for it as a request does, as long and in
as great a number; those that are given up are counted.

Must not live here: what is counted of a copy that was labelled (the books of shadows).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tailgate.labels import Judged, Label, LabelJoin
from tailgate.observation import Observation


class CopyLabels:
    """The join of copies with the labels of their requests.

    Attributes:
        join: Of copies that have ended.
        under_way: Ids of copies that have not, and how many of each.
    """

    def __init__(
        self, judge: Callable[[Observation, float], None], *, wait_s: float, most: int, now_s: Callable[[], float]
    ) -> None:
        """Nothing waits.

        Args:
            judge: Told of each copy that is labelled after its end, once: with its label, and how much that weighs.
            wait_s: How long a copy waits for its label.
            most: Copies that wait at once; beyond, the oldest are given up.
            now_s: The wall clock by which requests wait for their labels, in seconds since the epoch.
        """
        self._judge = judge
        self._now_s = now_s
        self.join = LabelJoin(self._judged, wait_s=wait_s, settle_s=0.0, max_predictions=most, max_labels=most)
        self.under_way: Counter[str] = Counter()

    def begun(self, name: str) -> None:
        """A request of this id is being copied."""
        self.under_way[name] += 1

    def dropped(self, name: str) -> None:
        """There will be no copy of it after all."""
        self._end(name)

    def ended(self, observation: Observation) -> None:
        """A copy has ended, and is booked."""
        self._end(observation.request_id)
        self.join.observe(observation, self._now_s())

    def given(self, label: Label) -> None:
        """A label counts for a request. Most requests have no copy, and nothing is kept of their labels.

        A score is no label here: it judges the answer that the client got. It would fit a copy's answer that is the
        same; to count it only there would choose the requests by how right the original was.
        """
        if label.truth >= 0 and (label.request_id in self.under_way or self.join.knows(label.request_id)):
            self.join.label(label, self._now_s())

    def advance(self) -> None:
        """To be called about once a second."""
        self.join.advance(self._now_s())

    def _end(self, name: str) -> None:
        self.under_way[name] -= 1
        if not self.under_way[name]:
            del self.under_way[name]

    def _judged(self, judged: Judged) -> None:
        self._judge(judged.observation, judged.given.weight)
