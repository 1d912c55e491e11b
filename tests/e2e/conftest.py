"""Real processes: what a user would start, started the way a user would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

READY_TIMEOUT_S = 300.0


@dataclass
class Running:
    """A process that said it was ready.

    Attributes:
        process: Itself.
        ready: Groups of the line that said so.
        log: What it says.
    """

    process: subprocess.Popen[bytes]
    ready: tuple[str, ...]
    log: Path

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(120)


Start = Callable[..., Running]


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Starts commands, each of which writes into this folder what it says, and kills them all in the end."""
    running: list[Running] = []

    def start_one(*command: str, ready: str) -> Running:
        log = folder / f"process-{len(running)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        one = Running(process, (), log)
        running.append(one)
        give_up_s = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < give_up_s and process.poll() is None:
            match = re.search(ready, log.read_text())
            if match:
                one.ready = match.groups()
                return one
            time.sleep(0.05)
        raise AssertionError(f"{command} did not get ready; it said:\n{log.read_text()}")

    try:
        yield start_one
    finally:
        for one in running:
            if one.process.poll() is None:
                one.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command and wait for the line that says it is ready; everything is killed after the test."""
    with starting(tmp_path) as start_one:
        yield start_one


@pytest.fixture(scope="module")
def start_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """The same for what several tests look at: everything is killed after the module's last one."""
    with starting(tmp_path_factory.mktemp("processes")) as start_one:
        yield start_one


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the trained network lies, once some test has had it trained."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def start_server(start: Start) -> Callable[..., Running]:
    """A model server with the digits network, untrained."""

    def start_it(*options: str) -> Running:
        command = (
            sys.executable, "-m", "tailgate", "server", "--model", "digits", "--weights", "random:1", "--device", "cpu",
            "--threads", "1", "--listen", "127.0.0.1:0", *options,
        )  # fmt: skip
        return start(*command, ready=r"server listening on (\S+)")

    return start_it


@pytest.fixture
def start_proxy(start: Start) -> Callable[..., Running]:
    """A proxy in front of an address."""

    def start_it(upstream: str, *options: str) -> Running:
        command = (
            sys.executable, "-m", "tailgate", "proxy", "--upstream", upstream, "--listen", "127.0.0.1:0",
            "--admin", "127.0.0.1:0", *options,
        )  # fmt: skip
        return start(*command, ready=r"proxy listening on (\S+), admin on (\S+)")

    return start_it


@pytest.fixture
def start_scripted_upstream(start: Start) -> Callable[..., Running]:
    """A V2 server that answers late or wrong by a rule of the test's choosing (scripted_upstream.py)."""

    def start_it(port: int = 0, *, log: Path | None = None, slower: int = 1) -> Running:
        script = Path(__file__).with_name("scripted_upstream.py")
        options = ("--slower", str(slower), *(() if log is None else ("--log", str(log))))
        return start(sys.executable, str(script), str(port), *options, ready=r"listening on (\S+)")

    return start_it


Until = Callable[..., None]


@pytest.fixture
def until() -> Until:
    """Wait for a condition; fails with what was waited for when it takes too long."""

    def wait(condition: Callable[[], object], what: str, *, seconds: float = 180.0) -> None:
        give_up_s = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < give_up_s, f"waited {seconds} s in vain for {what}"
            time.sleep(0.02)

    return wait


@pytest.fixture
def tailgate() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a `tailgate` command to its end."""

    def run(*arguments: str, timeout_s: float = 900.0) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"COLUMNS": "200", "TERM": "dumb"}
        return subprocess.run(
            [sys.executable, "-m", "tailgate", *arguments],
            capture_output=True, text=True, timeout=timeout_s, env=environment, check=False,
        )  # fmt: skip

    return run
