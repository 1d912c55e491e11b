"""What holds for all tests.

Hypothesis never judges by the clock, so a busy machine fails nothing. On a person's machine it looks for new examples
every time; in CI it takes the same ones, so that a change is judged by what it changed.

Whatever starts several processes under load needs the machine to itself; so does what is marked `alone` by itself. Of
the folders that hold such tests those run beside others that say so: they measure nothing, and put nothing under load.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent
ALONE = ("e2e", "faults")
"""Folders of which every test has the machine to itself, unless it is marked `beside_others`."""
MARK = "mark.alone"
"""Stands in every other file that has such a test."""
FIRST = ("repo/test_compiled.py",)
"""What takes minutes at a stretch is begun first, so that no worker waits for it in the end."""

_COLLECTED = pytest.StashKey[frozenset[str]]()

settings.register_profile("tailgate", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
settings.load_profile("tailgate")

for number in (signal.SIGINT, signal.SIGHUP):
    # What a shell or nohup starts in the background ignores one of these; so would all that tests start and interrupt.
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)  # which does nothing here, and is not inherited by what is started


def is_alone(path: Path) -> bool:
    """Whether a folder or file of tests may hold one that needs the machine to itself."""
    if not path.is_relative_to(TESTS) or path == TESTS or path.relative_to(TESTS).parts[0] in ALONE:
        return True
    files = path.rglob("test_*.py") if path.is_dir() else (path,)
    return any(MARK in file.read_text(encoding="utf-8") for file in files)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where only tests that need the machine to themselves are asked for, import no others: all take half a minute."""
    only_alone = config.getoption("markexpr") == "alone"
    return True if only_alone and not is_alone(collection_path) else None


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark those that need the machine to themselves, and put those first that take long."""
    config.stash[_COLLECTED] = frozenset(item.nodeid for item in items)
    for item in items:
        inside = item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in ALONE
        if inside and item.get_closest_marker("beside_others") is None:
            item.add_marker(pytest.mark.alone)
        if item.get_closest_marker("alone") is not None and not is_alone(item.path):
            raise pytest.UsageError(
                f"{item.nodeid} is marked alone, but {MARK} does not stand in its file; write it there"
            )
    items.sort(key=lambda item: item.path not in [TESTS / path for path in FIRST])


@pytest.fixture(scope="session")
def every_test(pytestconfig: pytest.Config) -> frozenset[str]:
    """The names of all tests that were found in this run, whether they are run or not."""
    return pytestconfig.stash[_COLLECTED]
