"""The bandwidth is that of a literal transcription of its paper with SciPy's tools; the density is SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, optimize, stats

from tailgate.kernel_density import density_on_grid, improved_sheather_jones


def literally(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Algorithm 1 of Botev, Grotowski and Kroese, with plain bins, SciPy's cosine transform and SciPy's root."""
    bins = 1 << 14
    low, high = values.min() - np.ptp(values) / 2, values.max() + np.ptp(values) / 2
    mass, _ = np.histogram(values, bins, (low, high))
    squared = (np.asarray(fft.dct(mass / len(values)), np.float64)[1:] / 2) ** 2
    k = np.arange(1, bins, dtype=np.float64)

    def norm(s: int, t: float) -> float:
        return float(2 * np.pi ** (2 * s) * np.sum(k ** (2 * s) * squared * np.exp(-(k**2) * np.pi**2 * t)))

    def gamma(t: float) -> float:
        f = norm(7, t)
        for s in (6, 5, 4, 3, 2):
            product = np.prod(np.arange(1, 2 * s, 2, dtype=np.float64)) / np.sqrt(2 * np.pi)
            f = norm(s, ((1 + 0.5 ** (s + 0.5)) / 3 * product / (len(values) * f / 2)) ** (2 / (3 + 2 * s)))
        return float((2 * len(values) * np.sqrt(np.pi) * f) ** -0.4)

    root: Any = optimize.brentq(lambda t: t - gamma(t), 1e-8, 0.1, xtol=1e-14)
    return float(np.sqrt(root) * (high - low))


def samples(kind: str, size: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    generator = np.random.default_rng(seed)
    match kind:
        case "one mode":
            return generator.normal(0.05, 0.004, size)
        case "skewed":
            return 0.04 + generator.gamma(4, 0.001, size)
        case _:
            return np.where(
                generator.random(size) < 0.7, generator.normal(0.05, 0.004, size), generator.normal(0.1, 0.01, size)
            )


@given(st.sampled_from(["one mode", "skewed", "two modes"]), st.integers(500, 3000), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_the_bandwidth_is_that_of_the_papers_algorithm(kind: str, size: int, seed: int) -> None:
    values = samples(kind, size, seed)
    assert improved_sheather_jones(values) == pytest.approx(literally(values), rel=0.01)


def test_of_normal_values_it_is_near_the_bandwidth_that_is_best_for_them() -> None:
    values = np.random.default_rng(8).normal(0, 1, 20_000)
    assert improved_sheather_jones(values) == pytest.approx((4 / 3) ** 0.2 * 20_000**-0.2, rel=0.15)


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
@settings(max_examples=25, deadline=None)
def test_a_bandwidth_has_the_values_unit(scale: float, offset: float) -> None:
    values = samples("two modes", 400, 1)
    plain, scaled = improved_sheather_jones(values), improved_sheather_jones(values * scale + offset)
    assert plain is not None
    assert scaled == pytest.approx(plain * scale, rel=1e-3)


@pytest.mark.parametrize("values", [[], [1.0], [2.0] * 50])
def test_what_has_no_spread_has_no_bandwidth(values: list[float]) -> None:
    assert improved_sheather_jones(values) is None


def test_the_density_is_the_mean_of_the_kernels() -> None:
    values = samples("two modes", 300, 3)
    low, high, points, bandwidth = float(values.min()), float(values.max()), 1000, 0.003
    grid = np.linspace(low, high, points)
    expected = stats.gaussian_kde(values, bandwidth / values.std(ddof=1))(grid)
    found = density_on_grid(values, bandwidth, low, high, points)
    assert found.sum() == pytest.approx(1)
    assert found == pytest.approx(expected / expected.sum(), abs=1e-3 * float((expected / expected.sum()).max()))
