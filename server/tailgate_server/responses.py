"""Logits to a ModelInferResponse: raw, or as the best classes of the classification extension. Pure functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.tensors import encode_bytes_elements
from tailgate_server.signature import OUTPUT, VERSION, Signature


def build_response(
    request_id: str, signature: Signature, logits: npt.NDArray[np.float32], top: int | None
) -> pb.ModelInferResponse:
    """The answer to one request.

    Args:
        request_id: Handed back.
        signature: The model that answered.
        logits: FP32 `[rows, classes]`.
        top: How many best classes to answer with; None for the logits themselves.
    """
    response = pb.ModelInferResponse(model_name=signature.name, model_version=VERSION, id=request_id)
    if top is None:
        response.outputs.add(name=OUTPUT, datatype="FP32", shape=logits.shape)
        response.raw_output_contents.append(np.ascontiguousarray(logits, "<f4").tobytes())
    else:
        response.outputs.add(name=OUTPUT, datatype="BYTES", shape=(len(logits), top))
        elements = [element for row in logits for element in best_classes(row, top, signature.labels)]
        response.raw_output_contents.append(encode_bytes_elements(elements))
    return response


def best_classes(row: npt.NDArray[np.float32], top: int, labels: tuple[str, ...]) -> list[bytes]:
    """The `top` classes with the highest values, as `value:index` or `value:index:label`; of equals the first first.

    >>> best_classes(np.array([0.5, 2.0], np.float32), 2, ("cat", "dog"))
    [b'2.000000:1:dog', b'0.500000:0:cat']
    """
    order = np.argsort(-row, kind="stable")[:top]
    return [f"{row[i]:f}:{i}{':' + labels[i] if labels else ''}".encode() for i in order]
