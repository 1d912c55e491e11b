"""What a fault run is judged by: nothing that is wrong passes, and nothing is excused but the fault itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench._raw_client import Asked
from faults.cases import Case
from faults.every import EVERY
from faults.machine import unmet
from faults.stage import SPARE_FILES, Ended, Stage
from tailgate.audit.finding import Breach, Finding
from tailgate.errors import Status

pytestmark = pytest.mark.beside_others  # it computes

ASKED = Asked("a", 1.0, 0.0, 0.0, status=Status.OK, ended_s=0.5)
SOUND = Ended(
    findings=(Finding("I2", "a request is booked once", 1),),
    log=(ASKED,),
    outcomes={"ok": 1},
    crossed=0,
    files_more=0,
    recovery_s=0.1,
    latest_s=-0.5,
    exit_status=0,
    details={},
)


async def strike(_: Stage) -> None:
    raise AssertionError("nobody plays it here")


def seen(ended: Ended) -> None:
    assert ended.outcomes["ok"] == 1


CASE = Case("some", 1, strike, seen)


def test_a_sound_run_has_nothing_against_it() -> None:
    assert CASE.judge(SOUND) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            replace(SOUND, findings=(Finding("I2", "p", 1, (Breach(1, "ids occur twice", ("a",)),)),)),
            "I2: 1 ids occur twice (a)",
        ),
        (replace(SOUND, findings=(Finding("I1", "p", unchecked="no metrics"),)), "not checked, I1: no metrics"),
        (replace(SOUND, crossed=2), "2 answers were those of other requests"),
        (replace(SOUND, files_more=SPARE_FILES + 1), f"{SPARE_FILES + 1} more files are open than before"),
        (replace(SOUND, exit_status=1), "the proxy ended with 1"),
        (replace(SOUND, recovery_s=None), "calls were never answered again as before"),
        (replace(SOUND, outcomes={"ok": 0}), "not seen, seen"),
    ],
)
def test_each_thing_that_is_wrong_is_said(wrong: Ended, said: str) -> None:
    (told,) = CASE.judge(wrong)
    assert told.startswith(said)


def test_what_is_the_fault_itself_is_excused_and_nothing_beside_it() -> None:
    breaches = (Breach(3, "observations are missing", ()), Breach(1, "records are damaged", ()))
    ended = replace(SOUND, findings=(Finding("I7", "whole", 9, breaches),))
    assert CASE.judge(ended) == ["I7: 3 observations are missing ()", "I7: 1 records are damaged ()"]
    assert replace(CASE, fault=("observations are missing",)).judge(ended) == ["I7: 1 records are damaged ()"]


def test_every_need_of_every_case_can_be_looked_up_and_says_in_words_what_is_missing() -> None:
    for case in EVERY:
        why = unmet(case.needs)
        assert why is None or why.startswith("needs ")
