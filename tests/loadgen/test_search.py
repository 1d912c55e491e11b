"""The search for the highest rate, against targets whose limit is known, and once against a real server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tailgate.errors import ConfigError
from tailgate_loadgen.command import COMMAND
from tailgate_loadgen.options import read_options
from tailgate_loadgen.search import (
    Found,
    RateSearch,
    SearchOptions,
    Trial,
    Verdict,
    highest_bearable,
    min_requests,
    read_search,
)

if TYPE_CHECKING:
    from tests.loadgen.conftest import Ran, Server

HIGHEST = 1e5


def search_for(
    verdict: Callable[[Trial], Verdict], start: float, precision: float = 0.05, highest: float = HIGHEST
) -> tuple[Found, list[Trial]]:
    search, trials = RateSearch(start, precision, highest), list[Trial]()
    while trial := search.next():
        trials.append(trial)
        search.record(verdict(trial))
    return search.found(), trials


@given(
    limit=st.floats(0.5, 5e4),
    other=st.one_of(st.just(1.0), st.floats(0.7, 1.4)),
    distance=st.floats(0.02, 60),
    precision=st.sampled_from([0.01, 0.05, 0.3]),
)
def test_the_rate_found_holds_with_both_seeds_and_is_as_close_to_the_limit_as_asked(
    limit: float, other: float, distance: float, precision: float
) -> None:
    by_seed = (limit, limit * other)
    found, trials = search_for(
        lambda trial: Verdict.HELD if trial.rate <= by_seed[trial.seed] else Verdict.MISSED,
        min(limit * distance, HIGHEST),
        precision,
    )
    assert found.rate is not None
    assert found.rate <= min(by_seed) < found.rate * (1 + precision) * (1 + 1e-9)
    assert found.limit is Verdict.MISSED
    assert {trial.seed for trial in trials if trial.rate == found.rate} == {0, 1}
    assert len(trials) == len(set(trials)) <= 40


@given(seed=st.integers(0, 1000), start=st.floats(1.0, 1e4))
def test_a_target_of_chance_ends_the_search_and_nothing_unconfirmed_is_called_found(seed: int, start: float) -> None:
    import random

    chance = random.Random(seed)
    held: dict[float, set[int]] = {}
    failed: list[float] = []

    def verdict(trial: Trial) -> Verdict:
        if chance.random() < 0.5:
            failed.append(trial.rate)
            return Verdict.MISSED
        held.setdefault(trial.rate, set()).add(trial.seed)
        return Verdict.HELD

    found, trials = search_for(verdict, start)
    assert len(trials) <= 40
    if found.rate is not None:
        assert held[found.rate] == {0, 1}
        assert found.rate not in failed


def test_a_target_without_a_limit_is_tried_up_to_the_highest_rate_allowed() -> None:
    found, trials = search_for(lambda _: Verdict.HELD, 100, highest=1000)
    assert found == Found(1000, None)
    assert [trial.rate for trial in trials] == [100, 200, 400, 800, 1000, 1000]


def test_a_target_that_never_holds_is_tried_down_to_a_hundredth_of_the_first_rate() -> None:
    found, trials = search_for(lambda _: Verdict.MISSED, 100)
    assert found == Found(None, Verdict.MISSED)
    assert [trial.rate for trial in trials] == [100, 50, 25, 12.5, 6.25, 3.125, 1.5625, 1]


def test_where_the_generator_ends_the_search_that_is_said() -> None:
    found, _ = search_for(lambda trial: Verdict.HELD if trial.rate < 700 else Verdict.INVALID, 100)
    assert found.limit is Verdict.INVALID
    assert found.rate is not None
    assert 650 < found.rate < 700


@given(limit=st.floats(0.5, 1e6), lowest=st.floats(0.01, 10))
def test_the_highest_bearable_rate_is_found_to_within_a_hundredth_and_is_bearable(limit: float, lowest: float) -> None:
    limit = max(limit, lowest)
    found = highest_bearable(lambda rate: rate <= limit, lowest, HIGHEST)
    assert found <= limit
    assert found == HIGHEST or found * 1.0105 > limit


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_the_least_number_of_requests_is_the_one_that_binomial_bounds_give(share: float) -> None:
    least = min_requests(share)
    assert stats.binom.cdf(1, least, 1 - share) <= 0.01 < stats.binom.cdf(1, least - 1, 1 - share)


def test_each_rate_is_tried_with_whole_passes_that_last_long_enough() -> None:
    wanted = SearchOptions(target_quality=0.99, start=100, max_rate=1000, precision=0.05, probe_s=2.0)
    assert wanted.passes(samples=100, rate=50, least=1) == 7  # 662 requests
    assert wanted.passes(samples=100, rate=1000, least=1) == 20  # 2 s
    assert wanted.passes(samples=898, rate=50, least=3) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--target-quality is missing; expected a share above 0 and below 1"),
        (["--target-quality=1"], "--target-quality is 1.0"),
        (
            ["--target-quality=0.9", "--rate=9", "--max-rate=8"],
            "--max-rate is 8.0; expected at least --rate, which is 9",
        ),
        (["--target-quality=0.9", "--precision=0"], "--precision is 0.0; expected a share from 0.005 to 1"),
        (["--target-quality=0.9", "--probe-time=3"], "--probe-time is '3'"),
        (["--target-quality=0.9", "--arrivals=csv:x"], "--arrivals is a recording, and a search needs a rate"),
        (["--target-quality=0.9", "--min-quality=0.9@50ms"], "are about one run; leave them out of a search"),
    ],
)
def test_a_search_for_nothing_gets_one_sentence(arguments: list[str], sentence: str) -> None:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    needed = ["--target=localhost:1", "--model=m", "--dataset=digits", "--trace=t"]
    namespace = parser.parse_args(["search", *needed, *arguments])
    with pytest.raises(ConfigError) as caught:
        read_search(namespace, read_options(namespace))
    assert sentence in str(caught.value)


@pytest.mark.alone  # what it measures is this machine's and the server's
def test_a_search_finds_where_a_real_server_begins_to_miss(
    load: Callable[..., Ran], load_valid: Callable[..., Ran], server: Server
) -> None:
    # It answers one request after the other, 10 ms each: over 100 a second the queue grows without end.
    ran = load_valid(
        action="search",
        model="queues",
        target=server.address,
        arrivals="constant",
        rate=80,
        deadline="200ms",
        samples=65,
        target_quality=0.95,
        probe_time="500ms",
        precision=0.5,
        max_rate=1000,
    )
    assert ran.status == 0, ran.error
    found = json.loads((ran.folder / "search.json").read_text())
    assert 0.8 <= found["rate"] < 160  # where a third of 130 requests would be late, however fast the machine
    assert f"{found['rate']:g} requests a second" in ran.output
    # On a busy machine the generator itself may be kept from its instants, and the search says that it was.
    lowest = min((probe for probe in found["probes"] if probe["verdict"] != "held"), key=lambda probe: probe["rate"])
    assert found["limit"] == lowest["verdict"]
    verdicts = {(probe["rate"], probe["seed"]): probe["verdict"] for probe in found["probes"]}
    assert verdicts[found["rate"], 0] == verdicts[found["rate"], 1] == "held"
    for probe in found["probes"]:
        summary = json.loads((ran.folder / "probes" / probe["folder"] / "summary.json").read_text())
        assert summary["run"]["rate"] == probe["rate"]
        if probe["verdict"] == "held":
            assert summary["valid"]
            assert summary["arrivals"] == summary["scheduled"] >= 130
        elif probe["verdict"] == "missed":
            assert probe["stopped"]
            assert summary["arrivals"] < summary["scheduled"]
        else:
            assert probe["invalid_because"]
    again = load(action="search", target=server.address, target_quality=0.9, folder=ran.folder.name)
    assert (again.status, "never overwritten" in again.error) == (2, True)


@pytest.mark.alone  # its runs have to be valid, with deadlines that are short
def test_a_search_that_finds_nothing_is_exit_1(load_valid: Callable[..., Ran], server: Server) -> None:
    ran = load_valid(
        action="search",
        model="mixed",  # answers a third right
        target=server.address,
        rate=1000,
        samples=10,
        deadline="100ms",
        target_quality=0.5,
        probe_time="10ms",
    )
    assert ran.status == 1
    assert "held at no rate with both seeds" in ran.error
