"""A peer for predictions: the stationary block bootstrap with its automatic block length.

Politis and Romano, "The stationary bootstrap", 1994; block length by Politis and White, "Automatic block-length
selection for the dependent bootstrap", 2004, with the correction by Patton, Politis and White, 2009.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def block_length(series: FloatArray) -> float:
    """The mean length of blocks that estimates the mean's variance best."""
    size = len(series)
    centred = series - series.mean()
    most = math.ceil(math.sqrt(size)) + max(5, math.ceil(math.sqrt(math.log10(size))))
    run = max(5, math.ceil(math.sqrt(math.log10(size))))
    length = 1 << (2 * size).bit_length()
    covariance = np.fft.irfft(np.abs(np.fft.rfft(centred, length)) ** 2, length)[: 2 * most + 1] / size
    if covariance[0] <= 0:
        return 1.0
    small = np.abs(covariance[1:] / covariance[0]) < 2 * math.sqrt(math.log10(size) / size)
    lag = next((m for m in range(most) if small[m : m + run].all()), most)
    window = min(2 * max(lag, 1), most)
    lags = np.arange(-window, window + 1)
    flat_top = np.minimum(1.0, 2 * (1 - np.abs(lags) / window))
    weighted = flat_top * covariance[np.abs(lags)]
    spectrum = float(weighted.sum())
    if spectrum <= 0:
        return 1.0
    slope = float((weighted * np.abs(lags)).sum())
    best = (2 * slope**2 / (2 * spectrum**2)) ** (1 / 3) * size ** (1 / 3)
    return float(min(max(best, 1.0), math.ceil(min(3 * math.sqrt(size), size / 3))))


def resampled_sums(
    series: FloatArray, count: int, length: float, draws: int, generator: np.random.Generator
) -> FloatArray:
    """Sums of so many places of resampled series, `[draws]`."""
    size = len(series)
    sums = np.concatenate(([0.0], np.cumsum(np.concatenate((series, series, series[:count])))))
    total = np.empty(draws)
    blocks = int(count / length + 10 * math.sqrt(count / length) + 10)
    for draw in range(draws):
        lengths = np.minimum(generator.geometric(1 / length, blocks), count)
        ends = np.minimum(np.cumsum(lengths), count)
        lengths = np.diff(ends, prepend=0)
        starts = generator.integers(0, size, blocks)
        total[draw] = (sums[starts + lengths] - sums[starts]).sum()
    return total
