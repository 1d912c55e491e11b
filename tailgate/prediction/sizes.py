"""How large a stall can get that was not seen, told by the sizes of those that were, however few. Pure.

Of sizes that come in any order, one to come is as likely to lie in each gap between those seen, and above the largest
(Hill, "Posterior distribution of percentiles", 1968): so stalls larger than any seen are as frequent as an exponential
number says, one to a history on average. How much larger they are, sizes alone do not say. Here they follow a gamma
distribution with the shape and scale that those seen make likely: with many stalls of one size none to come is much
larger; where sizes vary, or where there are too few to see whether they do, it is. Lone late responses beside stalls
are another kind, and say nothing of them: what kinds there are is decided by which division is likelier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_SHAPES: FloatArray = np.exp2(np.arange(13, dtype=np.float64))
"""Of the gamma distribution; its coefficient of variation, 1/√shape, is taken as equally likely from 1 to 0."""
_SCALES = math.log(1e4)
"""A kind has any scale within so many orders of magnitude: what one kind more must explain to be worth it."""
_APART = 3.0
"""Two kinds have no sizes between them: the smallest of the larger is so many times the largest of the smaller."""
_STEPS: FloatArray = np.concatenate(([0.0], np.geomspace(0.02, 12, 24)))
"""Where the tail above the largest is divided, in standard deviations from it."""
_AROUND: FloatArray = np.linspace(-3, 3, 25)
"""Which sizes up to the largest are looked at, in standard deviations from the mean."""
_LEAST, _HARDLY = 0.01, 1e-200
_BELIEVED = 4.0
"""How many stalls seen the gamma distribution is worth in foretelling those up to the largest."""


def largest_kind(sizes: FloatArray) -> FloatArray:
    """The sizes of the kind that has the largest, from the largest on; all, where there is one kind.

    Args:
        sizes: Of stalls, in any order; those of 0 and less are of no kind.
    """
    ordered = np.sort(sizes[sizes > 0])[::-1]
    total = len(ordered)
    if total < 2:
        return ordered
    number = np.arange(1, total, dtype=np.float64)
    upper, logs = np.cumsum(ordered), np.cumsum(np.log(ordered))
    lower_sum, lower_logs = (upper[-1] - upper)[:-1], (logs[-1] - logs)[:-1]
    share = number / total
    members = number * np.log(share) + (total - number) * np.log1p(-share)
    two = _evidence(number, upper[:-1], logs[:-1]) + _evidence(total - number, lower_sum, lower_logs) + members
    one = _evidence(np.array([float(total)]), upper[-1:], logs[-1:])
    two[ordered[:-1] < _APART * ordered[1:]] = -math.inf
    best = int(two.argmax())
    if two[best] - math.log(total) - math.log(_SCALES) > one[0]:
        return ordered[: best + 1]
    return ordered


@dataclass(frozen=True)
class Law:
    """Which sizes stalls of a kind have, in so many cases as are likely.

    Attributes:
        sizes: float `[draws, steps]`.
        above: Share of each size among those above the largest seen, float `[draws, steps]`; a draw's add up to 1.
        within: The same among those up to it.
    """

    sizes: FloatArray
    above: FloatArray
    within: FloatArray


def law_of(kind: FloatArray, draws: int, generator: np.random.Generator) -> Law:
    """The sizes of a kind that stalls to come may have.

    Args:
        kind: Those seen, at least one, each above 0.
        draws: How many cases to draw of those that are likely.
        generator: Draws.
    """
    count, total, top = float(len(kind)), float(kind.sum()), float(kind.max())
    likely = _of_shapes(np.array([count]), np.array([total]), np.array([float(np.log(kind).sum())]))[0]
    shape = generator.choice(_SHAPES, draws, p=np.exp(likely - _log_sum(likely[None, :])[0]))
    rate = generator.gamma(count * shape) / total
    middle, deviation = (shape / rate)[:, None], (np.sqrt(shape) / rate)[:, None]
    larger = top + deviation * (_STEPS[1:] + _STEPS[:-1]) / 2
    around = middle + deviation * _AROUND
    smaller = np.clip(around, _LEAST * top, top)
    there = np.where(smaller == around, 1.0, _HARDLY)
    return Law(
        np.hstack((larger, smaller)),
        np.hstack((_shares(larger, shape, rate, np.diff(_STEPS)), np.zeros_like(smaller))),
        np.hstack((np.zeros_like(larger), _shares(smaller, shape, rate, there))),
    )


def believed(count: int) -> float:
    """The share of so many stalls of a kind, up to the largest, that the gamma distribution foretells in their place.

    What is drawn is then a Dirichlet process's posterior (Ferguson, "A Bayesian analysis of some nonparametric
    problems", 1973): the few sizes seen, and sizes between them.
    """
    return _BELIEVED / (_BELIEVED + count)


def _shares(sizes: FloatArray, shape: FloatArray, rate: FloatArray, widths: FloatArray) -> FloatArray:
    density = (shape[:, None] - 1) * np.log(sizes) - rate[:, None] * sizes
    shares = np.exp(density - density.max(axis=1, keepdims=True)) * widths
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float64)


def _of_shapes(count: FloatArray, total: FloatArray, logs: FloatArray) -> FloatArray:
    """Logarithm of how likely each shape and such sizes are together, whatever their scale: `[kinds, shapes]`.

    The scale is integrated out of the gamma likelihood under the prior that all its orders of magnitude are alike
    (Damsleth, "Conjugate classes for gamma distributions", 1975).
    """
    several = count[:, None] * _SHAPES
    prior = -np.log(_SHAPES) / 2 - math.log(float((1 / np.sqrt(_SHAPES)).sum()))
    result: FloatArray = (
        (_SHAPES - 1) * logs[:, None]
        + _log_gamma(several)
        - count[:, None] * _log_gamma(_SHAPES)
        - several * np.log(total)[:, None]
        + prior
    )
    return result


def _evidence(count: FloatArray, total: FloatArray, logs: FloatArray) -> FloatArray:
    """Logarithm of how likely such sizes are as one kind, `[kinds]`."""
    return _log_sum(_of_shapes(count, total, logs))


def _log_sum(rows: FloatArray) -> FloatArray:
    most = rows.max(axis=1)
    return np.asarray(most + np.log(np.exp(rows - most[:, None]).sum(axis=1)), np.float64)


def _log_gamma(values: FloatArray) -> FloatArray:
    return np.array([math.lgamma(value) for value in values.ravel().tolist()]).reshape(values.shape)
