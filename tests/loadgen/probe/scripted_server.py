"""A V2 server whose manners are given: `python scripted_server.py '{"drops": true, …}'`. Its model sleeps.

One instance takes batches from a queue, first come, first served. What it does about clients that leave, about a full
queue, the parameter `timeout` and malformed requests is what its `Manners` say.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections import deque
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from tailgate.pb import inference_pb2 as pb

MODEL = "sleeps"
ELEMENTS = 16


@dataclass(frozen=True)
class Manners:
    """How it behaves.

    Attributes:
        name: What it calls itself.
        service_s: What the model takes for a batch.
        max_batch: Most calls in a batch.
        drops: Whether calls that were left are taken out of the queue.
        stops: Whether the model stops when everybody in its batch has left.
        poisons: Whether those behind one that left get no answer from their batch.
        bound: Most calls in the queue; None for no bound.
        timeout: Whether the parameter `timeout` is honoured: `no`, `at once`, or `late`, when the next batch is made.
        strict: Whether malformed requests are refused.
        counts: Whether it offers ModelStatistics.
        dies_of: A model's version whose mention ends it.
    """

    name: str = "scripted"
    service_s: float = 0.1
    max_batch: int = 1
    drops: bool = False
    stops: bool = False
    poisons: bool = False
    bound: int | None = None
    timeout: str = "no"
    strict: bool = True
    counts: bool = False
    dies_of: str = ""


class Member:
    """One call in the queue."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self.answer: asyncio.Future[bool] = loop.create_future()
        self.left: asyncio.Future[None] = loop.create_future()
        self.expires_s = loop.time() + timeout_s


class Server:
    """Its methods, and the one instance."""

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self.queue: deque[Member] = deque()
        self.came = asyncio.Event()
        self.executed = 0

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self.queue:
                self.came.clear()
                await self.came.wait()
            self._clear_out(loop.time())
            batch = [self.queue.popleft() for _ in range(min(len(self.queue), self.manners.max_batch))]
            if batch:
                await self._run(batch)

    def _clear_out(self, now_s: float) -> None:
        if self.manners.drops:
            self.queue = deque(member for member in self.queue if not member.left.done())
        if self.manners.timeout == "late":
            for member in [member for member in self.queue if member.expires_s < now_s]:
                self._expire(member)

    async def _run(self, batch: list[Member]) -> None:
        stopped = False
        if self.manners.stops:
            _, staying = await asyncio.wait({member.left for member in batch}, timeout=self.manners.service_s)
            stopped = not staying
        else:
            await asyncio.sleep(self.manners.service_s)
        if not stopped:
            self.executed += len(batch)
        for member in batch:
            if self.manners.poisons and member.left.done():
                break  # as an error in the loop that hands out answers would
            if not member.answer.done():
                member.answer.set_result(True)

    def _expire(self, member: Member) -> None:
        if member in self.queue:
            self.queue.remove(member)
            member.answer.set_result(False)

    async def infer(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            request = pb.ModelInferRequest.FromString(body)
        except Exception:  # noqa: BLE001 — whatever protobuf says
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no protobuf")
        if self.manners.dies_of and request.model_version == self.manners.dies_of:
            sys.exit(1)
        if self.manners.strict and (fault := fault_of(request)):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault)
        if self.manners.bound is not None and len(self.queue) >= self.manners.bound:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
        loop = asyncio.get_running_loop()
        timeout_us = request.parameters["timeout"].int64_param
        member = Member(loop, timeout_us / 1e6 if timeout_us else math.inf)
        self.queue.append(member)
        self.came.set()
        if timeout_us and self.manners.timeout == "at once":
            loop.call_later(timeout_us / 1e6, self._expire, member)
        try:
            if not await asyncio.shield(member.answer):
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the request's timeout expired")
        except asyncio.CancelledError:
            if not member.left.done():
                member.left.set_result(None)
            raise
        response = pb.ModelInferResponse(model_name=request.model_name, raw_output_contents=[bytes(4)])
        response.outputs.add(name="scores", datatype="FP32", shape=[1, 1])
        return response.SerializeToString()

    async def metadata(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if (name := pb.ModelMetadataRequest.FromString(body).name) != MODEL:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no model {name!r}")
        response = pb.ModelMetadataResponse(name=MODEL, platform="sleep")
        response.inputs.add(name="image", datatype="UINT8", shape=[-1, ELEMENTS])
        response.outputs.add(name="scores", datatype="FP32", shape=[-1, 1])
        return response.SerializeToString()

    async def ready(self, _body: bytes, _context: Any) -> bytes:
        return pb.ServerReadyResponse(ready=True).SerializeToString()

    async def server_metadata(self, _body: bytes, _context: Any) -> bytes:
        return pb.ServerMetadataResponse(name=self.manners.name, version="1.0").SerializeToString()

    async def statistics(self, _body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if not self.manners.counts:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        response = pb.ModelStatisticsResponse()
        response.model_stats.add(name=MODEL, inference_count=self.executed)
        return response.SerializeToString()


def fault_of(request: pb.ModelInferRequest) -> str:
    """What is wrong with a request; empty if nothing is."""
    if request.model_name != MODEL or request.model_version:
        return "there is no such model"
    if [given.name for given in request.inputs] != ["image"] or len(request.raw_input_contents) != 1:
        return "expected one input, 'image', in raw contents"
    given = request.inputs[0]
    if given.datatype != "UINT8" or list(given.shape) != [1, ELEMENTS] or given.HasField("contents"):
        return f"expected UINT8 [1, {ELEMENTS}]"
    if len(request.raw_input_contents[0]) != ELEMENTS or request.outputs:
        return f"expected {ELEMENTS} bytes, and all outputs"
    return ""


async def main() -> None:
    """Serve on a free port of the loopback interface."""
    behaviour = Server(Manners(**json.loads(sys.argv[1])))
    methods = {
        "ModelInfer": behaviour.infer,
        "ModelMetadata": behaviour.metadata,
        "ServerReady": behaviour.ready,
        "ServerMetadata": behaviour.server_metadata,
        "ModelStatistics": behaviour.statistics,
    }
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "inference.GRPCInferenceService",
                {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()},
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await behaviour.work()


if __name__ == "__main__":
    asyncio.run(main())
