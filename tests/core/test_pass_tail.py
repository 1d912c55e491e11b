"""Statistics over passes are those of a plain loop; a density's threshold is the one that so many exceed."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.pass_tail import pass_tail, thresholds_by_density

times = st.sampled_from([0.0, 0.01, 0.02, 0.05, 1.0, math.inf]) | st.floats(0, 2)


@given(st.integers(1, 120), st.integers(1, 6), st.integers(0, 2**31))
def test_every_statistic_is_that_of_a_plain_loop(passes: int, samples: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    latency = generator.choice([0.01, 0.02, 0.05, math.inf], (passes, samples))
    score = generator.integers(0, 2, samples).astype(float)
    thresholds = [0.05, 0.01]
    found = pass_tail(latency, score, thresholds)
    for place, threshold_s in enumerate(thresholds):
        qualities = sorted(
            sum(float(s) for t, s in zip(row, score, strict=True) if t <= threshold_s) / samples for row in latency
        )
        assert found.worst[place] == qualities[0]
        assert found.best[place] == qualities[-1]
        assert found.mean[place] == pytest.approx(statistics.fmean(qualities), abs=1e-12)
        assert found.std[place] == pytest.approx(statistics.pstdev(qualities), abs=1e-9)
        for quantile, values in ((Fraction(1, 100), found.p1), (Fraction(1, 20), found.p5)):
            rank = max(math.ceil(quantile * passes), 1)
            assert values[place] == qualities[rank - 1]


def test_of_a_hundred_passes_p1_is_the_worst_and_of_more_it_is_not() -> None:
    latency = np.where(np.arange(200)[:, None] == 0, 1.0, 0.01)
    hundred, more = (pass_tail(latency[:count], [1.0], [0.05]) for count in (100, 200))
    assert (hundred.p1[0], hundred.worst[0]) == (0, 0)
    assert (more.p1[0], more.worst[0]) == (1, 0)


def test_without_a_pass_there_is_nothing_to_say() -> None:
    with pytest.raises(ValueError, match="no pass"):
        pass_tail(np.empty((0, 3)), [1, 1, 1], [0.1])


@given(st.lists(times, min_size=1, max_size=60), st.integers(0, 1000))
def test_the_threshold_of_a_density_is_the_smallest_time_that_at_most_that_share_exceeds(
    latencies: list[float], permille: int
) -> None:
    (found,) = thresholds_by_density(latencies, [permille / 1000]).tolist()
    allowed = Fraction(permille, 1000) * len(latencies)
    assert sum(time > found for time in latencies) <= allowed
    assert all(sum(time > smaller for time in latencies) > allowed for smaller in latencies if smaller < found)


@pytest.mark.parametrize(("latency", "density"), [([], 0.1), ([0.1], 1.1), ([0.1], -0.1), ([0.1], math.nan)])
def test_what_has_no_density_is_refused(latency: list[float], density: float) -> None:
    with pytest.raises(ValueError, match="densit"):
        thresholds_by_density(latency, [density])
