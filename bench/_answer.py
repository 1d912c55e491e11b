"""The answer that the upstreams of the benchmarks give to every request."""

from __future__ import annotations

import numpy as np

from tailgate.pb import inference_pb2 as pb


def canned_answer() -> bytes:
    """Scores of 1000 classes as a serialized ModelInferResponse."""
    response = pb.ModelInferResponse(model_name="resnet50", model_version="1")
    response.outputs.add(name="logits", datatype="FP32", shape=(1, 1000))
    response.raw_output_contents.append(np.linspace(-1, 1, 1000, dtype="<f4").tobytes())
    return response.SerializeToString()


def framed(message: bytes) -> bytes:
    """A message behind gRPC's five bytes: not compressed, and how long."""
    return b"\0" + len(message).to_bytes(4, "big") + message
