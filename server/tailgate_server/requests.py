"""What a ModelInfer request must be: bytes to a checked request, or one sentence on what is wrong. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy.typing as npt
from google.protobuf.message import DecodeError, Message

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb
from tailgate_server.contents import encoded_images, pixels
from tailgate_server.signature import DATATYPES, INPUT, OUTPUT, Signature

M = TypeVar("M", bound=Message)

TIMEOUT = "timeout"
"""Request parameter: microseconds from arrival within which the answer must come. 0 says nothing, as in Triton."""

CLASSIFICATION = "classification"
"""Output parameter: answer with this many best classes instead of all logits."""

_SHARED_MEMORY = "shared_memory_region"


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that fits the model.

    Attributes:
        images: UINT8 or FP32 `[rows, 3, H, W]`, or the bytes of each encoded image.
        top: Best classes asked for; None for the logits themselves.
        timeout_s: Seconds from arrival the client allows in the request itself; None where it says nothing.
    """

    images: npt.NDArray[Any] | list[bytes]
    top: int | None
    timeout_s: float | None


def parse(body: bytes, kind: type[M]) -> M:
    """The message in a request's body.

    Raises:
        InvalidRequest: The bytes are no such message.
    """
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise InvalidRequest(f"the request's {len(body)} bytes are no {kind.DESCRIPTOR.name} message") from error


def check_request(request: pb.ModelInferRequest, signature: Signature) -> CheckedRequest:
    """The request in checked form.

    Args:
        request: One that named this model; whether the model and version exist was for others to say.
        signature: The model.

    Raises:
        InvalidRequest: It does not fit.
    """
    timeout_s = _timeout_s(request.parameters)
    top = _requested(request.outputs, signature)
    tensor = _only_input(request.inputs)
    rows = _rows(tensor, signature)
    raw = _raw(request, tensor)
    if tensor.datatype == "BYTES":
        return CheckedRequest(encoded_images(tensor, raw, rows), top, timeout_s)
    return CheckedRequest(pixels(tensor, raw, (rows, *signature.image_shape)), top, timeout_s)


def _timeout_s(parameters: Mapping[str, pb.InferParameter]) -> float | None:
    if TIMEOUT not in parameters:
        return None
    microseconds = _integer(parameters[TIMEOUT], f"parameter {TIMEOUT!r}", "a number of microseconds")
    if microseconds < 0:
        raise InvalidRequest(f"parameter {TIMEOUT!r}: expected microseconds of 0 or more, got {microseconds}")
    return microseconds / 1e6 if microseconds else None


def _requested(outputs: Any, signature: Signature) -> int | None:
    """The number of best classes asked for. `outputs` is a repeated InferRequestedOutputTensor."""
    if len(outputs) > 1:
        raise InvalidRequest(f"outputs: expected {OUTPUT!r} once at most, got {len(outputs)} outputs")
    for output in outputs:
        if output.name != OUTPUT:
            raise InvalidRequest(f"output {output.name!r} is unknown; model {signature.name!r} has {OUTPUT!r}")
        _no_shared_memory(output.parameters, f"output {OUTPUT!r}")
        if CLASSIFICATION in output.parameters:
            what = f"output {OUTPUT!r}: parameter {CLASSIFICATION!r}"
            top = _integer(output.parameters[CLASSIFICATION], what, "a number of classes")
            if top < 1:
                raise InvalidRequest(f"{what}: expected 1 to {signature.classes} classes, got {top}")
            return min(top, signature.classes)
    return None


def _only_input(inputs: Any) -> pb.ModelInferRequest.InferInputTensor:
    """The one input there must be. `inputs` is a repeated InferInputTensor."""
    names = [tensor.name for tensor in inputs]
    for name in names:
        if name != INPUT:
            raise InvalidRequest(f"input {name!r} is unknown; expected one input, {INPUT!r}")
    if len(names) != 1:
        raise InvalidRequest(f"inputs: expected {INPUT!r} once, got {len(names)} inputs")
    tensor = inputs[0]
    _no_shared_memory(tensor.parameters, f"input {INPUT!r}")
    assert isinstance(tensor, pb.ModelInferRequest.InferInputTensor)
    return tensor


def _rows(tensor: pb.ModelInferRequest.InferInputTensor, signature: Signature) -> int:
    """How many images the shape says there are, once datatype and shape are found right."""
    if tensor.datatype not in DATATYPES:
        raise InvalidRequest(f"input {INPUT!r}: expected datatype {' or '.join(DATATYPES)}, got {tensor.datatype!r}")
    shape = list(tensor.shape)
    if tensor.datatype == "BYTES":
        expected, fits = "[-1] or [-1, 1]", len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    else:
        expected = f"[-1, {', '.join(map(str, signature.image_shape))}]"
        fits = len(shape) == 4 and tuple(shape[1:]) == signature.image_shape
    if not fits:
        raise InvalidRequest(f"input {INPUT!r}: expected shape {expected} for {tensor.datatype}, got {shape}")
    if not 1 <= shape[0] <= signature.max_batch:
        raise InvalidRequest(
            f"input {INPUT!r}: expected 1 to {signature.max_batch} images in a request, got shape {shape}"
        )
    return shape[0]


def _raw(request: pb.ModelInferRequest, tensor: pb.ModelInferRequest.InferInputTensor) -> bytes | None:
    """The input's raw contents, or None if it has typed ones."""
    raws = request.raw_input_contents
    if len(raws) > 1:
        raise InvalidRequest(f"raw_input_contents: expected 1 entry for 1 input, got {len(raws)}")
    if raws and tensor.HasField("contents"):
        raise InvalidRequest(f"input {INPUT!r}: expected raw_input_contents or contents, got both")
    if not raws and not tensor.HasField("contents"):
        raise InvalidRequest(f"input {INPUT!r} has no data; send it in raw_input_contents")
    return raws[0] if raws else None


def _no_shared_memory(parameters: Mapping[str, pb.InferParameter], what: str) -> None:
    if _SHARED_MEMORY in parameters:
        raise InvalidRequest(f"{what}: parameter {_SHARED_MEMORY!r} is not offered here; send and take raw contents")


def _integer(parameter: pb.InferParameter, what: str, meaning: str) -> int:
    choice = parameter.WhichOneof("parameter_choice")
    if choice not in ("int64_param", "uint64_param"):
        raise InvalidRequest(f"{what}: expected int64_param, {meaning}, got {choice or 'no value'}")
    return int(getattr(parameter, choice))
