"""The instants of each kind of arrivals against the distribution that its name promises, at fixed seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import linalg, stats

from tailgate.errors import ConfigError
from tailgate_loadgen.arrival_spec import Recording, parse_arrivals
from tailgate_loadgen.arrivals import Gamma, Mmpp, Ramp, Replay, Steps, mean_rate
from tailgate_loadgen.seeds import generator

FloatArray = npt.NDArray[np.float64]
COUNT = 50_000
NO_EVIDENCE = 1e-3  # p-value below which a Kolmogorov-Smirnov test says that the distribution is another one


def due_s(text: str, rate: float, count: int = COUNT, seed: int = 3) -> FloatArray:
    arrivals = parse_arrivals(text)
    assert not isinstance(arrivals, Recording)
    return arrivals.due_s(generator(seed), count, rate)


@pytest.mark.parametrize("text", ["constant", "poisson", "gamma:0.25", "gamma:4", "mmpp:8,50ms,400ms"])
def test_the_mean_rate_is_the_one_that_was_asked_for(text: str) -> None:
    assert mean_rate(due_s(text, 200.0, 200_000)) == pytest.approx(200, rel=0.02)


@pytest.mark.parametrize("shape", [0.25, 1.0, 4.0])
def test_gamma_gaps_are_independent_and_of_that_shape(shape: float) -> None:
    gaps = np.diff(due_s(f"gamma:{shape}", 200.0), prepend=0.0)
    assert stats.kstest(gaps, stats.gamma(shape, scale=1 / (200 * shape)).cdf).pvalue > NO_EVIDENCE
    assert gaps.std() / gaps.mean() == pytest.approx(shape**-0.5, rel=0.03)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 5 / COUNT**0.5


def distributed_as(rate_at: Callable[[FloatArray], FloatArray], instants_s: FloatArray) -> float:
    """The p-value of instants of a Poisson process whose rate is this function of time.

    Given their number up to the last, the others are independent, with the rate as density; integrated on a grid here.
    """
    grid = np.linspace(0.0, float(instants_s[-1]), 200_001)
    middles = (grid[1:] + grid[:-1]) / 2
    integral = np.concatenate([[0.0], np.cumsum(rate_at(middles))])
    p_value: float = stats.kstest(np.interp(instants_s[:-1], grid, integral / integral[-1]), "uniform").pvalue
    return p_value


@pytest.mark.parametrize(("start", "end", "within_s"), [(0.1, 2.0, 60.0), (3.0, 0.5, 30.0), (1.0, 1.0, 10.0)])
def test_a_ramp_goes_straight_from_one_multiple_of_the_rate_to_the_other_and_stays(
    start: float, end: float, within_s: float
) -> None:
    instants_s = due_s(f"ramp:{start},{end},{within_s}s", 200.0)
    assert instants_s[-1] > within_s
    assert distributed_as(lambda t: start + (end - start) * np.minimum(t / within_s, 1.0), instants_s) > NO_EVIDENCE
    after = instants_s[instants_s > within_s]
    assert mean_rate(after) == pytest.approx(200 * end, rel=0.02)


def test_steps_have_one_multiple_of_the_rate_after_the_other_and_the_last_one_stays() -> None:
    instants_s = due_s("steps:1@10s,4@2s,0.5@10s,2", 200.0)
    edges = np.array([0, 10, 12, 22])
    factors = np.array([1, 4, 0.5, 2])
    assert distributed_as(lambda t: factors[np.searchsorted(edges, t, side="right") - 1], instants_s) > NO_EVIDENCE
    counts = np.histogram(instants_s, [0, 10, 12, 22])[0]
    assert counts == pytest.approx([2000, 1600, 1000], rel=0.1)


def test_the_gaps_of_an_mmpp_are_those_of_its_two_states() -> None:
    # Between arrivals the process is killed at rate λ in its state: P(gap > t) = φ exp((Q − Λ) t) 1, where φ are the
    # states that arrivals find (Fischer and Meier-Hellstern, 1993).
    process, rate = Mmpp(ratio=10, burst_s=0.05, calm_s=0.4), 200.0
    rates = np.array(process.rates(rate))
    leaving = np.array([1 / process.burst_s, 1 / process.calm_s])
    generator_matrix = np.array([[-leaving[0], leaving[0]], [leaving[1], -leaving[1]]])
    share = leaving[::-1] / leaving.sum()
    assert share @ rates == pytest.approx(rate)
    found = share * rates / rate
    gaps = np.diff(process.due_s(generator(5), 400_000, rate), prepend=0.0)
    for at_s in (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04):
        longer = found @ linalg.expm((generator_matrix - np.diag(rates)) * at_s) @ np.ones(2)
        assert (gaps > at_s).mean() == pytest.approx(longer, abs=0.005)


def test_an_mmpp_is_burstier_than_a_poisson_process_by_as_much_as_the_formula_says() -> None:
    # The variance of counts over their mean, in long windows (Fischer and Meier-Hellstern, 1993).
    process, rate = Mmpp(ratio=10, burst_s=0.05, calm_s=0.4), 200.0
    (high, low), (out_of_burst, out_of_calm) = process.rates(rate), (1 / process.burst_s, 1 / process.calm_s)
    expected = 1 + 2 * (high - low) ** 2 * out_of_burst * out_of_calm / (
        (out_of_burst + out_of_calm) ** 2 * (high * out_of_calm + low * out_of_burst)
    )
    for arrivals, wanted in ((process, expected), (parse_arrivals("poisson"), 1.0)):
        assert not isinstance(arrivals, Recording)
        instants_s = arrivals.due_s(generator(5), 400_000, rate)
        counts = np.histogram(instants_s, np.arange(0, instants_s[-1], 10.0))[0]
        assert counts.var() / counts.mean() == pytest.approx(wanted, rel=0.3)


def test_bursts_too_short_to_be_drawn_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"would change its state about 1e\+08 times"):
        due_s("mmpp:2,0.01us,0.01us", 1.0, count=1)
    assert (due_s("mmpp:1,1ms,1ms", 5.0, count=2) >= 0).all()


def test_a_replay_has_the_gaps_of_its_recording_or_the_rate_that_is_asked_for() -> None:
    instants_s = np.array([100.0, 100.5, 100.5, 102.0, 109.0])
    as_recorded = Replay(instants_s, "csv:x", as_recorded=True)
    assert as_recorded.due_s(generator(0), 4, 7.0).tolist() == [0, 0.5, 0.5, 2]
    stretched = Replay(instants_s, "csv:x", as_recorded=False).due_s(generator(0), 4, 30.0)
    assert stretched == pytest.approx([0, 0.025, 0.025, 0.1])
    assert mean_rate(stretched) == pytest.approx(30)


def test_a_replay_of_too_few_instants_is_refused() -> None:
    with pytest.raises(ConfigError, match="--arrivals csv:x has 3 instants for 4 requests; ask for fewer"):
        Replay(np.arange(3.0), "csv:x", as_recorded=True).due_s(generator(0), 4, 1.0)
    with pytest.raises(ConfigError, match="has all its instants at once"):
        Replay(np.zeros(3), "csv:x", as_recorded=False).due_s(generator(0), 3, 1.0)


def test_arrivals_are_what_was_typed() -> None:
    assert parse_arrivals("gamma:0.25") == Gamma(0.25)
    assert parse_arrivals(" mmpp:8,500ms,4s ") == Mmpp(8, 0.5, 4)
    assert parse_arrivals("ramp:0.1,2,60s") == Ramp(0.1, 2, 60)
    assert parse_arrivals("steps:2") == Steps((2,), ())
    assert isinstance(parse_arrivals("csv:a,b:c.csv"), Recording)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("bursty", "--arrivals is 'bursty'; expected constant, poisson, gamma:SHAPE"),
        ("poisson:3", "--arrivals is 'poisson:3'; expected"),
        ("gamma", "--arrivals is 'gamma', whose SHAPE is ''"),
        ("gamma:0", "whose SHAPE is '0'; expected a number from 0.001 to 1000"),
        ("gamma:nan", "whose SHAPE is 'nan'"),
        ("mmpp:8,1s", "--arrivals is 'mmpp:8,1s'; expected"),
        ("mmpp:8,1,4s", "--arrivals mmpp:8,1,4s: the time is '1'; expected a number above zero with its unit"),
        ("ramp:1,x,4s", "whose TO is 'x'"),
        ("steps:1@1s,2@1s", "every step but the last one has a time"),
        ("steps:1,2", "every step but the last one has a time"),
        ("steps:", "whose X is ''"),
        ("trace:", "--arrivals is 'trace:'; expected"),
    ],
)
def test_arrivals_without_a_meaning_get_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_arrivals(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
