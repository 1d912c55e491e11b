"""The binomial distribution function, for many sizes at once.

Lives here: this one function, on numpy alone. Probabilities follow from each other outward from the most likely count,
by their ratios; only that one's own probability needs a factorial, so what is lost to rounding stays under 1e-9 of a
value for sizes up to a million.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_DEVIATIONS, _MORE = 9, 30
"""How far from the most likely count the tables reach: so many standard deviations, and so many counts more for where
the distribution is like Poisson's. What lies beyond has a probability under 1e-15."""


def distributions(trials: IntArray, share: float, above: int | None = None) -> tuple[IntArray, FloatArray]:
    """P(K ≤ k) for K ~ Binomial(n, share), in a table that holds every k of any consequence.

    Args:
        trials: n, `[sizes]`, each at least 1.
        share: Probability of one success, above 0 and below 1.
        above: How many k above the most likely one are wanted; all if None.

    Returns:
        The first k of each row, int `[sizes]`; and the table, float `[sizes, width]`, in whose row i the place j holds
        ``P(K ≤ first[i] + j)``. Below the first k the probability is 0; above the last of a whole table it is 1.
    """
    n = trials[:, None].astype(np.float64)
    mode = np.floor((n + 1) * share)  # share < 1, so at most n
    reach = _MORE + math.ceil(_DEVIATIONS * math.sqrt(float(trials.max()) * share * (1 - share)))
    down, up = np.arange(reach), np.arange(reach if above is None else above)
    odds = share / (1 - share)
    # The ratio of a probability to its neighbour's nearer to the mode. Past 0 and n it is 0, and all beyond with it.
    falling = np.clip(mode - down, 0, None) / (n - mode + down + 1) / odds
    rising = np.clip(n - mode - up, 0, None) / (mode + up + 1) * odds
    relative = np.concatenate(
        (np.cumprod(falling, axis=1)[:, ::-1], np.ones_like(mode), np.cumprod(rising, axis=1)), axis=1
    )
    at_mode = [_probability(size, int(k), share) for size, k in zip(trials.tolist(), mode[:, 0].tolist(), strict=True)]
    at_most = np.cumsum(relative, axis=1, dtype=np.float64)
    at_most *= np.array(at_mode)[:, None]
    np.minimum(at_most, 1.0, out=at_most)
    if above is None:
        at_most[:, -1] = 1.0  # to the last bit
    return (mode[:, 0] - reach).astype(np.int64), at_most


def _probability(n: int, k: int, share: float) -> float:
    """P(K = k)."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))
