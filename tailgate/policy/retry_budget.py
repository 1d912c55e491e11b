"""How many calls may be made again: a tenth of the requests, so that retries never make an overload much worse.

A server that fails for want of room is asked 1.1 times as much as without retries, not three times (Google's SRE book,
"Handling Overload"; the same share is Finagle's and Linkerd's default).
"""

from __future__ import annotations

from typing import Final

from tailgate.policy.recent import Recent

SHARE: Final = 0.1
FLOOR: Final = 3
"""Retries that a window may have however few requests it has: a tenth of five requests would be none."""
WINDOW_S: Final = 10.0


class RetryBudget:
    """Of one upstream.

    Attributes:
        refused: How often there was nothing left.
    """

    def __init__(self) -> None:
        """No requests yet."""
        self.refused = 0
        self._recent = Recent(WINDOW_S)

    def request(self, now_s: float) -> None:
        """A request came, whose first call is now made."""
        self._recent.add(now_s, 1, 0)

    def spend(self, now_s: float) -> None:
        """A call was made again, for whatever reason; what it costs is left to nobody else."""
        self._recent.add(now_s, 0, 1)

    def covers_hedge(self, now_s: float) -> bool:
        """Whether a tenth of the requests has room for one more call, though nothing has failed: what every window may
        have is for retries alone.
        """
        requests, retries = self._recent.sums(now_s)
        return retries + 1 <= SHARE * requests

    def allows(self, now_s: float) -> bool:
        """Whether one more may be made again now. Counts where not; `spend` when it really is."""
        requests, retries = self._recent.sums(now_s)
        if retries + 1 <= max(FLOOR, SHARE * requests):
            return True
        self.refused += 1
        return False
