"""Requests for a model of which only its metadata is known: shapes, datatypes, harmless values.

Pure: from what a server says of a model, and what the user adds, to the bytes of a request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tailgate.errors import UsageError
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.tensors import DATATYPES, NUMPY_DTYPES, encode_bytes_elements

MOST_BYTES = 64 << 20
"""Of one request: beyond, most servers refuse, and what is measured is the copying."""
_TWO_BYTES = 2  # BF16 has no numpy type


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input: its name, its datatype, and its shape with the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def raw(self) -> bytes:
        """Contents of its size: zeros, or empty strings."""
        elements = math.prod(self.shape)
        if self.datatype == "BYTES":
            return encode_bytes_elements([b""] * elements)
        return bytes(elements * element_bytes(self.datatype))


def element_bytes(datatype: str) -> int:
    """Of one element, where all have the same size."""
    return NUMPY_DTYPES[datatype].itemsize if datatype in NUMPY_DTYPES else _TWO_BYTES


def parse_shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by input, from options such as ``image=1,3,224,224``.

    Raises:
        UsageError: It names no input, or a dimension is no whole number above zero.

    >>> parse_shapes(["image=1,16"])
    {'image': (1, 16)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, dimensions = text.partition("=")
        parts = dimensions.split(",")
        if not name or not equals or not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
            raise UsageError(
                f"--shape is {text!r}; expected NAME=D1,D2,… with whole numbers, such as image=1,3,224,224"
            )
        shape = tuple(int(part) for part in parts)
        if 0 in shape:
            raise UsageError(f"--shape is {text!r}; expected dimensions above zero")
        shapes[name] = shape
    return shapes


def tensors_of(
    metadata: pb.ModelMetadataResponse, shapes: Mapping[str, tuple[int, ...]], batch: int | None
) -> tuple[Tensor, ...]:
    """The inputs that requests of a probe have.

    Args:
        metadata: Of the model.
        shapes: The user's, whole, with the batch; these win.
        batch: For a first dimension that is open.

    Raises:
        UsageError: The metadata leave open what the user does not say, or they contradict each other.
    """
    if not metadata.inputs:
        raise UsageError(
            f"the server names no inputs of model {metadata.name!r}, so no request can be made for it; "
            "describe them in the model's configuration"
        )
    unknown = sorted(set(shapes) - {given.name for given in metadata.inputs})
    if unknown:
        names = ", ".join(given.name for given in metadata.inputs)
        raise UsageError(f"--shape names {unknown[0]!r}, which is no input of the model; it has {names}")
    tensors = tuple(_tensor(given, shapes.get(given.name), batch) for given in metadata.inputs)
    total = sum(len(tensor.raw) for tensor in tensors)
    if total > MOST_BYTES:
        raise UsageError(
            f"a request of this shape has {total:,} bytes; give smaller ones with --shape or --batch, "
            f"at most {MOST_BYTES:,}"
        )
    return tensors


def _tensor(given: pb.ModelMetadataResponse.TensorMetadata, shape: tuple[int, ...] | None, batch: int | None) -> Tensor:
    said = tuple(given.shape)
    if given.datatype not in DATATYPES:
        raise UsageError(
            f"input {given.name!r} has the datatype {given.datatype!r}, which the V2 protocol does not know"
        )
    if shape is None:
        open_ones = [place for place, size in enumerate(said) if size < 0 and place > 0]
        if open_ones or not said:
            example = ",".join(str(size) if size > 0 else "8" for size in (1, *said[1:]))
            raise UsageError(
                f"input {given.name!r} has the shape {list(said)}, which leaves dimensions open; "
                f"say what to send, such as --shape {given.name}={example}"
            )
        if batch is not None and said[0] >= 0 and said[0] != batch:
            raise UsageError(
                f"--batch is {batch}, but input {given.name!r} has the fixed shape {list(said)}; leave --batch out"
            )
        return Tensor(given.name, given.datatype, (batch or 1 if said[0] < 0 else said[0], *said[1:]))
    if len(shape) != len(said) or any(size >= 0 and size != wanted for size, wanted in zip(said, shape, strict=True)):
        raise UsageError(f"--shape {given.name}={','.join(map(str, shape))} does not fit the model's {list(said)}")
    return Tensor(given.name, given.datatype, shape)


def message(model: str, version: str, tensors: tuple[Tensor, ...]) -> pb.ModelInferRequest:
    """A request for this model that is as it should be."""
    request = pb.ModelInferRequest(model_name=model, model_version=version)
    for tensor in tensors:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(tensor.raw)
    return request


def with_timeout(request: pb.ModelInferRequest, timeout_s: float) -> pb.ModelInferRequest:
    """The same with the parameter ``timeout`` of Triton's scheduling extension, which counts microseconds."""
    copy = pb.ModelInferRequest()
    copy.CopyFrom(request)
    copy.parameters["timeout"].int64_param = max(1, round(timeout_s * 1e6))
    return copy
