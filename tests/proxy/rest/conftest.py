"""Proxies that serve V2 over HTTP, too, and a client of HTTP that is nobody's but aiohttp's."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from tailgate.config import Address
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE
from tailgate.protocol.tensors import CONTENTS_FIELD, NUMPY_DTYPES, decode_bytes_elements

RunningProxy = Any  # defined in ../conftest.py, which tests do not import
StartProxy = Any


@dataclass
class Answer:
    """What a client over HTTP was given."""

    status: int
    headers: Any
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON of it."""
        length = self.headers.get("Inference-Header-Content-Length")
        return json.loads(self.body if length is None else self.body[: int(length)])

    @property
    def outcome(self) -> str | None:
        """What the proxy says became of the request; None: simply OK."""
        found: str | None = self.headers.get("tailgate-outcome")
        return found


@dataclass
class RestProxy:
    """A started proxy, and a client of its HTTP."""

    running: RunningProxy
    session: aiohttp.ClientSession

    @property
    def address(self) -> Address:
        """Where it serves HTTP."""
        found: Address = self.running.proxy.rest
        return found

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """Any request."""
        async with self.session.request(method, f"http://{self.address}{path}", **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def post(self, body: Any, model: str = "scripted", **headers: str) -> Answer:
        """An inference by its body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = io.BytesIO(body) if isinstance(body, bytes) else body  # aiohttp warns of large ones
        return await self.ask("POST", f"/v2/models/{model}/infer", data=data, headers=named)

    async def infer(self, request_id: str, model: str = "scripted", **headers: str) -> Answer:
        """An inference of which the upstream does what the id says."""
        return await self.post(document(request_id), model, **headers)

    async def books(self) -> dict[str, int]:
        """What became of all requests, once none is in flight; nothing of them may be left."""
        while True:
            found = await self.scrape()
            assert found["received"] == sum(found["outcomes"].values()) + found["in_flight"]
            if not found["in_flight"]:
                assert self.running.proxy._held.bytes == 0
                return {name: count for name, count in found["outcomes"].items() if count}
            await asyncio.sleep(0.01)

    async def scrape(self) -> dict[str, Any]:
        """The status document."""
        async with self.session.get(f"http://{self.running.admin}/status.json") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, to do as one likes."""
        return await asyncio.open_connection(self.address.bare_host, self.address.port)


def document(request_id: str, **more: Any) -> bytes:
    """A request in JSON."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 4], "data": [97, 98, 99, 100]}
    return json.dumps({"id": request_id, "inputs": [tensor]} | more).encode()


@pytest.fixture
def make_document() -> Callable[..., bytes]:
    return document


StartRest = Callable[..., Awaitable[RestProxy]]


@pytest.fixture
async def start_rest(start_proxy: StartProxy) -> AsyncIterator[StartRest]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:

        async def start(**overrides: object) -> RestProxy:
            return RestProxy(await start_proxy(rest="127.0.0.1:0", **overrides), session)

        yield start


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    """The address of a server that answers every input as an output: raw, or element by element where the request's
    parameter `typed` asks for that.
    """

    async def infer(body: bytes, _context: Any) -> bytes:
        request = pb.ModelInferRequest.FromString(body)
        typed = request.parameters["typed"].bool_param
        response = pb.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            if not typed:
                response.raw_output_contents.append(raw)
            elif tensor.datatype == "BYTES":
                count = 1
                for size in tensor.shape:
                    count *= size
                output.contents.bytes_contents.extend(decode_bytes_elements(raw, count, tensor.name))
            else:
                import numpy as np

                values = np.frombuffer(raw, NUMPY_DTYPES[tensor.datatype]).tolist()
                getattr(output.contents, CONTENTS_FIELD[tensor.datatype]).extend(values)
        return response.SerializeToString()

    async def ready(_body: bytes, _context: Any) -> bytes:
        return pb.ServerReadyResponse(ready=True).SerializeToString()

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 256 << 20)])
    handlers = {"ModelInfer": infer, "ServerReady": ready}
    methods: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in handlers.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)
