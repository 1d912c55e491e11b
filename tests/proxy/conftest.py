"""A real V2 server that does what each request's id tells it to, and real proxies in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
import pytest_asyncio

from tailgate.config import Address, read_config
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER, SERVICE
from tailgate_proxy.app import Proxy
from tailgate_proxy.config import ProxyConfig


@dataclass
class ScriptedUpstream:
    """A gRPC server whose ModelInfer follows the word before the first '/' of a request's id.

    ``CLASS`` answers that class; ``sleep:S`` answers class 1 after S seconds; ``hold`` does once `released` is set;
    ``status:N`` fails with that status; ``garbage`` answers bytes that are no message; ``empty`` answers OK with a
    shape but without its bytes; ``large:N`` answers class 1 among N.
    """

    address: Address = field(default_factory=lambda: Address("127.0.0.1", 0))
    started: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    timeouts_s: dict[str, float | None] = field(default_factory=dict)
    metadata: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    server: grpc.aio.Server | None = None
    credentials: grpc.ServerCredentials | None = None

    async def infer(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        request = pb.ModelInferRequest.FromString(body)
        name = request.id
        self.started.append(name)
        self.bodies[name] = body
        self.timeouts_s[name] = context.time_remaining()
        self.metadata[name] = [(key, value) for key, value in context.invocation_metadata() or ()]
        word, _, argument = name.partition("/")[0].partition(":")
        predicted, classes = 1, 10
        try:
            if word == "sleep":
                await asyncio.sleep(float(argument))
            elif word == "hold":
                await self.released.wait()
            elif word == "status":
                code = next(code for code in grpc.StatusCode if code.value[0] == int(argument))
                await context.abort(code, f"scripted {code.name}", (("scripted", "yes"),))
            elif word == "garbage":
                return b"\xff\xff\xff"
            elif word == "large":
                classes = int(argument)
            elif word.isdigit():
                predicted = int(word)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        self.finished.append(name)
        scores = np.zeros((1, classes), "<f4")
        scores[0, predicted] = 1.0
        response = pb.ModelInferResponse(model_name=request.model_name, model_version="1", id=name)
        response.outputs.add(name="logits", datatype="FP32", shape=scores.shape)
        response.raw_output_contents.append(b"" if word == "empty" else scores.tobytes())
        return response.SerializeToString()

    async def start(self) -> None:
        async def ready(_body: bytes, _context: Any) -> bytes:
            return pb.ServerReadyResponse(ready=True).SerializeToString()

        async def index(_body: bytes, _context: Any) -> bytes:
            response = pb.RepositoryIndexResponse()
            response.models.add(name="scripted", version="1", state="READY")
            return response.SerializeToString()

        handlers = {"ModelInfer": self.infer, "ServerReady": ready, "RepositoryIndex": index}
        self.server = grpc.aio.server(
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 256 << 20)]
        )
        self.server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    SERVICE, {name: grpc.unary_unary_rpc_method_handler(h) for name, h in handlers.items()}
                ),
            )
        )
        port = (
            self.server.add_insecure_port(str(self.address))
            if self.credentials is None
            else self.server.add_secure_port(str(self.address), self.credentials)
        )
        self.address = Address("127.0.0.1", port)
        await self.server.start()

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(None)
            self.server = None


@dataclass
class RunningProxy:
    """A started proxy, and a client of it."""

    proxy: Proxy
    config: ProxyConfig
    address: Address
    admin: Address
    channel: grpc.aio.Channel

    async def infer(
        self, request_id: str, *, model: str = "scripted", timeout: float | None = 60.0, **metadata: str
    ) -> bytes:
        body = RequestFrame(model, "image", "UINT8", (1, 4)).build(request_id, b"abcd")
        return await self.send(body, timeout=timeout, **metadata)

    async def send(self, body: bytes, *, timeout: float | None = 60.0, **metadata: str) -> bytes:
        pairs = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        answer: bytes = await self.call(body, timeout, pairs)
        return answer

    def call(self, body: bytes, timeout: float | None, pairs: list[tuple[str, str]]) -> Any:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(MODEL_INFER)
        return method(body, timeout=timeout, metadata=grpc.aio.Metadata(*pairs))


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    scripted = ScriptedUpstream()
    await scripted.start()
    yield scripted
    await scripted.stop()


StartProxy = Callable[..., Awaitable[RunningProxy]]


@asynccontextmanager
async def proxies(upstream: ScriptedUpstream) -> AsyncIterator[StartProxy]:
    """Starts proxies in front of an upstream, and stops them all in the end."""
    running: list[RunningProxy] = []

    async def start(**overrides: object) -> RunningProxy:
        settings: dict[str, object] = {
            "upstream": str(upstream.address),
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "deadline": "30s",
            "drain_grace": "2s",
        }
        config = read_config(ProxyConfig, None, settings | overrides)
        proxy = Proxy(config)
        address, admin = await proxy.start()
        channel = grpc.aio.insecure_channel(str(address), options=[("grpc.use_local_subchannel_pool", 1)])
        running.append(RunningProxy(proxy, config, address, admin, channel))
        return running[-1]

    yield start
    for one in running:
        await one.channel.close()
        await one.proxy.stop()


@pytest.fixture
async def start_proxy(upstream: ScriptedUpstream) -> AsyncIterator[StartProxy]:
    async with proxies(upstream) as start:
        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_proxy() -> AsyncIterator[StartProxy]:
    """The same, but a proxy with the same settings is started once for all tests of a module."""
    upstream = ScriptedUpstream()
    await upstream.start()
    known: dict[str, RunningProxy] = {}

    async with proxies(upstream) as start:

        async def find(**overrides: object) -> RunningProxy:
            key = repr(sorted(overrides.items()))
            if key not in known:
                known[key] = await start(**overrides)
            return known[key]

        yield find
    await upstream.stop()


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop on which nothing ever waits: when there is nothing to do, its clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0

    def time(self) -> float:
        return self._now_s

    def _run_once(self) -> None:
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]  # asyncio's own, untyped
        next_s = min((timer._when for timer in timers if not timer.cancelled()), default=None)
        if not self._ready and next_s is not None:  # type: ignore[attr-defined]  # as above
            self._now_s = max(self._now_s, next_s)
        super()._run_once()  # type: ignore[misc]  # as above


@pytest.fixture
def on_virtual_time() -> Callable[[Awaitable[Any]], Any]:
    """Run a coroutine on a virtual clock."""

    def run(awaitable: Awaitable[Any]) -> Any:
        loop = VirtualClockLoop()
        try:
            return loop.run_until_complete(awaitable)
        finally:
            loop.close()

    return run
