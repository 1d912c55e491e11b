"""The rules' statistics in Python: what their tests expect, written from the formulas and not from the rules."""

from __future__ import annotations

import math
from collections.abc import Iterable


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


def stratified_z(strata: Iterable[tuple[float, float, float, float]]) -> float:
    """By how many standard deviations a first group's successes differ from a second's, stratum by stratum (Mantel and
    Haenszel, 1959, without correction for continuity).

    Args:
        strata: Of each, the first group's share and n, the second's share and n; together at least 2.

    >>> round(stratified_z([(0.4, 100, 0.6, 100)]), 3)
    -2.821
    """
    excess = variance = 0.0
    for first, first_n, second, second_n in strata:
        n = first_n + second_n
        pooled = (first * first_n + second * second_n) / n
        excess += first_n * (first - pooled)
        variance += first_n * second_n * pooled * (1 - pooled) / (n - 1)
    return excess / math.sqrt(variance)
