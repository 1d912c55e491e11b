"""What the model was given stands in the log, by request; what it was not given does not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tailgate.audit.reading import read_executed
from tailgate.errors import ConfigError
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import MODEL_INFER, REQUEST_ID
from tailgate_server.app import App
from tailgate_server.execution_log import ExecutionLog
from tailgate_server.loading import LoadedModel

Gate = Any  # defined in conftest.py, which tests do not import
RequestFor = Callable[..., pb.ModelInferRequest]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def written(path: Path) -> list[str]:
    """The ids of all whole lines so far."""
    whole = path.read_text().rpartition("\n")[0].splitlines()
    return [json.loads(line).get("request_id", "") for line in whole]


def until(condition: Callable[[], object]) -> None:
    give_up_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Sets how large a file this process may write, as a full disk would; takes it back in the end."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_each_request_that_the_model_ran_stands_there_once_and_none_that_it_did_not(
    gated: LoadedModel, gate: Gate, request_for: RequestFor, tmp_path: Path
) -> None:
    path = tmp_path / "log" / "executed.jsonl"
    app = App("127.0.0.1", 0, max_queue=64, max_message_bytes=4 << 20, execution_log=path)
    await app.start([gated])
    async with grpc.aio.insecure_channel(app.address) as channel:
        infer: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)

        def call(name: str, timeout: float = 120.0, rows: int = 1) -> asyncio.Future[bytes]:
            body = request_for(gated, rows=rows).SerializeToString()
            return asyncio.ensure_future(infer(body, timeout=timeout, metadata=((REQUEST_ID, name),)))

        first = call("first")
        await asyncio.to_thread(gate.entered.acquire)
        together = [call("second", 90, rows=2), call("third", 100)]
        worker = app._workers[0]
        while len(worker._batcher) < 2:
            await asyncio.sleep(0.01)
        expired, left = call("expired", timeout=0.2), call("left")
        with pytest.raises(grpc.aio.AioRpcError):
            await expired
        left.cancel()
        await asyncio.wait((left,))
        while len(worker._batcher) > 2:
            await asyncio.sleep(0.01)
        gate.open()
        await asyncio.gather(first, *together)
        await infer(request_for(gated, value=9).SerializeToString())  # known by its message's id alone
        await call("second")
    await app.stop(10)
    assert [(one["request_id"], one["attempt"], one["rows"], one["batch"]) for one in lines(path)] == [
        ("first", 1, 1, 1),
        ("second", 1, 2, 2),
        ("third", 1, 1, 2),
        ("id-9", 1, 1, 1),
        ("second", 2, 1, 1),
    ]
    assert {one["model"] for one in lines(path)} == {"gate"}
    assert read_executed(path) == (("first", "second", "third", "id-9", "second"), 0)


async def test_a_server_that_is_killed_leaves_whole_lines_in_order_and_at_most_half_of_one(
    request_for: RequestFor, digits: LoadedModel, tmp_path: Path
) -> None:
    path = tmp_path / "executed.jsonl"
    command = (
        sys.executable, "-m", "tailgate", "server", "--model", "digits", "--weights", "random:0", "--device", "cpu",
        "--threads", "1", "--listen", "127.0.0.1:0", "--execution-log", str(path),
    )  # fmt: skip
    sent: list[str] = []
    for life in range(2):
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        said = (await asyncio.wait_for(process.stdout.readline(), 300)).decode()
        address = re.search(r"listening on (\S+)", said)
        assert address is not None, said
        before = len(sent)
        async with grpc.aio.insecure_channel(address[1]) as channel:
            infer: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
            body = request_for(digits).SerializeToString()
            for number in range(40):
                sent.append(f"{life}-{number}")
                await infer(body, timeout=120, metadata=((REQUEST_ID, sent[-1]),))
            async with asyncio.timeout(60):  # the thread that writes has had turns, if none for the very last
                while sum(name.startswith(f"{life}-") for name in written(path)) < 30:
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        names, missing = read_executed(path)
        mine = [name for name in names if name.startswith(f"{life}-")]
        assert mine == sent[before : before + len(mine)]
        assert len(mine) >= 30
        assert missing == 0
        if not life:
            with path.open("a") as file:
                file.write('{"request_id": "0-half')  # what the next life has to cut off


def test_what_a_full_disk_refuses_is_counted_in_the_log_itself(
    tmp_path: Path, file_limit: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "executed.jsonl"
    log = ExecutionLog(path)
    log.record("m", [("before", 1)], 1.0)
    until(lambda: path.stat().st_size)
    file_limit(path.stat().st_size + 10)
    for number in range(5):
        log.record("m", [(f"lost-{number}", 1)], 1.0)
    until(lambda: not log._waiting and log._missing == 5)
    file_limit(1 << 20)
    log.record("m", [("after", 1)], 1.0)
    log.close()
    assert read_executed(path) == (("before", "after"), 5)
    assert sum("cannot be written" in record.message for record in caplog.records) == 1


def test_while_a_disk_stalls_a_bounded_number_waits_and_the_rest_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    log = ExecutionLog(path, most_waiting=1000)
    for number in range(20_000):  # far more than a pipe and 1,000 lines hold
        log.record("m", [(f"name-{number}", 1)], 1.0)
        assert len(log._waiting) <= 1000
    read = os.open(path, os.O_RDONLY)
    content = bytearray()

    def take_all() -> None:
        while piece := os.read(read, 1 << 16):
            content.extend(piece)

    reader = threading.Thread(target=take_all)
    reader.start()
    log.close()
    reader.join()
    os.close(read)
    (tmp_path / "copy").write_bytes(content)
    names, missing = read_executed(tmp_path / "copy")
    assert len(names) + missing == 20_000
    assert missing > 10_000


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^--execution-log is .*, which cannot be written: .*; choose another file$"):
        ExecutionLog(tmp_path / "file" / "log")
