"""What becomes of the members of a batch when things go wrong: in a real server, in front of a model with a gate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import numpy as np
import pytest
import torch

from tailgate.deadline import Deadline
from tailgate.errors import DeadlineExceeded
from tailgate.pb import inference_pb2 as pb
from tailgate_server.loading import LoadedModel
from tailgate_server.worker import Worker

Serve = Callable[..., AbstractAsyncContextManager[Any]]
RequestFor = Callable[..., pb.ModelInferRequest]


def first_logit(answer: pb.ModelInferResponse) -> float:
    return float(np.frombuffer(answer.raw_output_contents[0], "<f4")[0])


async def waiting(client: Any, calls: int) -> None:
    """Return once so many inferences are inside the server."""
    while client.app._border.in_flight < calls:
        await asyncio.sleep(0.002)


async def entered(gate: Any) -> None:
    """Return once the model has been given another batch."""
    assert await asyncio.to_thread(gate.entered.acquire, timeout=60)


@pytest.fixture
def infer(request_for: RequestFor, gated: LoadedModel) -> Callable[..., asyncio.Task[pb.ModelInferResponse]]:
    def start(client: Any, value: int, rows: int = 1, dtype: Any = np.uint8, **options: Any) -> Any:
        request = request_for(gated, rows, value, dtype)
        return asyncio.create_task(client.infer(request, **options))

    return start


async def test_requests_that_wait_together_run_together_and_get_their_own_answers(
    serve: Serve, gated: LoadedModel, gate: Any, infer: Any
) -> None:
    async with serve([gated]) as client:
        first = infer(client, 255)
        await entered(gate)
        others = [infer(client, 0, rows) for rows in (1, 2)] + [infer(client, 255)]
        await waiting(client, 4)
        gate.open()
        assert [first_logit(answer) for answer in await asyncio.gather(first, *others)] == [255.0, 0.0, 0.0, 255.0]
        assert [len(batch) for batch in gate.batches] == [1, 4]


async def test_a_cancelled_member_never_reaches_the_model(
    serve: Serve, gated: LoadedModel, gate: Any, infer: Any
) -> None:
    async with serve([gated]) as client:
        running = infer(client, 0)
        await entered(gate)
        leaving, staying = infer(client, 255, 3), infer(client, 0)
        await waiting(client, 3)
        leaving.cancel()
        while client.app._border.in_flight > 2:
            await asyncio.sleep(0.002)
        gate.open()
        await asyncio.gather(running, staying)
        assert gate.batches == [[0], [0]]


async def test_a_member_that_expires_in_the_queue_is_answered_at_its_deadline_and_never_runs(
    serve: Serve, gated: LoadedModel, gate: Any, infer: Any, request_for: RequestFor
) -> None:
    async with serve([gated]) as client:
        running = infer(client, 0)
        await entered(gate)
        request = request_for(gated, value=255)
        request.parameters["timeout"].int64_param = 20_000
        # Answered while the gate is still closed: the refusal does not wait for the batch that runs.
        code, details = await client.refused(request)
        assert code == "DEADLINE_EXCEEDED"
        assert "deadline" in details
        code, _ = await client.refused(request_for(gated, value=255), timeout=0.05)
        assert code == "DEADLINE_EXCEEDED"
        gate.open()
        await running
        assert gate.batches == [[0]]


async def test_a_request_that_runs_past_its_deadline_is_refused_at_it(
    serve: Serve, gated: LoadedModel, gate: Any, request_for: RequestFor
) -> None:
    async with serve([gated]) as client:
        request = request_for(gated)
        request.parameters["timeout"].int64_param = 2_000_000  # time enough to reach the model
        code, _ = await client.refused(request)
        assert code == "DEADLINE_EXCEEDED"
        assert len(gate.batches) == 1


async def test_a_deadline_that_has_passed_on_arrival_is_refused_without_the_model(
    serve: Serve, gated: LoadedModel, gate: Any, request_for: RequestFor
) -> None:
    async with serve([gated]) as client:
        code, _ = await client.refused(request_for(gated), timeout=0.0)
        assert code == "DEADLINE_EXCEEDED"
        assert gate.batches == []


@pytest.mark.parametrize("leaving_by", ["cancel", "deadline"])
async def test_a_client_that_leaves_while_its_batch_runs_harms_no_batch_mate(
    serve: Serve, gated: LoadedModel, gate: Any, infer: Any, leaving_by: str
) -> None:
    async with serve([gated]) as client:
        blocking = infer(client, 0)
        await entered(gate)
        leaving = infer(client, 255, timeout=3.0 if leaving_by == "deadline" else None)
        mates = [infer(client, 0), infer(client, 0)]
        await waiting(client, 4)
        gate.let_one_through()
        await blocking
        await entered(gate)
        assert len(gate.batches[1]) == 3
        if leaving_by == "cancel":
            leaving.cancel()
        with pytest.raises((asyncio.CancelledError, grpc.aio.AioRpcError)):
            await leaving
        while client.app._border.in_flight > 2:
            await asyncio.sleep(0.002)
        gate.open()
        assert [first_logit(answer) for answer in await asyncio.gather(*mates)] == [0.0, 0.0]
        assert first_logit(await infer(client, 255)) == 255.0


async def test_pixels_of_both_datatypes_are_served_but_never_in_one_batch(
    serve: Serve, gated: LoadedModel, gate: Any, infer: Any
) -> None:
    async with serve([gated]) as client:
        running = infer(client, 0)
        await entered(gate)
        others = [infer(client, 255), infer(client, 1, dtype=np.float32), infer(client, 255)]
        await waiting(client, 4)
        gate.open()
        assert [first_logit(answer) for answer in await asyncio.gather(running, *others)] == [0.0, 255.0, 1.0, 255.0]
        assert sorted(len(batch) for batch in gate.batches[1:]) == [1, 2]


async def test_a_full_queue_refuses_and_says_so(serve: Serve, gated: LoadedModel, gate: Any, infer: Any) -> None:
    async with serve([gated], max_queue=2) as client:
        running = infer(client, 0)
        await entered(gate)
        queued = [infer(client, 0), infer(client, 0)]
        await waiting(client, 3)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await infer(client, 0)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "2 requests are waiting" in (caught.value.details() or "")
        gate.open()
        await asyncio.gather(running, *queued)


async def test_a_model_that_fails_fails_its_batch_and_the_next_one_runs(
    serve: Serve, gated: LoadedModel, gate: Any, infer: Any
) -> None:
    gate.failures.append(ValueError("a secret of the inside"))
    async with serve([gated]) as client:
        running = infer(client, 0)
        await entered(gate)
        gate.open()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in (caught.value.details() or "")
        assert first_logit(await infer(client, 255)) == 255.0


async def test_a_batch_too_large_for_memory_is_run_in_halves(
    serve: Serve, gated: LoadedModel, gate: Any, infer: Any
) -> None:
    gate.failures.append(torch.cuda.OutOfMemoryError("no room"))
    gate.open()
    async with serve([gated]) as client:
        answer = await infer(client, 255, 3)
        assert np.frombuffer(answer.raw_output_contents[0], "<f4").tolist() == [255.0] * 30
        assert [len(batch) for batch in gate.batches] == [3, 2, 1]


async def test_without_memory_for_half_a_batch_it_is_refused_and_the_next_one_runs(
    serve: Serve, gated: LoadedModel, gate: Any, infer: Any
) -> None:
    gate.failures.extend(torch.cuda.OutOfMemoryError("no room") for _ in range(2))
    gate.open()
    async with serve([gated]) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await infer(client, 255, 3)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "out of memory with 2 images" in (caught.value.details() or "")
        assert first_logit(await infer(client, 255)) == 255.0


@pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="torch before 2.8 cannot tell faults of a device")
async def test_a_lost_device_ends_the_server_with_a_failure(
    serve: Serve, gated: LoadedModel, gate: Any, infer: Any
) -> None:
    gate.failures.append(torch.AcceleratorError("the device fell off"))
    async with serve([gated]) as client:
        running = infer(client, 0)
        await entered(gate)
        queued = infer(client, 0)
        await waiting(client, 2)
        gate.open()
        codes = []
        for call in (running, queued, infer(client, 0)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            codes.append(caught.value.code().name)
        assert codes == ["INTERNAL", "UNAVAILABLE", "UNAVAILABLE"]
        await client.app.wait()
        assert "the device fell off" in client.app.failure


async def test_the_worker_itself_never_gives_a_late_answer_nor_runs_what_is_late(gated: LoadedModel, gate: Any) -> None:
    # Without the timer of the service around it: as when the event loop was held up and the timer fires too late.
    worker = Worker(gated.engine, gated.signature, 8, lambda _: None)
    worker.start()
    try:
        now_s = asyncio.get_running_loop().time()
        images = np.zeros((1, 3, 2, 2), np.uint8)
        running = asyncio.create_task(worker.infer(images, Deadline(now_s, 2.0)))
        await entered(gate)
        queued = asyncio.create_task(worker.infer(images, Deadline(now_s, 2.0)))
        await asyncio.sleep(now_s + 2.01 - asyncio.get_running_loop().time())
        gate.open()
        for call, sentence in ((running, "while the model ran"), (queued, "while the request waited")):
            with pytest.raises(DeadlineExceeded, match=sentence):
                await call
        assert len(gate.batches) == 1
    finally:
        await worker.close()
