"""Three counts of the same requests — the client's, the proxy's counters, the proxy's trace — agree to the integer."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tailgate.books import Books, reconcile
from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.trace.files import read_folder
from tailgate.trace.format import Records

SAMPLES = 898
ATTEMPTS = 6
"""A run that says itself that it is not valid, as on a machine that others use too, shows nothing but its books."""


def load_arguments(target: str, folder: Path, *options: str) -> list[str]:
    return [
        "load", "--target", target, "--model", "digits", "--dataset", "digits", "--arrivals", "poisson",
        "--seed", "3", "--trace", str(folder), "--quiet", "--max-lag", "10s", *options,
    ]  # fmt: skip


def status_of(admin: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{admin}/status.json", timeout=60) as response:
        document: dict[str, Any] = json.load(response)
    return document


def at_rest(until: Any, admin: str) -> dict[str, Any]:
    until(lambda: status_of(admin)["in_flight"] == 0, "the last request in flight to end")
    return status_of(admin)


def traces(folder: Path) -> tuple[Records, Records]:
    by_role = {}
    for contents in read_folder(folder):
        assert (contents.damaged, contents.torn_bytes, contents.missing) == (0, 0, 0)
        by_role[contents.header["role"]] = contents.records
    return by_role["client"], by_role["proxy"]


def by_outcome(rows: Records) -> dict[str, int]:
    return {Outcome(code).label: count for code, count in Counter(rows["outcome"].tolist()).items()}


def right(rows: Records, *outcomes: Outcome) -> int:
    chosen = rows[[Outcome(code) in outcomes for code in rows["outcome"]]]
    return int(((chosen["predicted"] == chosen["label"]) & (chosen["label"] >= 0)).sum())


def assert_three_counts_agree(summary: dict[str, Any], status: dict[str, Any], folder: Path) -> Books:
    client, proxy = traces(folder)
    scored = client[client["pass_index"] >= 0]
    # The client's summary and its trace.
    assert summary["arrivals"] == len(scored)
    assert summary["outcomes"] == by_outcome(scored)
    assert summary["right_in_time"] == right(scored, Outcome.OK)
    # The proxy's counters and its trace.
    assert status["received"] == len(proxy)
    assert {name: count for name, count in status["outcomes"].items() if count} == by_outcome(proxy)
    assert status["right_in_time"] == right(proxy, Outcome.OK)
    assert status["right"] == right(proxy, Outcome.OK, Outcome.OK_LATE)
    # Both traces, request by request.
    books = reconcile(client, proxy)
    assert books.breaches == ()
    assert books.client == books.not_sent + books.matched + sum(books.unseen.values())
    assert books.proxy == books.matched
    assert Status.OK not in books.unseen
    answered_here = int((client["status"] == Status.OK).sum())
    answered_there = sum(by_outcome(proxy).get(o.label, 0) for o in (Outcome.OK, Outcome.OK_LATE))
    assert answered_there == answered_here + books.raced
    return books


@dataclass(frozen=True)
class Run:
    """One run, after its books were found to balance."""

    summary: dict[str, Any]
    books: Books
    client: Records


Meanwhile = Callable[[Any, Any], None]
Measure = Callable[..., Run]


@pytest.fixture
def measure(start_scripted_upstream: Any, start_proxy: Any, tailgate: Any, until: Any, tmp_path: Path) -> Measure:
    """A whole run, of which the three counts agree; up to `ATTEMPTS` times, until it does not call itself invalid."""

    def once(
        folder: Path, deadline: str, proxy_options: Sequence[str], load_options: Sequence[str], do: Meanwhile
    ) -> tuple[Any, Run]:
        upstream = start_scripted_upstream(log=tmp_path / f"{folder.name}.executed")
        proxy = start_proxy(upstream.ready[0], "--deadline", deadline, "--trace", str(folder), *proxy_options)
        arguments = load_arguments(proxy.ready[0], folder, "--deadline", deadline, *load_options)
        with ThreadPoolExecutor(1) as aside:
            load = aside.submit(tailgate, *arguments)
            do(proxy, upstream)
            done = load.result()
        status = at_rest(until, proxy.ready[1])
        metrics = folder / "metrics.txt"
        with urllib.request.urlopen(f"http://{proxy.ready[1]}/metrics", timeout=60) as response:
            metrics.write_bytes(response.read())
        assert proxy.stop() == 0
        audit = ("--client", str(folder), "--metrics", str(metrics), "--upstream", str(upstream.process.args[-1]))
        audited = tailgate("audit", *audit, "--grace", "5s")  # the machine's own pauses are nobody's lateness
        assert audited.returncode == 0, audited.stdout
        assert "the books balance: 14 invariants hold\n" in audited.stdout
        summary = json.loads((folder / "summary.json").read_text())
        return done, Run(summary, assert_three_counts_agree(summary, status, folder), traces(folder)[0])

    def until_valid(
        *load_options: str,
        deadline: str,
        proxy_options: Sequence[str] = (),
        do: Meanwhile = lambda *_: None,
    ) -> Run:
        said = []
        for attempt in range(ATTEMPTS):
            done, run = once(tmp_path / f"run-{attempt}", deadline, proxy_options, load_options, do)
            if done.returncode == 0:
                return run
            assert (done.returncode, "the run is not valid" in done.stderr) == (2, True), done.stderr
            said.append(done.stderr)
        raise AssertionError("".join(said))

    return until_valid


@pytest.mark.parametrize("client", ["http2", "grpc"])  # the second shares no code with the proxy
def test_three_counts_agree_at_300_a_second_with_a_third_of_the_answers_late(measure: Measure, client: str) -> None:
    run = measure("--rate", "300", "--passes", "2", "--client", client, deadline="200ms")
    assert run.summary["arrivals"] == 2 * SAMPLES
    late = run.summary["arrivals"] - run.summary["answered"]
    assert late >= run.summary["arrivals"] // 3


def test_in_observe_mode_the_late_answers_are_counted_as_late_by_all_three(measure: Measure) -> None:
    load_options = ("--rate", "300", "--passes", "1", "--on-deadline", "wait")
    run = measure(*load_options, deadline="200ms", proxy_options=("--mode", "observe"))
    assert run.summary["answered"] == SAMPLES
    assert run.summary["outcomes"]["ok_late"] >= SAMPLES // 3
    assert run.books.unseen == {}


def test_an_upstream_killed_mid_run_loses_no_request_and_is_used_again_when_back(
    measure: Measure, start_scripted_upstream: Any, until: Any
) -> None:
    def kill_and_start_again(proxy: Any, upstream: Any) -> None:
        until(lambda: status_of(proxy.ready[1])["received"] >= 250, "250 requests received")
        upstream.kill()
        until(lambda: status_of(proxy.ready[1])["outcomes"]["upstream_unavailable"] >= 20, "20 requests unavailable")
        log = Path(upstream.process.args[-1])
        start_scripted_upstream(int(upstream.ready[0].rpartition(":")[2]), log=log)

    # Long enough for a machine that needs seconds to start a process.
    run = measure("--rate", "100", "--passes", "2", deadline="1s", do=kill_and_start_again)
    assert run.summary["arrivals"] == 2 * SAMPLES
    last = run.client[run.client["arrival_unix_s"].argsort()][-50:]
    assert (last["status"] == Status.OK).sum() >= 45


def test_a_proxy_killed_mid_run_leaves_a_trace_of_everything_it_acknowledged(
    start_scripted_upstream: Any, start_proxy: Any, tailgate: Any, until: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    proxy = start_proxy(start_scripted_upstream().ready[0], "--deadline", "1s", "--trace", str(folder))
    results: list[Any] = []
    run = threading.Thread(
        target=lambda: results.append(
            tailgate(*load_arguments(proxy.ready[0], folder, "--rate", "300", "--deadline", "1s", "--passes", "1"))
        )
    )
    run.start()
    until(lambda: status_of(proxy.ready[1])["received"] >= 400, "400 requests received")
    time.sleep(1.0)  # longer than the recorder's interval: what had ended before is in the file
    proxy.kill()
    run.join()
    client, rows = traces(folder)
    assert len(rows) >= 300
    scored = client[client["pass_index"] >= 0]
    assert len(scored) == SAMPLES  # the client accounts for every sample all the same
    books = reconcile(client, rows)
    assert not [breach for breach in books.breaches if "without a row" not in breach]


def test_a_proxy_that_stands_still_for_longer_than_the_deadline_books_every_request_of_that_time(
    measure: Measure, until: Any
) -> None:
    def stand_still(proxy: Any, _: Any) -> None:
        until(lambda: status_of(proxy.ready[1])["received"] >= 300, "300 requests received")
        proxy.process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        proxy.process.send_signal(signal.SIGCONT)

    run = measure("--rate", "300", "--passes", "1", deadline="100ms", do=stand_still)
    assert run.books.unseen == {}
    in_vain = run.client["status"] == Status.DEADLINE_EXCEEDED
    # Those that fell into the standstill and had no chance: more than the third that is always too late.
    assert in_vain.sum() > SAMPLES // 3 + 60
