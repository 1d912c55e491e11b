"""The demo from beginning to end."""

from __future__ import annotations

import json
import math
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live

from tailgate_loadgen.contention import Contention
from tailgate_loadgen.demo.live import Watch, render
from tailgate_loadgen.demo.stage import Actor, ending_on_signals, two_cpus
from tailgate_loadgen.outputs import SUMMARY_NAME

SAMPLES = 898
"""In the validation half of the digits."""

POLL_S = 0.25
QUIET_LINE_S = 5.0
"""How often to say a line where there is no terminal to draw on."""


@dataclass(frozen=True)
class Script:
    """What is to be played.

    Attributes:
        out: Folder for everything that is made.
        cache: Folder in which the trained network is kept.
        seconds: Length of the replay, about.
        rate: Requests per second.
        deadline_ms: Milliseconds a request has.
        mode: What the proxy does at the deadline.
        busy: Busy processes during the contention; 0 for none.
    """

    out: Path
    cache: Path
    seconds: float
    rate: float
    deadline_ms: float
    mode: str
    busy: int

    @property
    def passes(self) -> int:
        """Whole passes that fill the time."""
        return max(1, math.ceil(self.seconds * self.rate / SAMPLES))

    @property
    def replay_s(self) -> float:
        """How long those take."""
        return self.passes * SAMPLES / self.rate


def play(script: Script, console: Console) -> None:
    """Run it; traces, summary and `events.json` lie in the script's folder afterwards.

    Raises:
        UsageError: A part of it did not start or failed.
    """
    weights = script.cache / "digits.safetensors"
    server_cpu, other_cpu = two_cpus()
    with ending_on_signals(), ExitStack() as stage:

        def start(name: str, *arguments: str, cpu: int | None = None) -> Actor:
            actor = Actor([name, *arguments], script.out / f"{name}.log", cpu)
            stage.callback(actor.stop)
            return actor

        with console.status("training the digits network, unless a trained one is there ..."):
            start("train-digits", "--out", str(weights), "--if-missing").check([0])
        with console.status("starting server and proxy ..."):
            # One thread of torch: a second one would wait at barriers for the processor that everybody else needs.
            server = start(
                "server",
                "--model",
                "digits",
                "--weights",
                str(weights),
                "--device",
                "cpu",
                "--threads",
                "1",
                "--listen",
                "127.0.0.1:0",
                cpu=server_cpu,
            )
            address = server.wait_for(r"server listening on (\S+)")[1]
            proxy = start(
                "proxy",
                "--upstream",
                address,
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--deadline",
                f"{plain(script.deadline_ms)}ms",
                "--mode",
                script.mode,
                "--trace",
                str(script.out),
                cpu=other_cpu,
            )
            listening = proxy.wait_for(r"proxy listening on (\S+), admin on (\S+)")
        load = start(
            "load",
            "--target",
            listening[1],
            "--model",
            "digits",
            "--dataset",
            "digits",
            "--rate",
            plain(script.rate),
            "--arrivals",
            "poisson",
            "--deadline",
            f"{plain(script.deadline_ms)}ms",
            "--passes",
            str(script.passes),
            "--seed",
            "7",
            "--trace",
            str(script.out),
            "--quiet",
            "--on-deadline",
            "cancel" if script.mode == "enforce" else "wait",
            # A demonstration shares its processors with all that it shows; how late requests left, the summary says.
            "--max-lag",
            f"{plain(script.deadline_ms / 2)}ms",
            cpu=other_cpu,
        )
        contention = Contention(script.busy, server_cpu)
        stage.callback(contention.stop)
        _watch(script, load, f"http://{listening[2]}/status.json", contention, console)
        # Status 2 is a run that is not valid, which has a summary, or one that could not begin, which has none.
        load.check([0, 2] if (script.out / SUMMARY_NAME).exists() else [0])
        contention.stop()
        (script.out / "events.json").write_text(json.dumps(contention.events(), indent=2) + "\n")
        proxy.stop()  # drained and closed, so that its trace is complete


def _watch(script: Script, load: Actor, url: str, contention: Contention, console: Console) -> None:
    """Show the run until the load generator ends; contention fills its middle third."""
    watch, first_s, said_s = Watch(), None, 0.0
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        for now_s in _ticks():
            if load.exit_status is not None:
                return
            status = _status(url)
            if first_s is None and status["received"]:
                first_s = now_s
            elapsed_s = 0.0 if first_s is None else now_s - first_s
            middle = 1 / 3 <= elapsed_s / script.replay_s < 2 / 3
            if script.busy and middle and contention.start_unix_s is None:
                contention.start()
            if contention.active and not middle:
                contention.stop()
            watch.update(now_s, status, contention=contention.active)
            live.update(render(watch, elapsed_s, script.replay_s, contention=contention.active))
            if not console.is_terminal and watch.time_critical is not None and now_s - said_s >= QUIET_LINE_S:
                said_s = now_s
                console.print(
                    f"{elapsed_s:5.0f} s  {'contention' if contention.active else 'healthy   '}  "
                    f"accuracy of answers {'–' if watch.accuracy is None else f'{watch.accuracy:.1%}'}, "
                    f"time-critical {watch.time_critical:.1%}"
                )


def plain(number: float) -> str:
    """The shortest digits that read back as this number, without an exponent, which no duration may have."""
    return np.format_float_positional(number, trim="-")


def _ticks() -> Iterator[float]:
    while True:
        yield time.monotonic()
        time.sleep(POLL_S)


def _status(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10.0) as response:  # noqa: S310 — our own proxy on loopback
        document: dict[str, Any] = json.load(response)
    return document
