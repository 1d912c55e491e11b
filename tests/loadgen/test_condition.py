"""Contention that is real, is over when the run is, and stands in the trace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tailgate.errors import ConfigError, UsageError
from tailgate_loadgen.condition import Condition, parse_condition, under

if TYPE_CHECKING:
    from tests.loadgen.conftest import Ran, Server


def children() -> set[int]:
    """Processes that this one started."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                found.add(int(entry.name))
    return found


def resident_mib(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux's /proc")


@proc
def test_as_many_processes_are_busy_as_asked_for_and_none_afterwards() -> None:
    before = children()
    with under(Condition("busy", cpu=2)):
        assert len(children() - before) == 2
    assert children() == before


@proc
def test_so_much_memory_is_held_as_asked_for_and_none_afterwards() -> None:
    before = children()
    with under(Condition("full", memory_gib=0.0625)):
        (process,) = children() - before
        assert resident_mib(process) >= 64
    assert children() == before


@proc
def test_a_run_that_fails_ends_its_condition_too() -> None:
    before = children()

    def fail() -> None:
        with under(Condition("both", cpu=1, memory_gib=0.0625)):
            assert len(children() - before) == 2
            raise KeyError("the run fails")

    with pytest.raises(KeyError):
        fail()
    assert children() == before


@proc
def test_more_memory_than_is_free_is_refused() -> None:
    sentence = r"asks for 1e\+06 GiB of memory, and .* GiB are free; ask for less"
    with pytest.raises(UsageError, match=sentence), under(Condition("full", memory_gib=1e6)):
        pass


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("quiet=none", Condition("quiet")),
        ("busy=cpu:3", Condition("busy", cpu=3)),
        ("full=memory:.5", Condition("full", memory_gib=0.5)),
        ("both=cpu:1,memory:2", Condition("both", 1, 2.0)),
    ],
)
def test_a_condition_is_what_was_typed(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    "text",
    ["", "busy", "busy=", "=cpu:1", "a b=none", "x=cpu", "x=cpu:1,", "x=,memory:1", "x=cpu:1memory:1", "x=gpu:1"],
)
def test_a_condition_without_a_meaning_gets_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="expected NAME=none, NAME=cpu:N, NAME=memory:GIB"):
        parse_condition(text)


@pytest.mark.parametrize("text", ["x=cpu:0", "x=cpu:1025", "x=memory:0", "x=cpu:1,memory:0.001"])
def test_contention_of_nothing_or_without_bounds_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected from 1 to 1024 busy processes, and at least 1/64 GiB"):
        parse_condition(text)


def test_the_condition_stands_in_the_trace(load: Callable[..., Ran], server: Server) -> None:
    ran = load(target=server.address, samples=10, condition="busy=cpu:1")
    assert ran.status == 0
    assert ran.trace.header["condition"] == {"name": "busy", "cpu": 1, "memory_gib": 0.0}
    assert load(target=server.address, samples=5, folder="other").trace.header["condition"] is None
    wrong = load(target=server.address, condition="busy", folder="wrong")
    assert (wrong.status, wrong.error.count("\n")) == (2, 1)
