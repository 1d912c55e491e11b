"""`tailgate proxy --workers`: several processes on one port, counted to the integer whatever becomes of one of them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.outcome import Outcome
from tailgate.pb.tailgate import feedback_pb2 as feedback
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER
from tailgate.trace.files import read_folder

FRAME = RequestFrame("digits", "image", "UINT8", (1, 4))
CONNECTIONS = 40
"""The kernel deals connections out by hash; that so many all go to one of two workers has odds of 2 to the 39th."""

_STARTED = re.compile(r"worker (\d+) is process (\d+) on core (\d+), admin on (\S+)")


@dataclass
class Workers:
    """A proxy of several processes."""

    running: Any
    target: str
    admins: list[str]

    @property
    def started(self) -> list[tuple[int, int, int, str]]:
        """Number, process, core and admin address of every start so far."""
        found = _STARTED.findall(self.running.log.read_text())
        return [(int(number), int(pid), int(core), admin) for number, pid, core, admin in found]

    @property
    def pids(self) -> dict[int, int]:
        """The latest process of each worker."""
        return {number: pid for number, pid, _, _ in self.started}


@dataclass
class Clients:
    """Many connections at once to one target, and every id that was sent over them."""

    target: str
    pool: ThreadPoolExecutor
    sent: list[str] = field(default_factory=list)

    def send(self, each: int, *, slow: bool = False) -> list[Future[str]]:
        """`each` calls over each of `CONNECTIONS` new connections; a future's result is its status."""
        return self.send_these(self.new_ids(each, slow=slow))

    def new_ids(self, each: int, *, slow: bool = False) -> list[list[str]]:
        """Ids of such calls, by connection."""
        return [
            [self._new_id(connection, call, slow=slow) for call in range(each)] for connection in range(CONNECTIONS)
        ]

    def send_these(self, batches: list[list[str]]) -> list[Future[str]]:
        """A call of each id, and a new connection for each batch."""
        futures: list[list[Future[str]]] = [[Future() for _ in batch] for batch in batches]
        for batch, its in zip(batches, futures, strict=True):
            self.pool.submit(self._one_connection, batch, its)
        return [future for its in futures for future in its]

    def _new_id(self, connection: int, call: int, *, slow: bool) -> str:
        sample = 3 * (call + 1) if slow else 3 * call + 1  # the scripted upstream takes its time for multiples of 3
        self.sent.append(f"{len(self.sent)}.{connection}-{sample}")
        return self.sent[-1]

    def _one_connection(self, names: list[str], futures: list[Future[str]]) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        with grpc.insecure_channel(self.target, options=options) as channel:
            infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
            calls = [infer.future(FRAME.build(name, b"abcd"), timeout=120) for name in names]
            for call, future in zip(calls, futures, strict=True):
                future.set_result(call.code().name)


