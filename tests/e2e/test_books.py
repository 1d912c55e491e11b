"""Three counts of the same requests — the client's, the proxy's counters, the proxy's trace — agree to the integer."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from tailgate.books import Books, reconcile
from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.trace.files import read_folder
from tailgate.trace.format import Records

SAMPLES = 898


def load_arguments(target: str, folder: Path, *options: str) -> list[str]:
    return [
        "load", "--target", target, "--model", "digits", "--dataset", "digits", "--arrivals", "poisson",
        "--seed", "3", "--trace", str(folder), "--quiet", "--max-lag", "10s", *options,
    ]  # fmt: skip


def status_of(admin: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{admin}/status.json", timeout=10) as response:
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


def test_three_counts_agree_at_300_a_second_with_a_third_of_the_answers_late(
    start_scripted_upstream: Any, start_proxy: Any, tailgate: Any, until: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    upstream = start_scripted_upstream()
    proxy = start_proxy(upstream.ready[0], "--deadline", "200ms", "--trace", str(folder))
    done = tailgate(*load_arguments(proxy.ready[0], folder, "--rate", "300", "--deadline", "200ms", "--passes", "2"))
    assert done.returncode == 0, done.stderr
    status = at_rest(until, proxy.ready[1])
    assert proxy.stop() == 0
    summary = json.loads((folder / "summary.json").read_text())
    assert_three_counts_agree(summary, status, folder)
    assert summary["arrivals"] == 2 * SAMPLES
    late = summary["arrivals"] - summary["answered"]
    assert late >= summary["arrivals"] // 3


def test_in_observe_mode_the_late_answers_are_counted_as_late_by_all_three(
    start_scripted_upstream: Any, start_proxy: Any, tailgate: Any, until: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    upstream = start_scripted_upstream()
    proxy = start_proxy(upstream.ready[0], "--deadline", "200ms", "--mode", "observe", "--trace", str(folder))
    done = tailgate(
        *load_arguments(
            proxy.ready[0], folder, "--rate", "300", "--deadline", "200ms", "--passes", "1", "--on-deadline", "wait"
        )
    )
    assert done.returncode == 0, done.stderr
    status = at_rest(until, proxy.ready[1])
    assert proxy.stop() == 0
    summary = json.loads((folder / "summary.json").read_text())
    books = assert_three_counts_agree(summary, status, folder)
    assert summary["answered"] == SAMPLES
    assert summary["outcomes"]["ok_late"] >= SAMPLES // 3
    assert books.unseen == {}


def test_an_upstream_killed_mid_run_loses_no_request_and_is_used_again_when_back(
    start_scripted_upstream: Any, start_proxy: Any, tailgate: Any, until: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    upstream = start_scripted_upstream()
    port = int(upstream.ready[0].rpartition(":")[2])
    proxy = start_proxy(upstream.ready[0], "--deadline", "1s", "--trace", str(folder))
    results: list[Any] = []
    run = threading.Thread(
        target=lambda: results.append(
            tailgate(*load_arguments(proxy.ready[0], folder, "--rate", "150", "--deadline", "1s", "--passes", "1"))
        )
    )
    run.start()
    until(lambda: status_of(proxy.ready[1])["received"] >= 250, "250 requests received")
    upstream.kill()
    until(lambda: status_of(proxy.ready[1])["outcomes"]["upstream_unavailable"] >= 20, "20 requests unavailable")
    start_scripted_upstream(port)
    run.join()
    assert results[0].returncode == 0, results[0].stderr
    status = at_rest(until, proxy.ready[1])
    assert proxy.stop() == 0
    summary = json.loads((folder / "summary.json").read_text())
    assert_three_counts_agree(summary, status, folder)
    assert summary["arrivals"] == SAMPLES
    client, _ = traces(folder)
    last = client[client["arrival_unix_s"].argsort()][-50:]
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
    time.sleep(0.3)  # longer than the recorder's interval: what had ended before is in the file
    proxy.kill()
    run.join()
    client, rows = traces(folder)
    assert len(rows) >= 300
    scored = client[client["pass_index"] >= 0]
    assert len(scored) == SAMPLES  # the client accounts for every sample all the same
    books = reconcile(client, rows)
    assert not [breach for breach in books.breaches if "without a row" not in breach]


def test_a_proxy_that_stands_still_for_longer_than_the_deadline_books_every_request_of_that_time(
    start_scripted_upstream: Any, start_proxy: Any, tailgate: Any, until: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    proxy = start_proxy(start_scripted_upstream().ready[0], "--deadline", "100ms", "--trace", str(folder))
    results: list[Any] = []
    run = threading.Thread(
        target=lambda: results.append(
            tailgate(*load_arguments(proxy.ready[0], folder, "--rate", "300", "--deadline", "100ms", "--passes", "1"))
        )
    )
    run.start()
    until(lambda: status_of(proxy.ready[1])["received"] >= 300, "300 requests received")
    proxy.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    proxy.process.send_signal(signal.SIGCONT)
    run.join()
    assert results[0].returncode == 0, results[0].stderr
    status = at_rest(until, proxy.ready[1])
    assert proxy.stop() == 0
    summary = json.loads((folder / "summary.json").read_text())
    books = assert_three_counts_agree(summary, status, folder)
    assert books.unseen == {}
    client, _ = traces(folder)
    in_vain = client["status"] == Status.DEADLINE_EXCEEDED
    # Those that fell into the standstill and had no chance: more than the third that is always too late.
    assert in_vain.sum() > SAMPLES // 3 + 60
