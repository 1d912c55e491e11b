"""What has come of a simulation (`bench/simulation.py`) is kept when it is stopped, and says what was seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import _common, _sim_results
from bench._sim_episodes import BACK, TELLING, Recovery
from bench._sim_network import Network
from bench._sim_plan import AFTER_S, BEFORE_S, RECOVERED_S, plan
from bench._sim_planted import PLANTED, Found
from bench._sim_results import BEGIN, END, HOURS, WRITE_EVERY_S, Ran, Results, within

FOUND = [Found("balance", "errors", 1, 2.0)] * len(PLANTED)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results and document are written."""
    monkeypatch.setattr(_common, "RESULTS", tmp_path)
    monkeypatch.setattr(_sim_results, "DOCUMENT", tmp_path / "simulation.md")
    (tmp_path / "simulation.md").write_text(f"before\n{BEGIN}\nwhat was there\n{END}\nafter\n")
    return tmp_path


def ran(seed: int, *back_s: float, kind: str = "crash", broken: tuple[str, float, str] | None = None) -> Ran:
    return Ran(kind, seed, 1.0, 36.0, 1000, 100, 2, back_s, {"ok": 90, "draining": 10}, broken)


def test_a_run_that_is_stopped_keeps_the_hours_it_has_reached(folder: Path) -> None:
    def interrupted() -> Iterator[Ran]:
        yield ran(1, 0.0, 2.0)
        yield ran(2, 1.0)
        raise KeyboardInterrupt

    results = Results(HOURS, look=False)
    assert not results.gather(FOUND, interrupted())
    results.write()
    claims = {claim["claim"]: claim for claim in json.loads((folder / "simulation.json").read_text())["claims"]}
    assert claims["virtual hours"]["value"] == 2.0
    assert not claims["virtual hours"]["ok"]
    assert claims["worlds that broke a promise, in 2 virtual hours"]["ok"]
    assert claims["planted bugs found"]["ok"]
    text = (folder / "simulation.md").read_text()
    assert text.startswith(f"before\n{BEGIN}\n2 virtual hours, 36 s of a core for each")
    assert text.endswith(f"{END}\nafter\n")
    assert "1,000 of them are 10.0 hours of a core" in text
    assert "| crash | 1–2 | 2 | 2000 | 200 | 3 | 90.0% | 4 | 1.0 / 2.0 / 2.0 | 0 |" in text


def test_what_has_come_is_written_while_the_run_goes_on(folder: Path) -> None:
    seen: list[float] = []
    now_s = 0.0

    def worlds() -> Iterator[Ran]:
        nonlocal now_s
        for seed in range(6):
            yield ran(seed)
            now_s += WRITE_EVERY_S / 2.0
            file = folder / "simulation.json"
            seen.append(json.loads(file.read_text())["claims"][0]["value"] if file.exists() else 0.0)

    assert Results(HOURS, look=False).gather(FOUND, worlds(), clock=lambda: now_s)
    assert seen == [0.0, 0.0, 3.0, 3.0, 5.0, 5.0]


@pytest.mark.parametrize(("hours", "look"), [(13.0, True), (39.0, False)])
def test_fewer_hours_than_a_thousand_do_not_take_the_place_of_a_run_that_was_to_reach_them(
    hours: float, look: bool, folder: Path
) -> None:
    whole = Results(HOURS, look=False, ran=[ran(1), ran(2)], found=FOUND)
    whole.write()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    Results(hours, look=look, ran=[ran(3)], found=FOUND).write()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_world_that_broke_a_promise_is_named_with_the_command_that_runs_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(HOURS, look=False)
    assert results.gather(FOUND, [ran(7, kind="turned away", broken=("limit", 12.5, "9 are sent"))])
    results.write()
    assert "--kind 'turned away' --seed 7" in capsys.readouterr().out
    written = json.loads((folder / "simulation.json").read_text())
    assert "--kind 'turned away' --seed 7" in written["failing"][0]
    assert not written["claims"][1]["ok"]


def test_a_planted_bug_that_was_not_found_stands_there(folder: Path) -> None:
    results = Results(HOURS, look=False, ran=[ran(1)], found=[*FOUND[:-1], Found("")])
    results.write()
    assert "**not found**" in (folder / "simulation.md").read_text()
    assert not json.loads((folder / "simulation.json").read_text())["claims"][2]["ok"]


def test_half_and_95_percent_and_all_of_the_faults_were_over_by_then() -> None:
    seconds = [float(one) for one in range(1, 101)]
    assert within(list(reversed(seconds))) == (50.0, 95.0, 100.0)
    assert within([3.0]) == (3.0, 3.0, 3.0)


def recovery(bad: set[int], each_s: float = 0.2) -> tuple[float, list[float]]:
    """How long after its end a fault was over, where requests come one after another, and these were not in time."""
    world = plan("crash", 1, 400.0, 10.0)
    episode = world.episodes[0]
    found = Recovery(episode, world, Network.__new__(Network))
    count = int(BEFORE_S / 2.0 / each_s)
    found._before.ended = [(episode.start_s - BEFORE_S + each_s * one, True) for one in range(count)]
    times = [each_s * one for one in range(int((RECOVERED_S + AFTER_S / 2.0) / each_s))]
    found._since.ended = [(episode.end_s + at_s, number not in bad) for number, at_s in enumerate(times)]
    return found.seconds(), times


def test_a_fault_is_over_with_the_last_request_that_was_missed_by_too_many() -> None:
    few = round((1.0 - BACK) * TELLING)
    assert recovery(set())[0] == 0.0
    assert recovery(set(range(100, 100 + few)))[0] == 0.0
    seconds, times = recovery(set(range(100, 110)))
    assert seconds == pytest.approx(times[109])


def test_a_fault_after_which_only_the_first_requests_were_missed_was_not_over_at_once() -> None:
    few = round((1.0 - BACK) * TELLING)
    seconds, times = recovery(set(range(few + 1)))
    assert seconds == pytest.approx(times[few])
