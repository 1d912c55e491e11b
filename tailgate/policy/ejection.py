"""Outlier ejection: a member whose calls fail is left out for a while, longer each time, though its probes look well.

    in use ──CONSECUTIVE failures, or SHARE of a window──► out for BASE_S × 2^n ──time──► on trial
      ▲                                                     ▲                              │    │
      │                                                     └─────────── a failure ────────┘    │
      └──────────────────────────────── a success ──────────────────────────────────────────────┘

After Envoy's outlier detection (its ejection time grows with every ejection and is forgiven with time; its panic
threshold is in `selection`). What is bad is for `attempts` to say.
"""

from __future__ import annotations

from typing import Final

from tailgate.policy.recent import Recent

CONSECUTIVE: Final = 5
"""Failures in a row. Envoy's own number; where half of all calls fail by chance, one in 32 runs of five does."""
SHARE: Final = 0.5
"""Share of failures in a window: of a member that does no better, the other half is worth less than its harm."""
LEAST_CALLS: Final = 20
"""Calls that a window must have for its share to say anything."""
WINDOW_S: Final = 10.0
BASE_S: Final = 1.0
"""The first ejection: about what a restart, or a garbage collection that went wrong, takes."""
MOST_S: Final = 30.0
"""The longest: somebody has to find out that it is well again, and one call every half a minute is lost to that."""
FORGIVE_S: Final = 10.0
"""So long in use forgives one ejection."""


class Ejection:
    """One member.

    Attributes:
        times: How often it was ejected, in all.
    """

    def __init__(self) -> None:
        """In use."""
        self.times = 0
        self._row = 0  # failures in a row
        self._level = 0  # ejections that are not forgiven
        self._back_s = float("-inf")
        self._recent = Recent(WINDOW_S)

    def out(self, now_s: float) -> bool:
        """Whether it is ejected."""
        return now_s < self._back_s

    def succeeded(self, now_s: float) -> None:
        """A call went well. What ends while it is out was begun before, or for want of others: it says nothing new."""
        if not self.out(now_s):
            self._row = 0
            self._recent.add(now_s, 1, 0)

    def failed(self, now_s: float) -> bool:
        """A call failed; returns whether the member is ejected for that."""
        if self.out(now_s):
            return False
        self._row += 1
        self._recent.add(now_s, 1, 1)
        calls, failures = self._recent.sums(now_s)
        if self._row < CONSECUTIVE and (calls < LEAST_CALLS or failures < SHARE * calls):
            return False
        if self.times:
            self._level = max(0, self._level - int((now_s - self._back_s) // FORGIVE_S))
        self._back_s = now_s + min(BASE_S * 2**self._level, MOST_S)
        self._level = min(self._level + 1, 16)
        self.times += 1
        self._row = CONSECUTIVE - 1  # on trial when it is back
        self._recent.clear()
        return True
