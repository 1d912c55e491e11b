"""The demo's own small parts: its picture and the numbers it hands on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tailgate.units import parse_duration
from tailgate_loadgen.demo.live import Watch
from tailgate_loadgen.demo.play import plain

START_AND_STAY = """
import sys
from tailgate_loadgen.contention import Contention
contention = Contention(2, None)
contention.start()
print(*(process.pid for process in contention._running), flush=True)
sys.stdin.read()
"""


def status(labelled: int, right: int, answered_labelled: int, ok: int) -> dict[str, Any]:
    return {
        "labelled": labelled,
        "right": right,
        "right_in_time": right,
        "answered_labelled": answered_labelled,
        "outcomes": {"ok": ok, "ok_late": 0},
    }


def test_accuracy_of_answers_is_that_of_labelled_answers_only() -> None:
    watch = Watch()
    watch.update(0.0, status(10, 10, 10, ok=10), contention=False)
    watch.update(1.0, status(30, 25, 26, ok=126), contention=False)  # a hundred answers of somebody without labels
    assert watch.accuracy == 15 / 16
    assert watch.time_critical == 15 / 20


def test_without_a_labelled_answer_there_is_no_accuracy() -> None:
    watch = Watch()
    watch.update(0.0, status(10, 0, 0, ok=0), contention=False)
    watch.update(1.0, status(20, 0, 0, ok=50), contention=False)
    assert (watch.accuracy, watch.time_critical) == (None, 0.0)


@pytest.mark.parametrize("number", [25.0, 0.5, 1 / 3, 1e-7, 3_599_999.875, 1e16, 123456.789])
def test_a_number_handed_on_reads_back_as_itself(number: float) -> None:
    assert float(plain(number)) == number
    assert parse_duration(f"{plain(number)}s") == number


def test_busy_processes_end_by_themselves_when_their_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", START_AND_STAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    busy = [int(pid) for pid in parent.stdout.readline().split()]
    for pid in busy:
        os.kill(pid, 0)  # it is there, or this raises
    parent.kill()
    try:
        parent.communicate(timeout=120)  # until nobody holds its standard output any more, which they inherited
    except subprocess.TimeoutExpired:
        for pid in busy:
            os.kill(pid, signal.SIGKILL)
        raise
