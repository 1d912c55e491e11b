"""A V2 server whose behaviour is the model's name: run as a process, it prints its port and serves until it is killed.

It knows the right class from the label in the metadata, as no real server could. What it received goes to a file, one
line of JSON for each request.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path

import grpc
import grpc.aio
import numpy as np

from tailgate.pb import inference_pb2 as pb

SIDE = 32
CLASSES = 10
STALL_S = 0.6

#            datatype, shape
INPUTS = {
    "fp32-only": ("FP32", [-1, 3, SIDE, SIDE]),
    "channels-last": ("UINT8", [-1, SIDE, SIDE, 3]),
    "large": ("UINT8", [-1, 3, 64, 64]),
    "free-size": ("UINT8", [-1, 3, -1, -1]),
}
PARAMETERS = {
    "configured": {"resize_size": "40", "crop_size": "32", "interpolation": "bicubic"},
    "bad-config": {"resize_size": "wide"},
    "odd-filter": {"interpolation": "nearest-exact"},
    "fp32-only": {},
}
LOCKED = {"locked": grpc.StatusCode.UNAUTHENTICATED, "forbidden": grpc.StatusCode.PERMISSION_DENIED}
OUTPUT_SHAPES = {"three-classes": [-1, 3], "no-classes": [-1]}


class Behaviour:
    """What becomes of requests, by model."""

    def __init__(self, log: Path) -> None:
        self.log = log.open("a")
        self.requests = 0
        self.stalled_until: float | None = None
        self.turn = asyncio.Lock()

    async def infer(self, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Answer right, wrong, late, never, with garbage, or not at all."""
        request = pb.ModelInferRequest.FromString(body)
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        label = int(metadata.get("tailgate-label", "-1"))
        self._write(request, metadata, context.time_remaining())
        if label < 0:  # a warm-up
            if request.model_name == "refuses":
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such pixels")
            if request.model_name in LOCKED:
                await context.abort(LOCKED[request.model_name], f"not with {metadata.get('authorization')!r}")
            return answer(0)
        sample = int(metadata["x-request-id"].rpartition("-")[2])
        self.requests += 1
        match request.model_name:
            case "stalls":
                now = asyncio.get_running_loop().time()
                if self.stalled_until is None:
                    self.stalled_until = now + STALL_S
                await asyncio.sleep(max(0.0, self.stalled_until - now))
            case "queues":
                async with self.turn:
                    await asyncio.sleep(0.01)
            case "dies" if self.requests > 20:
                os._exit(1)
            case "mixed":
                return await self._mixed(sample, label, context)
            case "late":
                await asyncio.sleep(1)
            case "never":
                await asyncio.sleep(60)
        return answer(label)

    async def _mixed(self, sample: int, label: int, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        match sample % 6:
            case 1:
                return answer((label + 1) % CLASSES)
            case 2:
                await asyncio.sleep(60)
            case 3:
                return b"\xff\xff\xff"
            case 4:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
            case 5:
                await context.abort(grpc.StatusCode.INTERNAL, "broken")
        return answer(label)

    def _write(self, request: pb.ModelInferRequest, metadata: dict[str, str], remaining_s: float | None) -> None:
        tensor, raw = request.inputs[0], request.raw_input_contents[0]
        line = {
            "model": request.model_name,
            "id": request.id,
            "metadata": metadata,
            "remaining_s": remaining_s,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
            "sha256": hashlib.sha256(raw).hexdigest(),
        }
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()


async def metadata(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    """Describe the model."""
    model = pb.ModelMetadataRequest.FromString(body).name
    if model == "unknown":
        await context.abort(grpc.StatusCode.NOT_FOUND, "there is no model 'unknown'")
    if model == "not-ready":
        await context.abort(grpc.StatusCode.UNAVAILABLE, "still loading")
    response = pb.ModelMetadataResponse(name=model)
    datatype, shape = INPUTS.get(model, ("UINT8", [-1, 3, SIDE, SIDE]))
    for _ in range(2 if model == "two-inputs" else 1):
        response.inputs.add(name="image", datatype=datatype, shape=shape)
    response.outputs.add(name="logits", datatype="FP32", shape=OUTPUT_SHAPES.get(model, [-1, CLASSES]))
    return response.SerializeToString()


async def ready(_body: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    """Always."""
    return pb.ServerReadyResponse(ready=True).SerializeToString()


async def config(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    """Say how the model is set up, where it is known."""
    model = pb.ModelConfigRequest.FromString(body).name
    if model == "plain":
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
    response = pb.ModelConfigResponse()
    parameters = {} if model == "fp32-only" else {"accepted_datatypes": "UINT8,FP32,BYTES"}
    for name, value in (parameters | PARAMETERS.get(model, {})).items():
        response.config.parameters[name].string_value = value
    return response.SerializeToString()


def answer(label: int) -> bytes:
    """Scores with the highest at `label`."""
    scores = np.zeros((1, CLASSES), np.float32)
    scores[0, label] = 1
    response = pb.ModelInferResponse(raw_output_contents=[scores.tobytes()])
    response.outputs.add(name="logits", datatype="FP32", shape=scores.shape)
    return response.SerializeToString()


async def main() -> None:
    """Serve on a free port of the loopback interface."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    methods = {
        "ModelInfer": Behaviour(Path(sys.argv[1])).infer,
        "ModelMetadata": metadata,
        "ModelConfig": config,
        "ServerReady": ready,
    }
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
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
