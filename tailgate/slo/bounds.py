"""The rules' statistics in Python: what their tests expect, written from the formulas and not from the rules."""

from __future__ import annotations

import math


def wilson_upper(share: float, n: float, z: float) -> float:
    """The upper bound of Wilson's score interval.

    >>> round(wilson_upper(0.5, 100, 1.96), 4)
    0.5962
    """
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    return centre + z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))


def wilson_lower(share: float, n: float, z: float) -> float:
    """The lower bound of the same."""
    return 1 - wilson_upper(1 - share, n, z)


def two_shares_z(first: float, first_n: float, second: float, second_n: float) -> float:
    """The z statistic of two observed shares, pooled.

    >>> round(two_shares_z(0.4, 100, 0.6, 100), 3)
    -2.828
    """
    pooled = (first * first_n + second * second_n) / (first_n + second_n)
    return (first - second) / math.sqrt(pooled * (1 - pooled) * (1 / first_n + 1 / second_n))
