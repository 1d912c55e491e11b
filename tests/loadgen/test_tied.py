"""Commands that end with whoever started them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tailgate_loadgen import tied as module
from tailgate_loadgen.tied import tied

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells processes that their parent is gone")

_PARENT = """
import subprocess, sys, time
from tailgate_loadgen.tied import tied
child = subprocess.Popen(tied([sys.executable, "-c", "print('here', flush=True); import time; time.sleep(600)"]),
                         stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_command_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
    give_up_s = time.monotonic() + 60
    while not gone(child):
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def test_a_command_is_itself_and_has_its_arguments_and_its_status() -> None:
    code = "import sys; print(sys.argv[1:], sys.flags.isolated); sys.exit(7)"
    done = subprocess.run(tied([sys.executable, "-c", code, "-IS", "a b"]), capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("['-IS', 'a b'] 0\n", 7)


def test_a_command_whose_parent_was_gone_before_is_not_begun() -> None:
    another = os.getpid() + 1
    command = [sys.executable, "-IS", module.__file__, str(another), sys.executable, "-c", "print('begun')"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def test_a_command_that_is_not_there_says_so() -> None:
    done = subprocess.run(tied(["/no/such/program"]), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No such file" in done.stderr
