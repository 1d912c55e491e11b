"""How likely chance alone is to make two runs over the same samples differ as much. Pure: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_DECIMALS = 12  # means of whole counts differ by far more


def paired_permutation(one: npt.ArrayLike, other: npt.ArrayLike, permutations: int, seed: int) -> float:
    """Two-sided p-value of the difference of means, by a permutation test over pairs.

    If it made no difference which run a sample's quality came from, the two could be exchanged in any set of samples.
    So the sign of every difference is drawn by chance, many times, and the p-value is ``(1 + as far as seen) / (1 +
    draws)``, which is never 0 (Phipson and Smyth 2010, "Permutation p-values should never be zero").

    Samples whose differences are equally large are drawn together: of n such, how many are positive is binomial. That
    is the same distribution, at the price of one draw for each size instead of one for each sample.

    Args:
        one: A sample's quality in one run, float `[samples]`.
        other: The same samples' in the other.
        permutations: How many to draw; at least 1.
        seed: Of the draws.

    >>> paired_permutation([1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], 9999, 0) < 0.05
    True
    >>> paired_permutation([0.5, 0.7], [0.5, 0.7], 9999, 0)
    1.0
    """
    difference = np.round(np.asarray(one, np.float64) - np.asarray(other, np.float64), _DECIMALS)
    sizes, counts = np.unique(np.abs(difference[difference != 0]), return_counts=True)
    generator, drawn = np.random.default_rng(seed), np.zeros(permutations)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        drawn += size * (2.0 * generator.binomial(count, 0.5, permutations) - count)
    as_far = np.abs(drawn) >= abs(difference.sum()) - 1e-9
    return float((1 + as_far.sum()) / (1 + permutations))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for being several, by Holm's step-down procedure (1979).

    Whoever calls those at most 0.05 significant errs anywhere among them with a probability of at most 0.05.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
