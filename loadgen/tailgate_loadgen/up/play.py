"""Everything that runs, from the first process to the last."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import Any

from rich.console import Console

from tailgate_loadgen.contention import Contention
from tailgate_loadgen.demo.stage import Actor, ending_on_signals, two_cpus
from tailgate_loadgen.up.monitoring import Programs, slo_of, write_files
from tailgate_loadgen.up.webhook import Webhook

MODEL = "digits"
LOAD_PASSES = 100
"""Of 898 images each; a load that has ended is followed by the next."""
LOOK_S = 0.5
SAY_S = 10.0
TROUBLE_EVERY_S, TROUBLE_S = 240.0, 60.0
"""With --trouble, the server's processor is busy with something else for so long, so often."""


@dataclass(frozen=True)
class Script:
    """What is to run.

    Attributes:
        out: Folder for logs, configuration and Prometheus's data.
        cache: Folder in which the trained network is kept.
        listen: Where the proxy serves gRPC.
        admin: Where it serves the live page and its metrics.
        rate: Requests per second.
        deadline_ms: Milliseconds a request has.
        objective: Time-critical accuracy that is promised.
        floor: Of a single minute.
        trouble: Whether there is to be some, now and then.
        seconds: For how long; None: until it is interrupted.
    """

    out: Path
    cache: Path
    listen: str
    admin: str
    rate: float
    deadline_ms: float
    objective: float
    floor: float
    trouble: bool
    seconds: float | None


