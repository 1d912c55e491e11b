"""What a pass loses by stalls is a compound Poisson sum: its moments are exact, its quantiles those of simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tailgate.prediction.clusters import Clusters, clusters_of, overlaps
from tailgate.prediction.compound import BINS, Losses, groups_of, losses
from tailgate.prediction.history import history_of

SAMPLES, PASSES = 2000, 10
LENGTHS = (20, 20, 20, 55, 90, 90, 1, 1, 1)


def made() -> tuple[Clusters, float, Losses]:
    times = np.full(PASSES * SAMPLES, 0.01)
    for number, length in enumerate(LENGTHS):
        times[700 + 2100 * number : 700 + 2100 * number + length] = 0.2
    history = history_of(times.reshape(PASSES, SAMPLES), np.ones(SAMPLES), 0.05)
    clusters = clusters_of(history)
    assert sorted(clusters.length.tolist()) == sorted(LENGTHS)
    group, counts = groups_of(clusters)
    assert [counts[place] for place in group] == [LENGTHS.count(length) for length in clusters.length.tolist()]
    mean = float(history.loss.sum()) / PASSES
    return clusters, mean, losses(clusters, mean, float(SAMPLES), weights=counts[None, :].astype(float), unseen=None)


def test_its_mean_is_the_historys_and_its_variance_that_of_stalls_that_come_independently() -> None:
    clusters, mean, found = made()
    probability = -np.diff(np.append(found.exceeded[0], 0))
    loss = found.shift[0] + found.width * np.arange(BINS)
    assert probability.sum() == pytest.approx(1)
    found_mean = float((probability * loss).sum())
    assert found_mean == pytest.approx(mean, rel=1e-6)
    second = sum(
        float((values**2 * times).sum()) for values, times in (overlaps(excess, SAMPLES) for excess in clusters.excess)
    )
    variance = float((probability * (loss - found_mean) ** 2).sum())
    assert variance == pytest.approx(second / (SAMPLES * PASSES), rel=0.01)


def test_its_quantiles_are_those_of_simulated_passes() -> None:
    _, _, found = made()
    generator = np.random.default_rng(2)
    lengths = np.array(LENGTHS)
    span = SAMPLES + max(LENGTHS)
    simulated: list[int] = []
    for _ in range(40_000):
        total = 0
        for length in np.repeat(lengths, generator.poisson(span / (SAMPLES * PASSES), len(lengths))).tolist():
            start = int(generator.integers(-max(LENGTHS), SAMPLES))
            total += max(min(start + length, SAMPLES) - max(start, 0), 0)
        simulated.append(total)
    for level in (0.01, 0.05, 0.3):
        # The largest loss that so many passes reach, plus or minus what 40,000 passes leave open.
        low, high = np.quantile(simulated, (1 - level * 1.08, 1 - level * 0.92), method="inverted_cdf").tolist()
        (value,) = found.largest(level).tolist()
        assert low - 1.5 <= value <= high + 1.5
