"""The simulator (`bench/simulation.py`): some minutes of every kind of fault, and every planted bug."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench._sim_plan import KINDS, plan
from bench._sim_planted import PLANTED, QUIET_S, SHORT_S, find
from bench._sim_promises import PROMISES
from bench._sim_world import World

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_no_promise_is_broken_whatever_goes_wrong(kind: str) -> None:
    promises = World(plan(kind, 1, SHORT_S, QUIET_S)).run()
    assert promises.first is None
    assert promises.arrived > 300
    assert len(promises.recoveries_s) >= 1


@pytest.mark.parametrize("kind", ["crash", "freeze", "stuck", "slow", "errors", "turned away", "overload", "mixed"])
def test_no_promise_is_broken_where_requests_are_hedged_either(kind: str) -> None:
    plans = (plan(kind, seed, SHORT_S, QUIET_S) for seed in range(1, 100))
    several = next(one for one in plans if one.machines > 1 and one.admission == "adaptive")
    promises = World(replace(several, hedge_after=0.95, profile="generic")).run()
    assert promises.first is None
    assert promises.hedges > 0


@pytest.mark.parametrize("number", range(len(PLANTED)), ids=[planted.name for planted in PLANTED])
def test_a_planted_bug_is_found_by_the_promise_that_it_breaks(number: int) -> None:
    assert find(number).promise == PLANTED[number].breaks
    assert PLANTED[number].breaks in PROMISES


def test_the_same_seed_is_the_same_world_and_another_is_another() -> None:
    def counted(seed: int) -> tuple[int, dict[str, int]]:
        world = World(plan("mixed", seed, 60.0, QUIET_S))
        outcomes = world.run().outcomes
        return world.loop.happened, {outcome.label: count for outcome, count in outcomes.items()}

    assert counted(1) == counted(1) != counted(2)


@pytest.mark.parametrize("kind", ["renamed", "mixed"])
def test_the_same_seed_is_the_same_world_in_every_process(kind: str) -> None:
    def told(hash_seed: str) -> str:
        script = (
            "from bench._sim_plan import plan; from bench._sim_world import World\n"
            f"world = World(plan({kind!r}, 1, {SHORT_S}, {QUIET_S})); promises = world.run()\n"
            "print(world.loop.happened, promises.arrived, sorted(promises.outcomes.items()), promises.recoveries_s)"
        )
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            (sys.executable, "-c", script), cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
            timeout=600,
        )  # fmt: skip
        return done.stdout

    assert told("1") == told("2") != ""