class Play:
    """All processes, and what is said about them."""

    def __init__(self, script: Script, programs: Programs, console: Console) -> None:
        """Nothing is started before `run`."""
        self._script = script
        self._programs = programs
        self._console = console
        self._server_cpu, self._other_cpu = two_cpus()
        self._actors: list[Actor] = []
        self._load: Actor | None = None
        self._loads = count(1)

    def run(self) -> None:
        """Start everything, keep it running, and end it all.

        Raises:
            UsageError: A part did not start, or ended.
        """
        script = self._script
        weights = script.cache / "digits.safetensors"
        with ending_on_signals(), ExitStack() as stage:
            with self._console.status("training the digits network, unless a trained one is there ..."):
                self._start(stage, "train-digits", "--out", str(weights), "--if-missing").check([0])
                self._actors.clear()
            with self._console.status("starting server and proxy ..."):
                target, admin = self._serve(stage, weights)
            lines = [f"live page     http://{admin}/", f"metrics       http://{admin}/metrics"]
            lines += self._watch(stage)
            for line in lines:
                self._console.print(line, highlight=False)
            contention = Contention(1, self._server_cpu)
            stage.callback(contention.stop)
            self._keep_up(stage, target, admin, contention)

    def _serve(self, stage: ExitStack, weights: Path) -> tuple[str, str]:
        script = self._script
        server = ("--model", MODEL, "--weights", str(weights), "--device", "cpu", "--threads", "1")
        address = self._start(stage, "server", *server, "--listen", "127.0.0.1:0", cpu=self._server_cpu).wait_for(
            r"server listening on (\S+)"
        )[1]
        (script.out / "targets").mkdir(exist_ok=True)
        proxy = self._start(
            stage,
            "proxy",
            *("--upstream", address, "--listen", script.listen, "--admin", script.admin, "--admin-open"),
            *("--deadline", f"{script.deadline_ms:g}ms", "--discovery", str(script.out / "targets" / "proxy.json")),
            *("--objective", str(script.objective), "--floor", str(script.floor)),
            cpu=self._other_cpu,
        )
        listening = proxy.wait_for(r"proxy listening on (\S+), admin on (\S+)")
        return listening[1], listening[2]

    def _watch(self, stage: ExitStack) -> list[str]:
        """Start Prometheus and Alertmanager where they are; returns what there is to say of them."""
        script, programs = self._script, self._programs
        if programs.prometheus is None:
            return programs.missing
        lines = programs.missing
        webhook = Webhook(self._tell)
        stage.callback(webhook.close)
        alertmanager = f"127.0.0.1:{free_port()}" if programs.alertmanager is not None else None
        slo = slo_of(MODEL, script.deadline_ms, script.objective, script.floor)
        write_files(script.out, slo, alertmanager, webhook.url)
        if programs.alertmanager is not None and alertmanager is not None:
            self._start_program(
                stage,
                programs.alertmanager,
                f"--config.file={script.out / 'alertmanager.yml'}",
                f"--storage.path={script.out / 'alertmanager'}",
                f"--web.listen-address={alertmanager}",
                "--cluster.listen-address=",
            )
            lines.append(f"Alertmanager  http://{alertmanager}/  (alerts are printed here, too)")
        prometheus = f"127.0.0.1:{free_port()}"
        self._start_program(
            stage,
            programs.prometheus,
            f"--config.file={script.out / 'prometheus.yml'}",
            f"--storage.tsdb.path={script.out / 'prometheus'}",
            f"--web.listen-address={prometheus}",
        )
        return [f"Prometheus    http://{prometheus}/", *lines]

    def _keep_up(self, stage: ExitStack, target: str, admin: str, contention: Contention) -> None:
        """Keep the load running, and see that everything else does, until the time is up."""
        script, began_s, said_s = self._script, time.monotonic(), 0.0
        while script.seconds is None or time.monotonic() - began_s < script.seconds:
            for actor in self._actors:
                actor.must_run()
            self._keep_loading(stage, target)
            elapsed_s = time.monotonic() - began_s
            busy = script.trouble and elapsed_s % TROUBLE_EVERY_S >= TROUBLE_EVERY_S - TROUBLE_S
            if busy and not contention.active:
                self._console.print("trouble begins: the server has to share its processor")
                contention.start()
            elif contention.active and not busy:
                self._console.print("trouble is over")
                contention.stop()
            if elapsed_s - said_s >= SAY_S:
                said_s = elapsed_s
                self._console.print(status_line(read_status(admin)), highlight=False)
            time.sleep(LOOK_S)

    def _keep_loading(self, stage: ExitStack, target: str) -> None:
        script = self._script
        if self._load is not None and self._load.exit_status is None:
            return
        number = next(self._loads)
        if number > 1:  # status 2 is a run that could not keep its own schedule, which is no reason to stop here
            rmtree(script.out / f"load-{number - 1}", ignore_errors=True)
        arguments = (
            *("--target", target, "--model", MODEL, "--dataset", "digits", "--rate", f"{script.rate:g}"),
            *("--deadline", f"{script.deadline_ms:g}ms", "--passes", str(LOAD_PASSES), "--seed", str(number)),
            *("--trace", str(script.out / f"load-{number}"), "--max-lag", f"{script.deadline_ms:g}ms", "--quiet"),
        )
        self._load = self._start(stage, "load", *arguments, cpu=self._other_cpu)
        self._actors.remove(self._load)  # this one may end

    def _start(self, stage: ExitStack, name: str, *arguments: str, cpu: int | None = None) -> Actor:
        return self._add(stage, Actor([name, *arguments], self._script.out / f"{name}.log", cpu))

    def _start_program(self, stage: ExitStack, program: str, *arguments: str) -> Actor:
        log = self._script.out / f"{Path(program).name}.log"
        return self._add(stage, Actor(arguments, log, program=(program,)))

    def _add(self, stage: ExitStack, actor: Actor) -> Actor:
        stage.callback(actor.stop)
        self._actors.append(actor)
        return actor

    def _tell(self, status: str, name: str, summary: str) -> None:
        self._console.print(f"alert {status}: {name}: {summary}", style="red" if status == "firing" else "green")


def read_status(admin: str) -> dict[str, Any]:
    """The proxy's own word; empty where it does not answer in time."""
    try:
        with urllib.request.urlopen(f"http://{admin}/status.json", timeout=5.0) as response:
            document: dict[str, Any] = json.load(response)
    except OSError:
        return {}
    return document


def status_line(status: dict[str, Any]) -> str:
    """What is going on, in a line.

    >>> status_line({"received": 7, "time_critical_accuracy": 0.5, "accuracy_of_answers": None})
    '7 requests; time-critical accuracy 50.0%, accuracy of answers –'
    """
    if not status:
        return "the proxy does not answer"
    shares = (status["time_critical_accuracy"], status["accuracy_of_answers"])
    critical, answers = ("–" if share is None else f"{share:.1%}" for share in shares)
    return f"{status['received']:,} requests; time-critical accuracy {critical}, accuracy of answers {answers}"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
