"""Several real V2 servers that behave as they are told, and a proxy in front of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from tailgate.config import Address
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE


class Server:
    """One server. `does` is what it does with each inference: answer, sleep:SECONDS, hold, status:CODE or garbage.

    What it holds it answers once `released` is set.
    """

    def __init__(self) -> None:
        self.does = "answer"
        self.released = asyncio.Event()
        self.ready = True
        self.models = ["scripted"]
        self.address = Address("127.0.0.1", 0)
        self.started: list[str] = []
        self.finished: list[str] = []
        self.cancelled: list[str] = []
        self.timeouts_s: list[float | None] = []
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        handlers = {"ModelInfer": self._infer, "ServerReady": self._ready, "RepositoryIndex": self._index}
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    SERVICE, {name: grpc.unary_unary_rpc_method_handler(one) for name, one in handlers.items()}
                ),
            )
        )
        self.address = Address(self.address.host, self._server.add_insecure_port(str(self.address)))
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def _ready(self, _body: bytes, _context: Any) -> bytes:
        return pb.ServerReadyResponse(ready=self.ready).SerializeToString()

    async def _index(self, _body: bytes, _context: Any) -> bytes:
        response = pb.RepositoryIndexResponse()
        for name in self.models:
            response.models.add(name=name, version="1", state="READY")
        return response.SerializeToString()

    async def _infer(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        request = pb.ModelInferRequest.FromString(body)
        self.started.append(request.id)
        self.timeouts_s.append(context.time_remaining())
        word, _, argument = self.does.partition(":")
        try:
            if word == "sleep":
                await asyncio.sleep(float(argument))
            elif word == "hold":
                await self.released.wait()
            elif word == "status":
                code = next(code for code in grpc.StatusCode if code.value[0] == int(argument))
                await context.abort(code, f"told to say {code.name}")
        except asyncio.CancelledError:
            self.cancelled.append(request.id)
            raise
        self.finished.append(request.id)
        if word == "garbage":
            return b"\xff\xff\xff"
        response = pb.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        response.outputs.add(name="logits", datatype="FP32", shape=(1, 2))
        response.raw_output_contents.append(np.zeros((1, 2), "<f4").tobytes())
        return response.SerializeToString()


StartServers = Callable[[int], Awaitable[list[Server]]]


@pytest.fixture
async def start_servers() -> AsyncIterator[StartServers]:
    """Starts so many, and stops all in the end."""
    started: list[Server] = []

    async def start(count: int) -> list[Server]:
        new = [Server() for _ in range(count)]
        for server in new:
            await server.start()
        started.extend(new)
        return new

    yield start
    for server in started:
        await server.stop()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits until something holds; in a minute it never will."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.01)

    return wait
