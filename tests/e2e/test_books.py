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
from tests.e2e.tempo import TEMPOS, kept_pace

SAMPLES = 898


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


@dataclass(frozen=True)
class Plan:
    """A run as it goes on a machine that keeps up with it.

    Attributes:
        rate: Requests a second.
        deadline_ms: Of each.
        load_options: Further ones of the load generator.
        proxy_options: And of the proxy.
        do: What is done meanwhile, with the proxy, the upstream, and how many times slower all goes.
        shown: What the run is made for and rests on more than its books.
    """

    rate: float
    deadline_ms: int
    load_options: Sequence[str] = ()
    proxy_options: Sequence[str] = ()
    do: Callable[[Any, Any, int], None] = lambda *_: None
    shown: Callable[[Run], bool] = lambda _: True


Measure = Callable[[Plan], Run]


@pytest.fixture
def measure(start_scripted_upstream: Any, start_proxy: Any, tailgate: Any, until: Any, tmp_path: Path) -> Measure:
    """A whole run, whose three counts agree in any case. A run that calls itself not valid, as on a machine that others
    use too, shows nothing but its books, and one that was sent late not what it is to show: it is made again, once
    as it was, then slower each time.
    """

    def once(folder: Path, plan: Plan, slower: int) -> tuple[Any, Run]:
        upstream = start_scripted_upstream(log=tmp_path / f"{folder.name}.executed", slower=slower)
        deadline = f"{plan.deadline_ms * slower}ms"
        proxy = start_proxy(upstream.ready[0], "--deadline", deadline, "--trace", str(folder), *plan.proxy_options)
        paced = ("--deadline", deadline, "--rate", str(plan.rate / slower))
        arguments = load_arguments(proxy.ready[0], folder, *paced, *plan.load_options)
        with ThreadPoolExecutor(1) as aside:
            load = aside.submit(tailgate, *arguments)
            plan.do(proxy, upstream, slower)
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

    def until_it_shows(plan: Plan) -> Run:
        said = []
        for attempt, slower in enumerate(TEMPOS):
            done, run = once(tmp_path / f"run-{attempt}", plan, slower)
            if done.returncode != 0:
                assert (done.returncode, "the run is not valid" in done.stderr) == (2, True), done.stderr
            elif plan.shown(run):
                return run
            else:
                lag_s = float(run.client["lag_s"].max())
                assert not kept_pace(lag_s, plan.deadline_ms * slower / 1e3), (
                    f"not shown, though {lag_s} s late at most"
                )
            said.append(f"{slower} times slower: {done.stderr or 'not shown'}")
        raise AssertionError("\n".join(said))

    return until_it_shows


@pytest.mark.parametrize("client", ["http2", "grpc"])  # the second shares no code with the proxy
def test_three_counts_agree_at_300_a_second_with_a_third_of_the_answers_late(measure: Measure, client: str) -> None:
    run = measure(Plan(300, 200, ("--passes", "2", "--client", client)))
    assert run.summary["arrivals"] == 2 * SAMPLES
    late = run.summary["arrivals"] - run.summary["answered"]
    assert late >= run.summary["arrivals"] // 3


def test_in_observe_mode_the_late_answers_are_counted_as_late_by_all_three(measure: Measure) -> None:
    run = measure(Plan(300, 200, ("--passes", "1", "--on-deadline", "wait"), proxy_options=("--mode", "observe")))
    assert run.summary["answered"] == SAMPLES
    assert run.summary["outcomes"]["ok_late"] >= SAMPLES // 3
    assert run.books.unseen == {}


def test_an_upstream_killed_mid_run_loses_no_request_and_is_used_again_when_back(
    measure: Measure, start_scripted_upstream: Any, until: Any
) -> None:
    def kill_and_start_again(proxy: Any, upstream: Any, slower: int) -> None:
        until(lambda: status_of(proxy.ready[1])["received"] >= 250, "250 requests received")
        upstream.kill()
        until(lambda: status_of(proxy.ready[1])["outcomes"]["upstream_unavailable"] >= 20, "20 requests unavailable")
        log = Path(upstream.process.args[-1])
        start_scripted_upstream(int(upstream.ready[0].rpartition(":")[2]), log=log, slower=slower)

    def used_again(run: Run) -> bool:
        last = run.client[run.client["arrival_unix_s"].argsort()][-50:]
        return int((last["status"] == Status.OK).sum()) >= 45

    # Long enough for a machine that needs seconds to start a process.
    run = measure(Plan(100, 1000, ("--passes", "2"), do=kill_and_start_again, shown=used_again))
    assert run.summary["arrivals"] == 2 * SAMPLES


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
    def stand_still(proxy: Any, _: Any, slower: int) -> None:
        until(lambda: status_of(proxy.ready[1])["received"] >= 300, "300 requests received")
        proxy.process.send_signal(signal.SIGSTOP)
        time.sleep(0.5 * slower)
        proxy.process.send_signal(signal.SIGCONT)

    def in_vain(run: Run) -> bool:
        # Those that fell into the standstill and had no chance: more than the third that is always too late.
        return int((run.client["status"] == Status.DEADLINE_EXCEEDED).sum()) > SAMPLES // 3 + 60

    run = measure(Plan(300, 100, ("--passes", "1"), do=stand_still, shown=in_vain))
    assert run.books.unseen == {}
