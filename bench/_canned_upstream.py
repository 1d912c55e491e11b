"""An upstream that costs next to nothing: reads a whole request, answers a canned one. For `bench/proxy.py`."""

from __future__ import annotations

import asyncio

import numpy as np

from tailgate.http2.limits import Limits
from tailgate.outcome import Ending
from tailgate.pb import inference_pb2 as pb
from tailgate_proxy.answer import Answer
from tailgate_proxy.call import Call, Reply
from tailgate_proxy.wire.held import Held
from tailgate_proxy.wire.inbound import Inbound


def canned() -> bytes:
    response = pb.ModelInferResponse(model_name="m", model_version="1")
    response.outputs.add(name="logits", datatype="FP32", shape=(1, 1000))
    response.raw_output_contents.append(np.arange(1000, dtype="<f4").tobytes())
    return response.SerializeToString()


async def main() -> None:
    answer, ready = canned(), pb.ServerReadyResponse(ready=True).SerializeToString()

    async def infer(call: Call) -> Reply:
        await call.receive()
        return Reply(Ending.ANSWERED, body=answer)

    async def other(path: str, call: Call) -> Answer:
        await call.receive()
        return Answer(ready if path.endswith("ServerReady") else b"")

    held, limits = Held(1 << 31), Limits(max_concurrent_streams=1024)
    server = await asyncio.get_running_loop().create_server(
        lambda: Inbound(infer, other, limits=limits, max_message_bytes=1 << 26, held=held, on_lost=lambda _: None),
        "127.0.0.1",
        0,
    )
    print(f"canned listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
