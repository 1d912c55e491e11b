"""What is shown while a run goes on."""

from __future__ import annotations

import asyncio
import math

import pytest

from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate_loadgen.screen import Screen
from tailgate_loadgen.tally import Tally


def observation(outcome: Outcome, predicted: int = 1) -> Observation:
    return Observation("r", "m", "", 0.0, 1.0, 0.5, outcome, predicted=predicted, label=1)


def test_the_line_says_sent_in_flight_late_right_and_right_in_time() -> None:
    tally = Tally(total=20, started=10)
    assert "– of answers right" in str(tally)
    for outcome, predicted in (
        (Outcome.OK, 1),
        (Outcome.OK, 0),
        (Outcome.OK_LATE, 1),
        (Outcome.DEADLINE_IN_FLIGHT, -1),
    ):
        tally.add(observation(outcome, predicted))
    assert str(tally) == (
        "10 sent, 6 in flight, 50.00% late or unanswered, 66.67% of answers right, 25.00% right and in time"
    )


def test_the_line_says_how_the_passes_stand_where_that_is_asked() -> None:
    tally = Tally(total=20, started=10, standing="after 12 passes: rJSD 0.071 and 0.083")
    assert str(tally).endswith("right and in time; after 12 passes: rJSD 0.071 and 0.083")


async def test_progress_is_drawn_on_a_terminal_in_a_gap_of_the_schedule(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("tailgate_loadgen.screen.REDRAW_S", 0.0)
    monkeypatch.setattr("tailgate_loadgen.screen.LOOK_S", 0.0)
    looks: list[float] = []

    def idle_s() -> float:
        looks.append(0.0 if len(looks) < 2 else math.inf)
        return looks[-1]

    with Screen(quiet=False) as screen:
        following = asyncio.create_task(screen.follow(Tally(total=20, started=10), idle_s))
        while len(looks) < 3:
            assert "in flight" not in capsys.readouterr().err
            await asyncio.sleep(0)
        while len(looks) < 4:  # this one comes after the first drawing
            await asyncio.sleep(0)
        following.cancel()
    assert "10 sent, 10 in flight" in capsys.readouterr().err


def test_quiet_and_pipes_see_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with Screen(quiet=quiet) as screen:
            screen.progress("preparing images", 1, 2)
            asyncio.run(screen.follow(Tally(total=1), lambda: math.inf))
    assert capsys.readouterr() == ("", "")
