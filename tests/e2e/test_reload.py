"""SIGHUP: another configuration for a proxy of one process, and for one of several, while clients go on."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER

FRAME = RequestFrame("digits", "image", "UINT8", (1, 4))
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
READY = r"proxy listening on (\S+), admin on (.+)\n"


def metric(admin: str, name: str, **labels: str) -> float:
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=60) as response:
        families = text_string_to_metric_families(response.read().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def send(target: str, names: list[str]) -> None:
    """Each over a connection of its own, so that every worker gets some; whichever fails raises."""
    for name in names:
        with grpc.insecure_channel(target, options=OPTIONS) as channel:
            infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
            infer(FRAME.build(name, b"abcd"), timeout=300)


def names_of(word: str, count: int = 30) -> list[str]:
    return [f"{word}{number}-1" for number in range(count)]


def write(file: Path, text: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hangup_puts_a_good_file_to_use_in_every_process_and_a_bad_one_in_none(
    workers: int, start: Any, start_scripted_upstream: Any, until: Any, tmp_path: Path
) -> None:
    logs = {name: tmp_path / f"{name}.log" for name in ("first", "second")}
    ports = {name: start_scripted_upstream(log=log).ready[0] for name, log in logs.items()}
    file = tmp_path / "proxy.toml"

    def text(to: str, more: str = "") -> str:
        upstreams = "".join(f'[upstreams.{name}]\naddresses = ["{address}"]\n' for name, address in ports.items())
        head = f'deadline = "30s"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nworkers = {workers}\n{more}\n'
        return f'{head}{upstreams}[[routes]]\nmodel = "dig*"\nto = "{to}"\n'

    file.write_text(text("first"))
    proxy = start(sys.executable, "-m", "tailgate", "proxy", "--config", str(file), ready=READY)
    target, admins = proxy.ready[0], proxy.ready[1].split(", ")
    assert len(admins) == workers

    def hang_up(result: str, success: int, admins: list[str]) -> None:
        before = [metric(admin, "tailgate_config_reloads_total", result=result) for admin in admins]
        proxy.process.send_signal(signal.SIGHUP)
        until(
            lambda: all(
                metric(admin, "tailgate_config_reloads_total", result=result) > was
                for admin, was in zip(admins, before, strict=True)
            ),
            f"every process to count a {result}",
        )
        assert {metric(admin, "tailgate_config_reload_success") for admin in admins} == {success}

    def seen(name: str) -> list[str]:
        return sorted(logs[name].read_text().split())

    assert {metric(admin, "tailgate_config_reload_success") for admin in admins} == {1}
    send(target, names_of("a"))
    assert (seen("first"), seen("second")) == (sorted(names_of("a")), [])

    write(file, text("thrid"))
    hang_up("failure", 0, admins)
    write(file, text("second", 'trace = "elsewhere"'))
    hang_up("failure", 0, admins)
    said = proxy.log.read_text()
    assert "routes.#1.to is 'thrid', which is no upstream; there are first, second" in said
    assert "trace cannot change while the proxy runs, from none to elsewhere; restart it" in said
    send(target, names_of("b"))
    assert (seen("first"), seen("second")) == (sorted(names_of("a") + names_of("b")), [])

    write(file, text("second"))
    hang_up("success", 1, admins)
    send(target, names_of("c"))
    assert seen("second") == sorted(names_of("c"))

    if workers > 1:  # one that starts now begins with what is in use, not with what was at the start
        pid = int(proxy.log.read_text().partition("worker 0 is process ")[2].split()[0])
        os.kill(pid, signal.SIGKILL)
        until(lambda: proxy.log.read_text().count("worker 0 is process ") == 2, "the worker to be started again")
        send(target, names_of("d"))
        assert seen("second") == sorted(names_of("c") + names_of("d"))
        assert seen("first") == sorted(names_of("a") + names_of("b"))
    assert proxy.stop() == 0


def test_fifty_hangups_under_load_leave_books_that_balance(
    start: Any, start_scripted_upstream: Any, tailgate: Callable[..., Any], until: Any, tmp_path: Path
) -> None:
    upstreams = [start_scripted_upstream().ready[0] for _ in range(2)]
    file, trace, scraped = tmp_path / "proxy.toml", tmp_path / "trace", tmp_path / "metrics.txt"

    def text(number: int) -> str:
        names = ["default", "other"] if number % 3 else ["default"]
        tables = "".join(f'[upstreams.{name}]\naddresses = ["{upstreams[number % 2]}"]\n' for name in names)
        to = " , ".join(f"{name} = {1 + number % 2}" for name in names)
        head = f'deadline = "{20 + number}s"\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\ntrace = "{trace}"\n'
        return f"{head}{tables}[[routes]]\nto = {{ {to} }}\n"

    file.write_text(text(0))
    proxy = start(sys.executable, "-m", "tailgate", "proxy", "--config", str(file), ready=READY)
    target, admin = proxy.ready
    client = start(
        sys.executable, "-m", "tailgate", "load", "--target", target, "--model", "digits", "--dataset", "digits",
        "--arrivals", "poisson", "--rate", "60", "--deadline", "30s", "--seed", "3", "--max-lag", "10s", "--quiet",
        "--passes", "100",
        "--trace", str(tmp_path / "client"), ready="",
    )  # fmt: skip
    until(lambda: metric(admin, "tailgate_received_total") > 0, "the first request")
    for number in range(1, 51):
        write(file, text(number))
        proxy.process.send_signal(signal.SIGHUP)
        until(
            lambda done=number: metric(admin, "tailgate_config_reloads_total", result="success") == done,
            "the file to be read again",
        )
        assert client.process.poll() is None, "the load is over too early to show anything"
    until(lambda: metric(admin, "tailgate_received_total") > 100, "requests enough")
    client.process.send_signal(signal.SIGINT)  # which lets what is in flight end
    client.process.wait(600)  # its exit status says what it saw of itself; the audit says what became of requests
    until(lambda: metric(admin, "tailgate_in_flight") == 0, "the last request to end")
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=60) as response:
        scraped.write_bytes(response.read())
    received = metric(admin, "tailgate_received_total")
    assert metric(admin, "tailgate_requests_total", outcome="ok") == received > 100
    assert metric(admin, "tailgate_upstream_outstanding") == 0
    assert proxy.stop() == 0
    books = ("--client", str(tmp_path / "client"), "--proxy", str(trace), "--metrics", str(scraped))
    audit = tailgate("audit", *books, "--grace", "5s")  # a machine that others use, too, may stall for a while
    assert audit.returncode == 0, audit.stdout + audit.stderr
