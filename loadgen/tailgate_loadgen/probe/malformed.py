"""Malformed requests for a model: one fault each, everything else as it should be. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.tensors import CONTENTS_FIELD
from tailgate_loadgen.probe.inputs import Tensor, element_bytes, message

_LONG = 5 << 20
"""More than the 4 MiB that gRPC's servers take by default."""
_HUGE = 1 << 62
_OTHER = {"FP32": "UINT8", "BYTES": "UINT8"}
"""A datatype of another size; FP32 for all that are not here."""


def malformed(model: str, version: str, tensors: tuple[Tensor, ...]) -> Iterator[tuple[str, bytes | None]]:
    """Cases by name; None where a case cannot be made for this model."""
    first = tensors[0]
    good = message(model, version, tensors).SerializeToString()

    def changed(change: Callable[[pb.ModelInferRequest], None]) -> bytes:
        request = pb.ModelInferRequest.FromString(good)
        change(request)
        return request.SerializeToString()

    def shaped(shape: tuple[int, ...], *, data: bool = False) -> bytes:
        def change(request: pb.ModelInferRequest) -> None:
            request.inputs[0].shape[:] = shape
            if data:
                request.raw_input_contents[0] = Tensor(first.name, first.datatype, shape).raw

        return changed(change)

    def raw(contents: bytes) -> bytes:
        return changed(lambda request: request.raw_input_contents.__setitem__(0, contents))

    fixed = first.datatype != "BYTES"
    yield "unknown model", changed(lambda request: setattr(request, "model_name", f"no-{model}"))
    yield "unknown version", changed(lambda request: setattr(request, "model_version", "987654321"))
    yield "no inputs", changed(_without_inputs)
    yield "wrong name of an input", changed(lambda request: setattr(request.inputs[0], "name", f"no-{first.name}"))
    yield "an input twice", changed(_twice)
    yield "unknown output asked for", changed(_asking_for_more)
    yield "one dimension more", shaped((*first.shape, 1))
    yield "one dimension less", shaped(first.shape[:-1], data=True) if len(first.shape) > 1 else None
    yield "batch of nothing", shaped((0, *first.shape[1:]), data=True)
    yield "negative dimension", shaped((-1, *first.shape[1:]))
    yield "dimensions beyond 64 bits", shaped((_HUGE,) * len(first.shape))
    yield "another datatype", changed(lambda request: _retyped(request, first))
    yield "unknown datatype", changed(lambda request: setattr(request.inputs[0], "datatype", "FOO"))
    yield "one byte too few", raw(first.raw[:-1])
    yield "one byte too many", raw(first.raw + b"\0")
    yield "no contents at all", changed(lambda request: request.ClearField("raw_input_contents"))
    yield "raw contents of one more input", changed(lambda request: request.raw_input_contents.append(first.raw))
    yield "raw and typed contents", changed(lambda request: _typed(request, first)) if fixed else None
    yield "typed contents of another datatype", changed(lambda request: _mistyped(request, first)) if fixed else None
    yield "text that is longer than its contents", None if fixed else raw(b"\xff\xff\xff\x7fabc")
    yield "more than 4 MiB", raw(first.raw + bytes(_LONG))
    yield "an empty message", b""
    yield "a message that is cut off", good[:-1]
    yield "no protobuf", b"\xff" * 64


def _without_inputs(request: pb.ModelInferRequest) -> None:
    request.ClearField("inputs")
    request.ClearField("raw_input_contents")


def _asking_for_more(request: pb.ModelInferRequest) -> None:
    request.outputs.add(name="no-such-output")


def _twice(request: pb.ModelInferRequest) -> None:
    request.inputs.add().CopyFrom(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])


def _retyped(request: pb.ModelInferRequest, tensor: Tensor) -> None:
    other = _OTHER.get(tensor.datatype, "FP32")
    request.inputs[0].datatype = other
    request.raw_input_contents[0] = bytes(math.prod(tensor.shape) * element_bytes(other))


def _typed(request: pb.ModelInferRequest, tensor: Tensor) -> None:
    field = CONTENTS_FIELD.get(tensor.datatype, "fp32_contents")
    getattr(request.inputs[0].contents, field).extend([0] * math.prod(tensor.shape))


def _mistyped(request: pb.ModelInferRequest, tensor: Tensor) -> None:
    field = "int64_contents" if CONTENTS_FIELD.get(tensor.datatype) == "fp32_contents" else "fp32_contents"
    getattr(request.inputs[0].contents, field).extend([0] * math.prod(tensor.shape))
    request.ClearField("raw_input_contents")
