"""How long an upstream takes, as a distribution that is learned from calls as they end, and that follows change.

A call that was cut off at its deadline says that it would have taken at least so long. Leaving such calls out would
make a slow upstream look quick, for only its quickest answers would count; taking the deadline for the time would,
too. So the share of calls that take at most t is Kaplan and Meier's product-limit estimate (J. Am. Stat. Assoc. 53,
1958), over buckets: one less the product of ``1 - ended / at risk`` over all buckets up to t, where a call that was
cut off is at risk up to then and no longer. An error or a refusal must not be told here: it says nothing of the time
an answer takes.
"""

from __future__ import annotations

import math
from typing import Final

LEAST_S: Final = 1e-4
PER_OCTAVE: Final = 16
"""So many buckets to a doubling: each is 4 % wider than the one before."""
BUCKETS: Final = 26 * PER_OCTAVE
"""From a tenth of a millisecond to over an hour, the longest deadline there is."""

REMEMBERED: Final = 1000
"""So many calls make the distribution, the latest counting most: ten of them stand beyond its 99 % quantile."""
HALF_LIFE_S: Final = 10.0
"""After so long without calls what is known counts half: a guess from long ago must not outweigh ten new calls."""
KNOWN: Final = 10.0
"""With fewer calls than these nothing is known: a median of so few may be off by a factor of two."""

LATEST: Final = 32
"""Calls that make the mean."""
_STALE: Final = 16
"""Calls after which the curve is drawn anew."""
_TOO_HEAVY: Final = 1e100
_EXACT: Final = 1e-9  # what a thousand sums and differences may lose of a share


class UpstreamTime:
    """Of one model and size class at one upstream.

    Attributes:
        mean_s: Of the latest that were not cut off.

    >>> times = UpstreamTime()
    >>> for n in range(100):
    ...     times.add(0.010 if n % 4 else 0.050, now_s=0.0)
    >>> round(times.share_within(0.02), 2), 0.05 < times.quantile(0.9) < 0.06
    (0.75, True)
    """

    __slots__ = ("_at_s", "_count", "_curve", "_cut_off", "_ended", "_fresh", "_total", "_weight", "mean_s")

    def __init__(self) -> None:
        """Nothing is known."""
        self._ended = [0.0] * BUCKETS
        self._cut_off = [0.0] * BUCKETS
        self._total = 0.0
        self._weight = 1.0  # of the next call: instead of making all that is known count less, the new counts more
        self._at_s = 0.0
        self.mean_s = 0.0
        self._count = 0
        self._curve: list[float] = []
        self._fresh = 0

    def add(self, seconds: float, now_s: float, *, cut_off: bool = False) -> None:
        """A call has ended after so long; or was cut off then, and would have taken longer."""
        elapsed_s = max(now_s - self._at_s, 0.0)
        self._at_s = max(now_s, self._at_s)
        aged = 2.0 ** min(elapsed_s / HALF_LIFE_S, 300.0) if self._total else 1.0
        self._weight *= aged / (1.0 - 1.0 / REMEMBERED)
        (self._cut_off if cut_off else self._ended)[_bucket(seconds)] += self._weight
        self._total += self._weight
        if not cut_off:
            self._count = min(self._count + 1, LATEST)
            self.mean_s += (seconds - self.mean_s) / self._count
        self._fresh -= 1
        if self._weight > _TOO_HEAVY:
            self._renormalise()

    def samples(self, now_s: float) -> float:
        """How many calls of now all that is known is worth."""
        age_s = max(now_s - self._at_s, 0.0)
        return float(self._total / self._weight * 2.0 ** -(age_s / HALF_LIFE_S))

    def known(self, now_s: float) -> bool:
        """Whether enough is known to decide by."""
        return self.samples(now_s) >= KNOWN

    def share_within(self, seconds: float) -> float:
        """The share of calls that take at most so long, rounded down by up to a bucket; 0 before the first call."""
        if seconds <= LEAST_S or not self._total:
            return 0.0
        return self._drawn()[_bucket(seconds) - 1]

    def quantile(self, share: float) -> float:
        """The time that this share of calls does not exceed, rounded up by up to a bucket; infinity where so many were
        cut off that nobody knows.
        """
        for bucket, within in enumerate(self._drawn() if self._total else ()):
            if within >= share - _EXACT:
                return _upper_s(bucket)
        return math.inf

    def _drawn(self) -> list[float]:
        """For each bucket, the share of calls that end in it or before."""
        if self._fresh > 0:
            return self._curve
        surviving, at_risk = 1.0, self._total
        curve: list[float] = []
        for ended, cut_off in zip(self._ended, self._cut_off, strict=True):
            if ended > 0.0:
                surviving *= max(1.0 - ended / at_risk, 0.0)
            at_risk = max(at_risk - ended - cut_off, 1e-12 * self._total)
            curve.append(1.0 - surviving)
        self._curve = curve
        self._fresh = min(_STALE, int(self._total / self._weight / _STALE) + 1)
        return curve

    def _renormalise(self) -> None:
        scale = 1.0 / self._weight
        self._ended = [weight * scale for weight in self._ended]
        self._cut_off = [weight * scale for weight in self._cut_off]
        self._total *= scale
        self._weight = 1.0


def size_class(message_bytes: int) -> int:
    """Requests of one class differ by less than a factor of four in size."""
    return (message_bytes.bit_length() + 1) // 2


def _bucket(seconds: float) -> int:
    if seconds <= LEAST_S:
        return 0
    return min(int(math.log2(seconds / LEAST_S) * PER_OCTAVE) + 1, BUCKETS - 1)


def _upper_s(bucket: int) -> float:
    return float(LEAST_S * 2.0 ** (bucket / PER_OCTAVE))
