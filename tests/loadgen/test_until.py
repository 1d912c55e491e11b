"""Runs that end when their passes are enough: what was sent is whole, and what was not is counted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tailgate.trace.files import TraceWriter
from tailgate.trace.views import passes_of
from tailgate_loadgen.arrivals import Poisson
from tailgate_loadgen.options import Until
from tailgate_loadgen.schedule import make_schedule
from tailgate_loadgen.seeds import derive_seeds
from tailgate_loadgen.stop_rule import PassesInOrder, StopRule
from tailgate_loadgen.watch import Watch

if TYPE_CHECKING:
    from tests.loadgen.conftest import Ran, Server

    Load = Callable[..., Ran]

MOST = 5000
SAMPLES = 12
LEAST = 6
"""Passes: the first look at which p1 is asked for its tolerance."""


def test_a_run_whose_passes_are_enough_ends_after_a_whole_pass_and_counts_what_was_not_needed(
    load: Load, server: Server
) -> None:
    # A sixth of the answers is right, so the interval of p1 is narrower than a half as soon as anybody asks.
    ran = load(
        model="mixed", target=server.address, samples=SAMPLES, passes=MOST, rate=400, deadline="300ms",
        tolerance=0.5, seed=5, max_lag="10s",
    )  # fmt: skip
    summary, header = ran.summary, ran.trace.header
    late = [reason for reason in summary["invalid_because"] if "past their deadline" in reason]
    assert summary["invalid_because"] == late  # of which a machine that is busy may be guilty
    made = summary["arrivals"] // SAMPLES
    assert LEAST <= made < MOST
    assert summary["not_needed"] == (MOST - made) * SAMPLES
    assert summary["arrivals"] + summary["not_needed"] == summary["scheduled"] == MOST * SAMPLES
    stopping = summary["stopping"]
    assert stopping["met_after_passes"] == LEAST
    assert stopping["most_passes"] == MOST
    assert stopping["watched_to_the_end"]
    assert [(one["passes"], one["enough"]) for one in stopping["curve"]] == [(2, False), (4, False), (LEAST, True)]
    assert f"{summary['not_needed']:,} not needed" in ran.output
    # Every pass is whole, and together they are the beginning of the schedule of all passes, whose hash stands there.
    assert all(one["complete"] for one in summary["passes"])
    assert passes_of(ran.rows, SAMPLES).score.shape == (made, SAMPLES)
    whole = make_schedule(
        dataset_size=898, passes=MOST, rate=400.0, arrivals=Poisson(), seeds=derive_seeds(5), samples=SAMPLES
    )
    assert header["schedule_sha256"] == whole.sha256
    assert (header["passes"], header["until"]["most_passes"], header["until"]["tolerance"]) == (None, MOST, 0.5)
    rows = np.sort(ran.rows, order="arrival_unix_s")
    assert rows["sample"].tolist() == whole.sample[: made * SAMPLES].tolist()
    assert rows["arrival_unix_s"] - header["start_unix_s"] == pytest.approx(whole.due_s[: made * SAMPLES], abs=1e-6)


def test_a_run_that_never_is_enough_makes_all_its_passes_and_says_so_with_the_curve(load: Load, server: Server) -> None:
    ran = load("--until-stable", target=server.address, samples=5, passes=14, rate=400)
    assert ran.status == 0, ran.error
    summary = ran.summary
    assert (summary["not_needed"], summary["arrivals"]) == (0, 70)
    rule = StopRule(Until(stable=True, tolerance=None), 20.0)
    said = [standing for one in PassesInOrder(5).take(ran.rows) if (standing := rule.feed(one)) is not None]
    assert [one["rjsd_total"] for one in summary["stopping"]["curve"]] == [one.rjsd_total for one in said]
    assert [one["rjsd_answering"] for one in summary["stopping"]["curve"]] == [one.rjsd_answering for one in said]
    enough = next((one.passes for one in said if one.enough), None)
    assert summary["stopping"]["met_after_passes"] == enough
    assert ("never" in ran.output) == (enough is None)
    assert summary["stopping"]["until"] == {"rjsd": 0.05, "tolerance": None}


def test_a_watcher_that_is_killed_ends_no_run_and_is_missed(tmp_path: Path) -> None:
    watch = Watch(Until(stable=True, tolerance=None), [tmp_path / "client.trace"], 5, 1.0)
    try:
        process = watch._process
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        watch.read()
        assert not watch.alive
        said = watch.finish(20)
        assert (said["met_after_passes"], said["watched_to_the_end"], said["curve"]) == (None, False, [])
    finally:
        watch.close()


def test_the_watcher_ends_when_whoever_started_it_is_gone(tmp_path: Path) -> None:
    TraceWriter(tmp_path / "client.trace", {"role": "client"}).close()
    watch = Watch(Until(stable=True, tolerance=None), [tmp_path / "client.trace"], 5, 1.0)
    watch.pipe.close()  # as the kernel does
    give_up_s = time.monotonic() + 60
    while watch._process.is_alive():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
    assert watch._process.exitcode == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tolerance": 0.01, "passes": 5}, "--passes is 5, which is the most that will be made, and --tolerance takes"),
        ({"tolerance": 1, "passes": 50}, "--tolerance is 1.0; expected a share above 0 and below 1, such as 0.01"),
        (
            {"tolerance": 0.01, "passes": 50, "shard": "0/2", "run_id": "r", "start_at": 1},
            "--tolerance needs the times of the whole run, and a shard has only its own; take --procs instead",
        ),
    ],
)
def test_a_rule_that_makes_no_sense_gets_one_sentence(
    load: Load, server: Server, options: dict[str, object], sentence: str
) -> None:
    ran = load(target=server.address, **options)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert sentence in ran.error


def test_stability_needs_six_fits_and_so_twelve_passes(load: Load, server: Server) -> None:
    ran = load("--until-stable", target=server.address, passes=11)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert "--passes is 11, which is the most that will be made, and --until-stable takes at least 12" in ran.error


def test_a_search_has_no_use_for_a_rule(load: Load, server: Server) -> None:
    ran = load(action="search", target=server.address, target_quality=0.9, tolerance=0.1, passes=50)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert "leave them out of a search" in ran.error
