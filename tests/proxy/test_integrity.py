"""Many calls at once: no answer goes to another call, none is lost, and the books balance."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import grpc
import grpc.aio
import numpy as np

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER

SEED = 20221225


async def test_no_answer_is_crossed_lost_or_changed_among_sizes_deadlines_and_cancels(
    upstream: Any, start_proxy: Any
) -> None:
    generator = random.Random(SEED)
    running = await start_proxy(deadline="20s", max_in_flight=4096)
    channels = [
        grpc.aio.insecure_channel(str(running.address), options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(4)
    ]
    frame = RequestFrame("scripted", "image", "UINT8", (1, 4))
    answered = gave_up = 0
    unexpected: list[BaseException] = []

    async def one(number: int) -> None:
        nonlocal answered, gave_up
        kind, predicted = generator.random(), generator.randrange(10)
        script = "sleep:5" if kind < 0.15 else str(predicted)
        timeout = generator.uniform(0.001, 0.06) if kind < 0.3 else 20.0
        body = frame.build(f"{script}/{number}", bytes(generator.choice((4, 900, 20_000, 300_000))))
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channels[number % 4].unary_unary(MODEL_INFER)
        call = method(body, timeout=timeout)
        if kind > 0.95:
            asyncio.get_running_loop().call_later(generator.uniform(0, 0.05), call.cancel)
        try:
            response = pb.ModelInferResponse.FromString(await call)
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            if 0.3 <= kind <= 0.95:
                unexpected.append(error)
            gave_up += 1
            return
        assert response.id == f"{script}/{number}"
        assert np.frombuffer(response.raw_output_contents[0], "<f4").argmax() == predicted
        answered += 1

    for start in range(0, 1200, 100):
        await asyncio.gather(*(one(number) for number in range(start, start + 100)))
    assert unexpected == []
    for channel in channels:
        await channel.close()
    ledger = running.proxy._ledger
    async with asyncio.timeout(20):
        while ledger.in_flight:
            await asyncio.sleep(0.02)
    outcomes = ledger.outcomes()
    assert ledger.received == sum(outcomes.values())
    assert answered + gave_up == 1200
    ok = sum(count for (outcome, _), count in outcomes.items() if outcome.answered)
    assert answered <= ok <= answered + gave_up
    # What clients cancelled before anything was sent never was; all else is here.
    assert 1200 - gave_up <= ledger.received <= 1200
    front = running.proxy._front
    assert front is not None
    assert front._held.bytes == 0
    for name, body in upstream.bodies.items():
        assert pb.ModelInferRequest.FromString(body).id == name
