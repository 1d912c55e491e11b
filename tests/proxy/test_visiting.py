"""Workers that talk about labels over real sockets: what they say as bytes, and what lost links and garbage cost."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import InvalidRequest
from tailgate.labels import RIGHT, WRONG, Label, Result
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.visiting import AT_ONCE, FromHome, FromHost, Grant
from tailgate_proxy.feedback.desk import LabelDesk, Receipt
from tailgate_proxy.feedback.visiting import Siblings, Visiting
from tailgate_proxy.feedback.visiting_wire import (
    MAX_BYTES,
    Garbled,
    Hello,
    from_home,
    from_host,
    hello,
    read,
    write,
)
from tailgate_proxy.feedback.wire import MAX_ID_LENGTH, read_line
from tailgate_proxy.workers.meeting import LONGEST_PATH, meeting_place

# As bytes

IDS = st.lists(st.text(min_size=1, max_size=20), max_size=5)
NUMBERS = st.integers(0, 2**64 - 1)
LABELS = st.builds(
    Label,
    st.text(min_size=1),
    st.sampled_from([RIGHT, WRONG, 0, 2**31 - 1]),
    st.floats(1e-300, 1e300),
    st.floats(allow_nan=False, allow_infinity=False),
)


async def reread(message: Hello | FromHome | FromHost) -> bytes:
    stream = asyncio.StreamReader()
    stream.feed_data(write(message))
    stream.feed_eof()
    body = await read(stream)
    with pytest.raises(EOFError):
        await read(stream)
    return body


@given(st.builds(FromHome, st.lists(st.builds(Grant, NUMBERS, LABELS), max_size=5), IDS, IDS))
def test_what_a_home_says_arrives_as_it_was(message: FromHome) -> None:
    assert from_home(asyncio.run(reread(message))) == message


@given(st.builds(FromHost, IDS, NUMBERS), st.builds(Hello, st.integers(0, 2**32 - 1), NUMBERS, NUMBERS))
def test_what_a_host_says_arrives_as_it_was(message: FromHost, greeting: Hello) -> None:
    assert from_host(asyncio.run(reread(message))) == message
    assert hello(asyncio.run(reread(greeting))) == greeting


@given(st.binary(max_size=50))
def test_any_bytes_are_a_message_or_are_said_to_be_none(body: bytes) -> None:
    for parse in (hello, from_home, from_host):
        try:
            parse(body)
        except Garbled:
            continue


async def test_a_message_that_claims_to_be_longer_than_any_is_not_waited_for() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data((MAX_BYTES + 1).to_bytes(4))
    with pytest.raises(Garbled):
        await read(stream)


def test_the_longest_of_our_messages_is_shorter_than_the_limit() -> None:
    name = "\U0001f600" * MAX_ID_LENGTH
    labels = [Grant(2**64 - 1, Label(name, 2**31 - 1, 0.1, 1.7e9))] * AT_ONCE
    assert len(write(FromHome(labels, [], []))) < MAX_BYTES
    assert len(write(FromHome([], [], [name] * AT_ONCE))) < MAX_BYTES
    assert len(write(FromHost([name] * AT_ONCE, 2**64 - 1))) < MAX_BYTES


def test_an_id_that_no_text_can_be_is_refused_where_it_comes_in() -> None:
    _, label = read_line(r'{"request_id": "a\ud800", "class_index": 1}')
    assert isinstance(label, InvalidRequest)
    assert "surrogate" in str(label)
    assert isinstance(read_line(r'{"request_id": "\ud83d\ude00", "class_index": 1}')[1], Label)


# Over sockets


class Worker:
    """One worker's desk, and its conversations."""

    def __init__(self, folder: Path, number: int, count: int) -> None:
        self.siblings = Siblings(folder, number, count)
        limits: dict[str, Any] = {"wait_s": 900.0, "settle_s": 0.0, "max_predictions": 10_000, "max_labels": 5_000}
        self.judged: list[Label] = []
        self.desk = LabelDesk(lambda judged: self.judged.append(judged.given), **limits)
        self.visiting = Visiting(self.desk, self.siblings)

    def result(self, result: Result) -> int:
        return self.desk.join.results[result]

    def see(self, *names: str) -> None:
        for name in names:
            self.desk.observe(Observation(name, "m", "1", 1.7e9, 0.05, 0.01, Outcome.OK, predicted=1))

    def label(self, *names: str) -> None:
        self.desk.submit(((name, Label(name, 1)) for name in names), Receipt())


StartWorker = Callable[[int], Any]


@pytest.fixture
def folder() -> Iterator[Path]:
    with meeting_place() as place:
        assert place is not None
        yield place


