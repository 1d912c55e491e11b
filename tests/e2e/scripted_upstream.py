"""A real V2 gRPC server whose answers follow from the sample a request carries, so that a test knows them beforehand.

Request ids end in ``-SAMPLE``. Every third sample takes 0.4 s, or so many times that as it is told to be slower, the
others nothing. The class answered is the sample modulo 10. A load generator that replays the digits will find about one
in ten of that right. Given the name of a log, it writes there the id of every request that it begins with.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE

PARSER = argparse.ArgumentParser(description=__doc__)
PARSER.add_argument("port", type=int)
PARSER.add_argument("--log", type=Path)
PARSER.add_argument("--slower", type=int, default=1)
GIVEN = PARSER.parse_args()
SLOW_S = 0.4 * GIVEN.slower
LOG = GIVEN.log.open("a", buffering=1) if GIVEN.log is not None else None


async def infer(body: bytes, _context: Any) -> bytes:
    request = pb.ModelInferRequest.FromString(body)
    if LOG is not None:
        LOG.write(request.id + "\n")
    sample = int(request.id.rpartition("-")[2])
    if sample % 3 == 0:
        await asyncio.sleep(SLOW_S)
    scores = np.zeros((1, 10), "<f4")
    scores[0, sample % 10] = 1.0
    response = pb.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
    response.outputs.add(name="logits", datatype="FP32", shape=scores.shape)
    response.raw_output_contents.append(scores.tobytes())
    return response.SerializeToString()


async def ready(_body: bytes, _context: Any) -> bytes:
    return pb.ServerReadyResponse(ready=True).SerializeToString()


async def metadata(_body: bytes, _context: Any) -> bytes:
    response = pb.ModelMetadataResponse(name="digits", versions=["1"], platform="scripted")
    response.inputs.add(name="image", datatype="UINT8", shape=[-1, 3, 32, 32])
    response.outputs.add(name="logits", datatype="FP32", shape=[-1, 10])
    return response.SerializeToString()


async def main(port: int) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers = {"ModelInfer": infer, "ServerReady": ready, "ModelMetadata": metadata}
    generic = grpc.method_handlers_generic_handler(
        SERVICE, {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in handlers.items()}
    )
    server.add_generic_rpc_handlers((generic,))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print(f"listening on 127.0.0.1:{bound}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(GIVEN.port))
