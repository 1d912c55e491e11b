"""Real models, real servers on free ports of the loopback interface, and a plain gRPC client for them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from google.protobuf import message_factory
from google.protobuf.message import Message
from torch import Tensor, nn

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE
from tailgate_server.app import App
from tailgate_server.engine import Engine
from tailgate_server.loading import LoadedModel, load_models
from tailgate_server.options import ModelSource, Options
from tailgate_server.signature import Preprocessing, Signature

MAX_BATCH = 4
MESSAGE_BYTES = 4 << 20


class Client:
    """Calls a server's methods by name."""

    def __init__(self, channel: grpc.aio.Channel, app: App) -> None:
        self.channel = channel
        self.app = app
        self._methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name

    async def call(self, method: str, request: Message | bytes, timeout: float | None = 60.0, **options: Any) -> Any:
        """The answer's message; the request may be any bytes."""
        body = request if isinstance(request, bytes) else request.SerializeToString()
        calls: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(f"/{SERVICE}/{method}")
        answer = await calls(body, timeout=timeout, **options)
        return message_factory.GetMessageClass(self._methods[method].output_type).FromString(answer)

    async def infer(self, request: pb.ModelInferRequest, **options: Any) -> pb.ModelInferResponse:
        answer = await self.call("ModelInfer", request, **options)
        assert isinstance(answer, pb.ModelInferResponse)
        return answer

    async def refused(self, request: Message | bytes, method: str = "ModelInfer", **options: Any) -> tuple[str, str]:
        """Status and sentence of a call that must fail."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(method, request, **options)
        return caught.value.code().name, caught.value.details() or ""


class Gate(nn.Module):
    """A network that waits for a permit before each answer, and remembers the first pixel of every image it was given.

    The answer to an image is its first pixel in each of ten logits.
    """

    def __init__(self) -> None:
        super().__init__()
        self._permits = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.batches: list[list[int]] = []
        self.failures: list[Exception] = []

    def forward(self, images: Tensor) -> Tensor:
        first = images[:, 0, 0, 0].to(torch.float32)
        self.batches.append([int(value) for value in first])
        self.entered.release()
        assert self._permits.acquire(timeout=60)
        if self.failures:
            raise self.failures.pop(0)
        return first[:, None].repeat(1, 10)

    def let_one_through(self) -> None:
        self._permits.release()

    def open(self) -> None:
        """Let through whatever comes in this test."""
        self._permits.release(1000)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def models() -> list[LoadedModel]:
    """`digits` (3 × 32 × 32, ten classes, labels) and `squeeze` (3 × 224 × 224, a thousand classes, no labels)."""
    return load_models(
        Options(
            models=(
                ModelSource("digits", "digits", "random:0"),
                ModelSource("squeeze", "squeezenet1_1", "random:0"),
            ),
            device="cpu",
            host="127.0.0.1",
            port=0,
            max_batch=MAX_BATCH,
            max_queue_delay_s=0.0,
            max_queue=64,
            threads=1,
            max_message_bytes=MESSAGE_BYTES,
            grace_s=10.0,
        )
    )


@pytest.fixture(scope="session")
def digits(models: list[LoadedModel]) -> LoadedModel:
    return models[0]


@pytest.fixture(scope="session")
def signature() -> Signature:
    """Of a model of 2 × 2 pixels and ten classes."""
    preprocessing = Preprocessing(2, 2, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return Signature("gate", "gate", preprocessing, 10, (), MAX_BATCH)


@pytest.fixture
def gate() -> Iterator[Gate]:
    network = Gate()
    yield network
    network.open()


@pytest.fixture
def gated(gate: Gate, signature: Signature) -> LoadedModel:
    """A model named `gate` whose runs last until the gate opens."""
    return LoadedModel(signature, Engine(gate, signature, torch.device("cpu"), 1))


@pytest.fixture
def serve() -> Callable[..., AbstractAsyncContextManager[Client]]:
    """Starts a server for some models on a free port, and connects to it."""

    @asynccontextmanager
    async def start(models: Sequence[LoadedModel], max_queue: int = 64, grace_s: float = 10.0) -> AsyncIterator[Client]:
        app = App("127.0.0.1", 0, max_queue=max_queue, max_message_bytes=MESSAGE_BYTES)
        await app.start(models)
        options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        try:
            async with grpc.aio.insecure_channel(app.address, options=options) as channel:
                yield Client(channel, app)
        finally:
            await app.stop(grace_s)

    return start


@pytest.fixture
def request_for() -> Callable[..., pb.ModelInferRequest]:
    """Makes a request with raw pixels; all of them have the given value."""

    def make(model: LoadedModel, rows: int = 1, value: int = 7, dtype: Any = np.uint8) -> pb.ModelInferRequest:
        images = np.full((rows, *model.signature.image_shape), value, dtype)
        request = pb.ModelInferRequest(model_name=model.signature.name, id=f"id-{value}")
        datatype = {"uint8": "UINT8", "float32": "FP32"}[images.dtype.name]
        request.inputs.add(name="image", datatype=datatype, shape=images.shape)
        request.raw_input_contents.append(images.tobytes())
        return request

    return make