def status_of(admin: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{admin}/status.json", timeout=60) as response:
        document: dict[str, Any] = json.load(response)
    return document


def total(admins: list[str], key: str) -> int:
    return sum(int(status_of(admin)[key]) for admin in admins)


def alive(pid: int) -> bool:
    """Whether any of its threads is: the last one closes the listening socket, the first may be gone before that."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except FileNotFoundError:
        return False
    return state != "Z" or threads > 1


def discovered(file: Path) -> dict[str, str]:
    """Targets by the label of their worker."""
    return {group["labels"]["worker"]: group["targets"][0] for group in json.loads(file.read_text())}


def traced(folder: Path) -> Counter[bytes]:
    """How often each id stands in the traces of all processes."""
    ids: Counter[bytes] = Counter()
    for contents in read_folder(folder):
        assert (contents.damaged, contents.torn_bytes, contents.missing) == (0, 0, 0)
        ids.update(contents.records["request_id"].tolist())
    return ids


def label_results(admins: list[str]) -> Counter[str]:
    """What became of labels, over all workers, beside those that wait."""
    found: Counter[str] = Counter()
    for admin in admins:
        with urllib.request.urlopen(f"http://{admin}/metrics", timeout=60) as response:
            families = text_string_to_metric_families(response.read().decode())
        for sample in (sample for family in families for sample in family.samples):
            if sample.name == "tailgate_labels_total":
                found[sample.labels["result"]] += int(sample.value)
            elif sample.name == "tailgate_labels_pending":
                found["pending"] += int(sample.value)
    return found


def right_class(name: str) -> int:
    """What the scripted upstream answers, but for every seventh request."""
    sample = int(name.rpartition("-")[2])
    return (sample + (sample % 7 == 0)) % 10


def post_labels(admin: str, names: list[str]) -> dict[str, Any]:
    lines = (json.dumps({"request_id": name, "class_index": right_class(name)}) for name in names)
    request = urllib.request.Request(f"http://{admin}/v1/feedback", "\n".join(lines).encode())
    with urllib.request.urlopen(request, timeout=120) as response:
        receipt: dict[str, Any] = json.load(response)
    return receipt


def submit_labels(target: str, names: list[str]) -> feedback.LabelReceipt:
    batch = feedback.LabelBatch(
        labels=[feedback.Label(request_id=name, class_index=right_class(name)) for name in names]
    )
    with grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        method: grpc.UnaryUnaryMultiCallable[bytes, feedback.LabelReceipt] = channel.unary_unary(
            "/tailgate.feedback.Feedback/Submit", response_deserializer=feedback.LabelReceipt.FromString
        )
        return method(batch.SerializeToString(), timeout=120)


StartWorkers = Callable[..., Workers]


@pytest.fixture
def start_workers(start: Any, start_scripted_upstream: Any, tmp_path: Path) -> StartWorkers:
    """Two workers in front of the scripted upstream, with a trace."""

    def start_it(*options: str) -> Workers:
        upstream = start_scripted_upstream()
        command = [
            "tailgate", "proxy", "--upstream", upstream.ready[0], "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
            "--deadline", "120s", "--workers", "2", "--trace", str(tmp_path / "trace"), *options,
        ]  # fmt: skip
        running = start(sys.executable, "-m", *command, ready=r"proxy listening on (\S+), admin on (.+)\n")
        return Workers(running, running.ready[0], running.ready[1].split(", "))

    return start_it


@pytest.fixture
def clients() -> Iterator[Callable[[str], Clients]]:
    with ThreadPoolExecutor(2 * CONNECTIONS) as pool:
        yield lambda target: Clients(target, pool)


def results(futures: list[Future[str]]) -> Counter[str]:
    return Counter(future.result(300) for future in futures)


def test_the_counters_of_all_workers_add_up_to_the_client_s_count_and_the_traces_hold_every_id_once(
    start_workers: StartWorkers, clients: Any, tmp_path: Path
) -> None:
    proxy = start_workers()
    client = clients(proxy.target)
    assert results(client.send(10)) == {"OK": 10 * CONNECTIONS}
    assert total(proxy.admins, "received") == len(client.sent)
    assert sum(status_of(admin)["outcomes"]["ok"] for admin in proxy.admins) == len(client.sent)
    assert all(status_of(admin)["received"] > 0 for admin in proxy.admins)
    assert proxy.running.stop() == 0
    assert traced(tmp_path / "trace") == Counter(name.encode() for name in client.sent)
    assert len(list((tmp_path / "trace").iterdir())) == 2


def test_every_worker_has_one_core_and_the_cores_are_dealt_out(start_workers: StartWorkers) -> None:
    proxy = start_workers()
    mine = sorted(os.sched_getaffinity(0))
    assert {number: core for number, _, core, _ in proxy.started} == {0: mine[0], 1: mine[1 % len(mine)]}
    for _, pid, core, admin in proxy.started:
        threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
        assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset({core})}
        assert admin in proxy.admins


def test_a_killed_worker_is_missed_by_nobody_and_comes_back_and_prometheus_is_told_where(
    start_workers: StartWorkers, clients: Any, until: Any, tmp_path: Path
) -> None:
    file = tmp_path / "prometheus" / "proxy.json"
    proxy = start_workers("--discovery", str(file))
    assert discovered(file) == {"0": proxy.admins[0], "1": proxy.admins[1]}
    client = clients(proxy.target)
    assert results(client.send(2)) == {"OK": 2 * CONNECTIONS}
    before = status_of(proxy.admins[0])["received"]
    killed = proxy.pids[1]
    os.kill(killed, signal.SIGKILL)
    until(lambda: not alive(killed), "the killed worker to be gone")
    # Whether the other is back or not: its share of the connections is served.
    assert results(client.send(2)) == {"OK": 2 * CONNECTIONS}
    assert status_of(proxy.admins[0])["received"] > before
    until(lambda: discovered(file)["1"] != proxy.admins[1], "the new admin port to be published")
    assert discovered(file)["0"] == proxy.admins[0]
    back = discovered(file)["1"]
    assert "worker 1 was ended by signal 9; it is started again in 0.1 s" in proxy.running.log.read_text()
    until(lambda: proxy.pids[1] != killed, "the new process to be logged")
    assert len(os.sched_getaffinity(proxy.pids[1])) == 1
    earlier = status_of(back)["received"]
    assert results(client.send(2)) == {"OK": 2 * CONNECTIONS}
    assert status_of(back)["received"] > earlier
    assert proxy.running.stop() == 0
    assert not file.exists()
    ids = traced(tmp_path / "trace")
    # What the killed one had not yet handed to the disk is lost with it; nothing is there twice.
    assert set(ids.values()) == {1}
    assert ids.keys() >= {name.encode() for name in client.sent[2 * CONNECTIONS :]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_every_worker_finishes_what_is_in_flight(
    start_workers: StartWorkers, clients: Any, until: Any, tmp_path: Path, number: signal.Signals
) -> None:
    proxy = start_workers()
    client = clients(proxy.target)
    futures = client.send(1, slow=True)
    until(lambda: total(proxy.admins, "received") == CONNECTIONS, "all calls to be received")
    proxy.running.process.send_signal(number)
    assert results(futures) == {"OK": CONNECTIONS}
    assert proxy.running.process.wait(120) == 0
    assert not any(alive(pid) for pid in proxy.pids.values())
    assert traced(tmp_path / "trace") == Counter(name.encode() for name in client.sent)


def test_when_the_supervisor_is_killed_the_workers_drain_and_end(
    start_workers: StartWorkers, clients: Any, until: Any, tmp_path: Path
) -> None:
    file = tmp_path / "proxy.json"
    proxy = start_workers("--discovery", str(file))
    client = clients(proxy.target)
    futures = client.send(1, slow=True)
    until(lambda: total(proxy.admins, "received") == CONNECTIONS, "all calls to be received")
    proxy.running.kill()
    assert results(futures) == {"OK": CONNECTIONS}
    until(lambda: not any(alive(pid) for pid in proxy.pids.values()), "the workers to end")
    assert traced(tmp_path / "trace") == Counter(name.encode() for name in client.sent)
    host, _, port = proxy.target.rpartition(":")
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind((host, int(port)))
    # The file stays: its targets are down, and that is true.
    assert discovered(file) == {"0": proxy.admins[0], "1": proxy.admins[1]}


def test_a_worker_told_to_stop_by_somebody_else_drains_and_is_replaced(
    start_workers: StartWorkers, clients: Any, until: Any
) -> None:
    proxy = start_workers()
    first = proxy.pids[0]
    os.kill(first, signal.SIGTERM)
    until(lambda: proxy.pids[0] != first, "another process for worker 0")
    assert "worker 0 ended with status 0; it is started again in 0.1 s" in proxy.running.log.read_text()
    assert results(clients(proxy.target).send(1)) == {"OK": CONNECTIONS}
    assert proxy.running.stop() == 0


def test_a_worker_that_does_not_end_when_told_to_is_killed_and_the_exit_status_says_so(
    start_workers: StartWorkers,
) -> None:
    proxy = start_workers("--drain-grace", "100ms")
    os.kill(proxy.pids[1], signal.SIGSTOP)
    assert proxy.running.stop() == 1
    assert "1 of 2 workers did not end in 5.1 s and are killed" in proxy.running.log.read_text()
    assert not any(alive(pid) for pid in proxy.pids.values())


def test_told_to_stop_before_all_are_ready_no_process_is_left(
    start: Any, until: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"started-by={tmp_path}"
    monkeypatch.setenv("TAILGATE_TEST", mark)
    command = (
        "tailgate", "proxy", "--upstream", "127.0.0.1:1", "--deadline", "1s", "--listen", "127.0.0.1:0",
        "--admin", "127.0.0.1:0", "--workers", "2", "--log-level", "debug",
    )  # fmt: skip
    proxy = start(
        sys.executable, "-m", *command, ready="(asyncio: Using selector)"
    )  # its first line: nothing is up yet
    until(lambda: len(marked(mark)) >= 2, "the first worker process")
    assert proxy.stop() == 0
    assert "listening on" not in proxy.log.read_text()
    assert marked(mark) == []


def occupied() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


def test_workers_that_cannot_start_end_in_one_sentence_and_leave_no_process(
    tailgate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"started-by={tmp_path}"
    monkeypatch.setenv("TAILGATE_TEST", mark)
    no_folder = tmp_path / "file"
    no_folder.write_text("")
    with occupied() as taken:
        port = taken.getsockname()[1]
        for options, sentence in (
            (("--listen", f"127.0.0.1:{port}"), f"--listen 127.0.0.1:{port} cannot be bound: Address already in use"),
            (("--admin", f"127.0.0.1:{port - 1}"), f"--admin 127.0.0.1:{port} cannot be bound: "),
            (("--trace", str(no_folder)), "cannot be created"),
        ):
            given = {"--listen": "127.0.0.1:0", "--admin": "127.0.0.1:0"} | dict([options])
            done: subprocess.CompletedProcess[str] = tailgate(
                "proxy", "--upstream", "127.0.0.1:1", "--deadline", "1s", "--workers", "2", "--log-level", "error",
                *(word for pair in given.items() for word in pair),
            )  # fmt: skip
            assert done.returncode == 2, done.stderr
            assert done.stdout == ""
            assert done.stderr.startswith("tailgate proxy: ")
            assert done.stderr.count("\n") == 1, done.stderr
            assert sentence in done.stderr
            assert marked(mark) == []


def marked(mark: str) -> list[str]:
    """Processes with this text in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
    return found


def test_a_worker_that_cannot_come_back_is_tried_again_until_it_can(start_workers: StartWorkers, until: Any) -> None:
    with occupied() as one, occupied() as other:
        port = max(one.getsockname()[1], other.getsockname()[1])
    proxy = start_workers("--admin", f"127.0.0.1:{port}")
    assert proxy.admins == [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]
    first = proxy.pids[1]
    squatter = socket.socket()
    squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def squats() -> bool:
        try:
            squatter.bind(("127.0.0.1", port + 1))
        except OSError:
            return False
        squatter.listen()
        return True

    os.kill(first, signal.SIGKILL)
    with squatter:
        until(squats, "the killed worker's admin port to be free")
        said = f"worker 1 did not start: --admin 127.0.0.1:{port + 1} cannot be bound: "
        until(lambda: said in proxy.running.log.read_text(), "a start in vain")
        assert status_of(proxy.admins[0])["received"] == 0  # the other one is not concerned
    until(lambda: proxy.pids[1] != first, "the worker to be back")
    assert status_of(proxy.admins[1])["received"] == 0
    assert proxy.running.stop() == 0


@pytest.mark.parametrize(("loop", "kind"), [("asyncio", "_UnixSelectorEventLoop"), ("uvloop", "MonotonicUvloop")])
def test_one_process_alone_publishes_itself_too_on_either_event_loop(
    start_scripted_upstream: Any, start_proxy: Any, clients: Any, tmp_path: Path, *, loop: str, kind: str
) -> None:
    file = tmp_path / "proxy.json"
    upstream = start_scripted_upstream()
    proxy = start_proxy(upstream.ready[0], "--deadline", "120s", "--discovery", str(file), "--loop", loop)
    assert f"the event loop is a {kind}" in proxy.log.read_text()
    assert discovered(file) == {"0": proxy.ready[1]}
    assert results(clients(proxy.ready[0]).send(2)) == {"OK": 2 * CONNECTIONS}
    assert status_of(proxy.ready[1])["outcomes"][Outcome.OK.label] == 2 * CONNECTIONS
    assert proxy.stop() == 0
    assert not file.exists()


# Labels that came to another worker than their request


def test_labels_given_to_one_worker_find_their_requests_in_all_and_each_is_booked_once(
    start_workers: StartWorkers, clients: Any, until: Any, tmp_path: Path
) -> None:
    proxy = start_workers()
    client = clients(proxy.target)
    assert results(client.send(5)) == {"OK": 5 * CONNECTIONS}
    receipt = post_labels(proxy.admins[0], client.sent)
    assert receipt["joined"] == status_of(proxy.admins[0])["received"]
    elsewhere = receipt["pending"]
    assert receipt["joined"] + elsewhere == len(client.sent)
    assert elsewhere > 0
    until(lambda: label_results(proxy.admins)["joined"] == len(client.sent), "every label to find its request")
    until(lambda: label_results(proxy.admins)["pending"] == 0, "the last receipt between workers")
    assert +label_results(proxy.admins) == {"joined": len(client.sent), "handed_over": elsewhere}
    assert label_results(proxy.admins[:1])["handed_over"] == elsewhere
    # By gRPC, to whichever worker the connection comes, every one of them once more, and new ones too.
    assert results(client.send(1)) == {"OK": CONNECTIONS}
    assert submit_labels(proxy.target, client.sent).received == len(client.sent)
    until(
        lambda: (
            label_results(proxy.admins)["joined"] == len(client.sent)
            and label_results(proxy.admins)["duplicate"] == 5 * CONNECTIONS
            and label_results(proxy.admins)["pending"] == 0
        ),
        "every label to be booked again",
    )
    booked = label_results(proxy.admins)
    assert booked.total() - booked["handed_over"] == 11 * CONNECTIONS  # as many as were given
    assert proxy.running.stop() == 0
    records = np.concatenate([contents.records for contents in read_folder(tmp_path / "trace")])
    labels = {row["request_id"].decode(): int(row["label"]) for row in records}
    assert labels == {name: right_class(name) for name in client.sent}


def test_labels_that_come_first_find_their_requests_in_any_worker_also_in_one_that_was_killed_meanwhile(
    start_workers: StartWorkers, clients: Any, until: Any
) -> None:
    proxy = start_workers()
    client = clients(proxy.target)
    early, later = client.new_ids(2), client.new_ids(2)
    assert post_labels(proxy.admins[0], client.sent)["pending"] == 4 * CONNECTIONS
    assert results(client.send_these(early)) == {"OK": 2 * CONNECTIONS}
    until(lambda: label_results(proxy.admins)["joined"] == 2 * CONNECTIONS, "the first labels to be joined")
    until(lambda: label_results(proxy.admins)["pending"] == 2 * CONNECTIONS, "the others to be known to wait")
    handed_over = label_results(proxy.admins[:1])["handed_over"]
    assert 0 < handed_over < 2 * CONNECTIONS
    killed = proxy.pids[1]
    os.kill(killed, signal.SIGKILL)
    until(lambda: proxy.pids[1] != killed, "another process for worker 1")
    admins = [proxy.admins[0], proxy.started[-1][3]]
    assert label_results(admins)["pending"] == 2 * CONNECTIONS
    assert results(client.send_these(later)) == {"OK": 2 * CONNECTIONS}
    until(lambda: label_results(admins)["pending"] == 0, "every label to be joined")
    at_home = label_results(admins[:1])
    assert +at_home == {
        "joined": at_home["joined"],
        "handed_over": handed_over + label_results(admins[1:])["joined"],
    }
    assert at_home.total() == 4 * CONNECTIONS
    assert proxy.running.stop() == 0


def test_the_workers_meet_in_a_private_folder_that_is_gone_at_the_end_also_at_a_violent_one(
    start_workers: StartWorkers, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for violent in (False, True):
        with tempfile.TemporaryDirectory() as temporary:
            monkeypatch.setenv("TMPDIR", temporary)
            proxy = start_workers()
            (folder,) = Path(temporary).glob("tailgate-*")
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert sorted(path.name for path in folder.iterdir()) == ["0", "1"]
            if violent:
                proxy.running.kill()
            else:
                assert proxy.running.stop() == 0
            until(lambda: not folder.exists(), "the folder to be gone")  # noqa: B023 - called before the next one
            monkeypatch.undo()
