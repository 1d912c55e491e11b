"""What a schedule asks of a process, held against what it can send: by definition, and at the edge of the allowed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import ConfigError
from tailgate_loadgen.arrivals import Constant, Poisson
from tailgate_loadgen.capacity import (
    NONE_MADE,
    SHARE,
    Calibration,
    Strain,
    check,
    enough_processes,
    peak_rate,
    strain_of,
)
from tailgate_loadgen.schedule import Schedule, make_schedule
from tailgate_loadgen.seeds import derive_seeds
from tailgate_loadgen.sharing import Shard


def schedule(count: int, rate: float, arrivals: Constant | Poisson | None = None) -> Schedule:
    return make_schedule(dataset_size=count, passes=1, rate=rate, arrivals=arrivals or Poisson(), seeds=derive_seeds(3))


def calibration(rate: float) -> Calibration:
    return Calibration({1000: rate}, 0.0)


@given(st.lists(st.integers(0, 5000), max_size=60))
def test_the_peak_is_the_most_that_is_due_within_any_second_or_within_a_run_that_is_shorter(due_ms: list[int]) -> None:
    due_s = np.sort(np.array(due_ms, np.float64)) / 1024  # exact in binary, so that edges are edges
    every = due_s.tolist()
    window_s = min(1.0, max(0.1, every[-1] - every[0])) if every else 1.0
    most = max((sum(one <= other < one + window_s for other in every) for one in every), default=0)
    assert peak_rate(due_s) == most / window_s


def test_a_run_that_is_over_at_once_has_the_rate_that_was_asked_for() -> None:
    assert peak_rate(np.arange(900) / 4000) == pytest.approx(4000, rel=0.01)
    assert peak_rate(np.zeros(5)) == 50  # a handful of requests is no flood, however close they are


def test_a_burst_counts_as_itself_however_low_the_mean_is() -> None:
    due_s = np.concatenate([np.arange(1000) / 10, 50 + np.arange(500) / 1000])
    assert peak_rate(np.sort(due_s)) >= 505


def test_capacity_is_what_was_measured_lies_between_sizes_and_falls_with_bytes_above_them() -> None:
    known = Calibration({1_000: 8_000.0, 100_000: 2_000.0}, 0.0)
    assert known.capacity(1_000) == pytest.approx(8_000)
    assert known.capacity(100_000) == pytest.approx(2_000)
    assert known.capacity(10_000) == pytest.approx(4_000)  # half-way on both logarithmic scales
    assert known.capacity(10) == pytest.approx(8_000)
    assert known.capacity(400_000) == pytest.approx(500)


def test_up_to_two_fifths_of_the_capacity_is_bearable_and_no_request_more() -> None:
    assert Strain(1, 1000, 400.0, 1000.0).bearable
    assert not Strain(1, 1000, 401.0, 1000.0).bearable
    assert Strain(1, 1000, 1e9, None, NONE_MADE).bearable  # what is not known refuses nothing


def test_a_refusal_gives_the_numbers_and_what_to_do() -> None:
    with pytest.raises(ConfigError) as caught:
        check(Strain(1, 3300, 900.0, 1000.0), most=8)
    assert str(caught.value) == (
        "the schedule asks one process for up to 900 requests of 3300 bytes a second; it was calibrated to send "
        "1000, and above 40% of that (400) it would take its own delay for the target's: take --procs 3 or auto, or "
        "lower --rate"
    )
    with pytest.raises(ConfigError, match="it would take 3 of them, so lower --rate, or share the run among machines"):
        check(Strain(1, 3300, 900.0, 1000.0), most=2)


@given(rate=st.floats(50, 5000), capacity=st.floats(100, 5000), constant=st.booleans())
def test_auto_takes_the_fewest_processes_that_bear_it(rate: float, capacity: float, *, constant: bool) -> None:
    whole, known, most = schedule(3000, rate, Constant() if constant else Poisson()), calibration(capacity), 16
    if not strain_of(whole, None, most, 1000, known).bearable:
        with pytest.raises(ConfigError, match="share the run among machines"):
            enough_processes(whole, 1000, known, most)
        return
    strain = enough_processes(whole, 1000, known, most)
    assert strain.bearable
    assert strain.peak_rate <= SHARE * capacity
    if strain.processes > 1:
        assert not strain_of(whole, None, strain.processes - 1, 1000, known).bearable


def test_auto_without_a_calibration_is_refused_with_how_to_make_one() -> None:
    with pytest.raises(
        ConfigError, match="--procs is auto, which rests on a calibration, and none was made: 'tailgate"
    ):
        enough_processes(schedule(10, 10.0), 1000, NONE_MADE, 8)


def test_of_a_shard_its_own_share_is_asked() -> None:
    whole = schedule(4000, 1000.0, Constant())
    strain = strain_of(whole, Shard(1, 4), 1, 1000, calibration(1e4))
    assert strain.peak_rate == pytest.approx(250, abs=1)
    assert strain.share == pytest.approx(0.025, rel=0.01)
