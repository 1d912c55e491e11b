"""Kernel densities of times: the Improved Sheather–Jones bandwidth, and a Gaussian density on an even grid. Pure.

The bandwidth is Botev, Grotowski and Kroese's ("Kernel density estimation via diffusion", Annals of Statistics 2010,
algorithm 1): it makes no assumption of normality, and so does not blur a second mode, such as that of stalled answers.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_MESH = 1 << 12
_STAGES = 7  # the paper's five steps, from the seventh derivative down to the second
_SMALLEST, _LARGEST, _SCANNED, _HALVINGS = -12.0, -0.5, 60, 60  # where the root is sought: powers of ten, steps


def improved_sheather_jones(values: npt.ArrayLike) -> float | None:
    """The bandwidth, in the values' unit; None where too few values, or equal ones, determine none.

    Args:
        values: Finite numbers, of any shape.
    """
    sample = np.asarray(values, np.float64).ravel()
    if sample.size < 2 or sample.min() == sample.max():
        return None
    span = float(sample.max() - sample.min())
    low, scale = float(sample.min()) - span / 2, 2 * span
    mass = _linear_bins(sample, low, scale / (_MESH - 1), _MESH)
    frequency = np.arange(_MESH)
    turned = np.exp(-0.5j * np.pi * frequency / _MESH) * np.fft.fft(mass, 2 * _MESH)[:_MESH]
    power, squares = turned.real[1:] ** 2, frequency[1:].astype(np.float64) ** 2
    time = _fixed_point(len(np.unique(sample)), squares, power)
    return None if time is None else math.sqrt(time) * scale


def density_on_grid(values: FloatArray, bandwidth: float, low: float, high: float, points: int) -> FloatArray:
    """A Gaussian kernel density at evenly spaced points, from values binned linearly onto them; it adds up to one.

    Args:
        values: At least one, all within `low` and `high`.
        bandwidth: Above 0; the kernel's standard deviation.
        low: The first point.
        high: The last point, above `low`.
        points: How many.
    """
    step = (high - low) / (points - 1)
    mass = _linear_bins(values, low, step, points)
    reach = np.arange(-(points - 1), points) * step / bandwidth
    kernel = np.exp(-0.5 * reach**2)
    length = 1 << (3 * points).bit_length()
    density = np.fft.irfft(np.fft.rfft(mass, length) * np.fft.rfft(kernel, length), length)[points - 1 : 2 * points - 1]
    density = np.clip(density, 0, None)
    return np.asarray(density / density.sum(), np.float64)


def _linear_bins(values: FloatArray, low: float, step: float, points: int) -> FloatArray:
    """Each value's share of one, split between its two neighbours on the grid."""
    place = np.clip((values - low) / step, 0, points - 1)
    left = np.minimum(place.astype(np.int64), points - 2)
    upper = place - left
    mass = np.bincount(left, 1 - upper, minlength=points) + np.bincount(left + 1, upper, minlength=points)
    return np.asarray(mass / len(values), np.float64)


def _fixed_point(distinct: int, squares: FloatArray, power: FloatArray) -> float | None:
    """The smallest solution of t = ξ γ(t), found by a scan and halvings."""

    def excess(time: float) -> float:
        norm = _norm(_STAGES, time, squares, power)
        for stage in range(_STAGES - 1, 1, -1):
            if norm <= 0:
                return -1.0
            odd = math.prod(range(1, 2 * stage, 2)) / math.sqrt(2 * math.pi)
            constant = (1 + 0.5 ** (stage + 0.5)) / 3
            norm = _norm(stage, (2 * constant * odd / (distinct * norm)) ** (2 / (3 + 2 * stage)), squares, power)
        return time - (2 * distinct * math.sqrt(math.pi) * norm) ** -0.4 if norm > 0 else -1.0

    scanned = np.logspace(_SMALLEST, _LARGEST, _SCANNED).tolist()
    above = next((place for place, time in enumerate(scanned) if excess(time) > 0), None)
    if not above:
        return None
    low, high = scanned[above - 1], scanned[above]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return float(low + high) / 2


def _norm(stage: int, time: float, squares: FloatArray, power: FloatArray) -> float:
    """Squared norm of the density's derivative of this order, smoothed for so long a time."""
    decay = np.exp(-squares * np.pi**2 * time)
    return float(2 * np.pi ** (2 * stage) * (squares**stage * power * decay).sum())