@pytest.fixture
async def start(folder: Path) -> AsyncIterator[StartWorker]:
    """Starts one of three workers."""
    running: list[Worker] = []

    async def start_one(number: int) -> Worker:
        worker = Worker(folder, number, 3)
        await worker.visiting.start()
        running.append(worker)
        return worker

    yield start_one
    for worker in running:
        await worker.visiting.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


NAMES = [f"request {number}" for number in range(1000)]


async def test_a_thousand_labels_go_where_their_requests_are_and_nothing_is_left_over(start: StartWorker) -> None:
    workers = [await start(number) for number in range(3)]
    for number, name in enumerate(NAMES):
        workers[number % 3].see(name)
    workers[0].label(*NAMES, "nobody's")
    await until(lambda: sum(worker.result(Result.JOINED) for worker in workers) == len(NAMES))
    await until(lambda: workers[0].desk.join.pending == 1)
    assert [worker.result(Result.JOINED) for worker in workers] == [334, 333, 333]
    assert [worker.result(Result.HANDED_OVER) for worker in workers] == [666, 0, 0]
    assert [worker.desk.join.received for worker in workers] == [1001, 333, 333]
    assert all(label.at_unix_s > 0 for worker in workers for label in worker.judged)
    workers[2].see("nobody's")
    await until(lambda: workers[2].result(Result.JOINED) == 334)


async def test_nobody_connects_while_every_label_finds_its_request_at_once(folder: Path, start: StartWorker) -> None:
    connected = asyncio.Event()

    async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        writer.close()

    async with await asyncio.start_unix_server(count, folder / "1"):
        worker = await start(0)
        worker.see(*NAMES)
        worker.label(*NAMES)
        await asyncio.sleep(0.05)
        assert not connected.is_set()
        worker.label("of a request that is not known")
        async with asyncio.timeout(60):
            await connected.wait()


async def test_a_worker_that_is_not_there_yet_or_comes_back_is_told_what_waits(start: StartWorker) -> None:
    home = await start(0)
    home.label("a", "b")
    first = await start(1)
    first.see("a")
    await until(lambda: home.result(Result.HANDED_OVER) == 1)
    await first.visiting.close()
    again = await start(1)
    again.see("a", "b")  # to the new life both are new
    await until(lambda: again.result(Result.JOINED) == 1)
    await until(lambda: home.result(Result.HANDED_OVER) == 2)
    assert home.desk.join.pending == 0


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x01\xff",
        write(Hello(0, 7)),  # the host itself
        write(Hello(99, 7)),
        write(Hello(1, 7)) + b"\x00\x00\x00\x01\xff",
    ],
)
async def test_garbage_ends_the_link_with_a_line_in_the_log_and_costs_others_nothing(
    folder: Path, start: StartWorker, caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    host, home = await start(0), await start(2)
    reader, writer = await asyncio.open_unix_connection(folder / "0")
    writer.write(said)
    async with asyncio.timeout(60):
        await reader.read()  # to its end
    writer.close()
    assert caplog.text.count("is no message") == 1
    host.see("a")
    home.label("a")
    await until(lambda: host.result(Result.JOINED) == 1)


async def test_a_worker_that_stands_still_makes_nothing_pile_up_and_hears_all_when_it_goes_on(
    folder: Path, start: StartWorker
) -> None:
    with socket.socket(socket.AF_UNIX) as still:
        still.bind(str(folder / "1"))
        still.listen()
        still.setblocking(False)
        home = await start(0)
        names = [f"{name} {'x' * 900}" for name in NAMES]
        home.label(*names)
        link, _ = await asyncio.get_running_loop().sock_accept(still)
        # It says who it is, and then reads nothing: megabytes do not fit in between.
        link.sendall(write(Hello(1, 5)))
        await asyncio.sleep(0.2)
        home.see(*names[:990])  # which it need not be told any more, in part
        assert home.desk.join.pending == 10
    link.close()
    host = await start(1)
    host.see(*names[990:])
    await until(lambda: home.result(Result.HANDED_OVER) == 10)
    assert host.result(Result.JOINED) == 10


async def test_where_no_socket_can_be_bound_the_worker_serves_all_the_same(
    folder: Path, start: StartWorker, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "0").mkdir()
    worker = await start(0)
    assert "cannot be bound" in caplog.text
    other = await start(1)
    other.see("a")
    worker.label("a")
    await until(lambda: other.result(Result.JOINED) == 1)


def test_the_folder_s_path_is_short_enough_wherever_temporary_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as parent:
        deep = Path(parent) / ("d" * 100)
        deep.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(deep))
        with meeting_place() as folder:
            assert folder is not None
            assert len(str(folder)) <= LONGEST_PATH
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(str(folder / "1234"))
        assert not folder.exists()


def test_without_a_folder_workers_are_on_their_own_and_a_warning_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no such folder")
    with meeting_place() as folder:
        assert folder is None
    assert "each finds labels only for its own requests" in caplog.text
