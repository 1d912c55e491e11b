"""The command as a process: its line, its signals, its exit status."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from tailgate.pb import inference_pb2 as pb

TAILGATE = [sys.executable, "-c", "import sys; from tailgate.cli import main; sys.exit(main())"]


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *TAILGATE, "server", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 300)).decode()
        match = re.fullmatch(r"tailgate server listening on (127\.0\.0\.1:[1-9][0-9]*)\n", line)
        assert match is not None, line
        yield process, match[1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_what_is_in_flight_finish_and_ends_the_server_with_success(number: signal.Signals) -> None:
    arguments = ("--model", "squeeze=squeezenet1_1", "--weights", "random:0", "--device", "cpu", "--threads", "1")
    async with running(*arguments, "--listen", "127.0.0.1:0") as (process, address):
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            infer: Callable[..., Any] = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            request = pb.ModelInferRequest(model_name="squeeze")
            request.inputs.add(name="image", datatype="UINT8", shape=(16, 3, 224, 224))
            request.raw_input_contents.append(bytes(16 * 3 * 224 * 224))
            calls = [asyncio.ensure_future(infer(request.SerializeToString(), timeout=300)) for _ in range(3)]
            # They were sent together, so once one is answered the next one runs and the last one waits.
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            process.send_signal(number)
            for answer in await asyncio.gather(*calls):
                assert list(pb.ModelInferResponse.FromString(answer).outputs[0].shape) == [16, 1000]
        assert await asyncio.wait_for(process.wait(), 120) == 0
        assert process.stderr is not None
        noise = (await process.stderr.read()).decode()
        assert "Traceback" not in noise
        assert "leaked" not in noise


def test_a_users_mistake_is_one_sentence_and_exit_status_2() -> None:
    arguments = ["server", "--model", "digits", "--listen", "8001"]
    ended = subprocess.run([*TAILGATE, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("tailgate server: --listen is '8001'; expected HOST:PORT")
    assert ended.stderr.count("\n") == 1


def test_the_commands_are_quick_to_import() -> None:
    script = (
        "import sys, tailgate_server.command, tailgate_server.train_command;"
        "print([name for name in ('torch', 'torchvision', 'grpc', 'numpy', 'rich', 'sklearn') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert ended.stdout == "[]\n"
