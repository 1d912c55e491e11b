"""Which class an answer names, so that it can be held against a label, and how sure it is of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.plain_answer import FEW, read_plain_answer
from tailgate.protocol.tensors import CONTENTS_FIELD, MOST_DIMENSIONS, NUMPY_DTYPES, decode_bytes_elements

UNKNOWN_CLASS: Final = -1
"""Stands where an answer names no class, or no label is known."""

MAX_CLASS: Final = 2**31 - 1
"""Largest class there can be; a trace keeps it in four bytes. An answer that names a larger one names none."""


NO_CONFIDENCE: Final = -1.0
"""Stands where an answer does not say how sure it is, or nobody asked."""

_SUM_TOLERANCE: Final = 5e-3  # of probabilities, in the half precision that some models answer with


class NotAnAnswer(ValueError):
    """The bytes are no ModelInferResponse, its tensors contradict themselves, or it answers another request."""


@dataclass(slots=True, init=False)
class Judged:
    """What an answer says that is of interest here.

    Attributes:
        version: The model version that answered; may be empty.
        predicted: The class it names, or `UNKNOWN_CLASS`.
        confidence: How sure it is of that class, 0 to 1, or `NO_CONFIDENCE`.
    """

    version: str
    predicted: int
    confidence: float

    def __init__(self, version: str, predicted: int, confidence: float = NO_CONFIDENCE) -> None:
        """Written out: one that is made from the fields is interpreted also where this is compiled."""
        self.version = version
        self.predicted = predicted
        self.confidence = confidence


def predicted_class(body: bytes | memoryview, output: str = "") -> int:
    """The class an answer to a single sample names: see `read_answer`."""
    return read_answer(body, output).predicted


def read_answer(
    body: bytes | memoryview, output: str = "", *, at: int = 0, confident: bool = False, request_id: str = ""
) -> Judged:
    """What an answer to a single sample says.

    Scores (FP16, FP32, FP64) name the class with the highest, the first of equals; one of minus infinity is that of a
    class that was ruled out, one that is no number or plus infinity makes all of them worthless. A BYTES tensor of the
    classification extension (``score:index[:label]``) names the index of its first element; a single integer is the
    class itself.

    The confidence is the highest score's softmax, or that score itself where all are probabilities already; with
    the classification extension, the first element's score, if that can be a probability.

    Args:
        body: A serialized ModelInferResponse, behind which nothing stands.
        output: Which output to read; empty means the first one.
        at: Where in the body it begins.
        confident: Whether the confidence is wanted, which costs as much as the rest.
        request_id: The id that its request's own message gives; empty where it gives none, or where the answer's says
            nothing.

    Returns:
        With the class, or `UNKNOWN_CLASS` where the answer is well-formed but names none: another output, several
        samples, no finite score.

    Raises:
        NotAnAnswer: The bytes cannot be an answer, whatever the model, or are the answer to another request.
    """
    plain = read_plain_answer(body, at) if isinstance(body, bytes) else None
    if plain is None or output not in ("", plain.output.name):
        return _read_any(memoryview(body)[at:], output, confident=confident, request_id=request_id)
    require_id(plain.id, request_id)
    best = plain.best()
    if best is None:
        return Judged(plain.version, UNKNOWN_CLASS)
    if not confident:
        return Judged(plain.version, best)
    few = plain.few()
    return Judged(plain.version, best, _confidence(plain.scores(), best) if few is None else confidence_of(few, best))


def _read_any(body: memoryview, output: str, *, confident: bool, request_id: str) -> Judged:
    """As `read_answer`, whatever form the answer has."""
    try:
        response = pb.ModelInferResponse.FromString(body)  # type: ignore[arg-type]  # takes any buffer; the stubs do not know
    except DecodeError as error:
        raise NotAnAnswer("the upstream's bytes are no ModelInferResponse") from error
    if request_id:
        require_id(response.id, request_id)
    outputs, contents = response.outputs, response.raw_output_contents
    raw_count = len(contents)
    if raw_count and raw_count != len(outputs):
        raise NotAnAnswer(f"{len(outputs)} outputs but {raw_count} raw contents")
    for index, tensor in enumerate(outputs):
        if not output or tensor.name == output:
            values = _single(tensor, contents[index] if raw_count else None)
            if values is None:
                break
            predicted = _class_of_text(values) if isinstance(values, list) else _class_of(values)
            confidence = NO_CONFIDENCE
            if confident and predicted != UNKNOWN_CLASS:
                confidence = _score_of_text(values) if isinstance(values, list) else _confidence(values, predicted)
            return Judged(response.model_version, predicted, confidence)
    return Judged(response.model_version, UNKNOWN_CLASS)


def require_id(given: str, request_id: str) -> None:
    """Hold the id of an answer against its request's, which V2 has a server repeat.

    An answer without one says nothing. Triton's interface is that of C: of an id it repeats what stands before a NUL.

    Args:
        given: Of the answer; empty where it has none.
        request_id: Of the request; empty where it has none.

    Raises:
        NotAnAnswer: They differ. The sentence names neither: whoever knows the id of another's request can label it.
    """
    if given == request_id or not given or not request_id or given == request_id.partition("\0")[0]:
        return
    raise NotAnAnswer(
        "its id is not the request's, so it may be the answer to another; "
        "for servers that make ids up there is the upstream profile kserve"
    )


def _single(
    tensor: pb.ModelInferResponse.InferOutputTensor, raw: bytes | None
) -> npt.NDArray[Any] | list[bytes] | None:
    """The elements of an output that is of one sample; None for another, or one that can name no class."""
    shape = list(tensor.shape)
    if len(shape) > MOST_DIMENSIONS:
        raise NotAnAnswer(f"output {tensor.name!r} has {len(shape)} dimensions")
    values = _values(tensor, shape, raw)
    return None if len(shape) > 1 and shape[0] != 1 else values


def _class_of(values: npt.NDArray[Any]) -> int:
    kind = values.dtype.kind
    if kind in "iu":
        return int(values[0]) if values.size == 1 and 0 <= values[0] <= MAX_CLASS else UNKNOWN_CLASS
    if kind != "f" or values.size < 2:
        return UNKNOWN_CLASS
    best = int(values.argmax())  # NumPy takes a NaN for the highest of all
    return best if math.isfinite(values.item(best)) else UNKNOWN_CLASS


def _confidence(values: npt.NDArray[Any], best: int) -> float:
    """Of scores, of which that one is the highest."""
    if values.dtype.kind != "f":
        return NO_CONFIDENCE
    if values.size <= FEW:
        return confidence_of(tuple(values.tolist()), best)
    scores = values.astype(np.float64)
    highest = float(scores[best])
    if highest <= 1.0 and float(scores.min()) >= 0.0 and abs(float(scores.sum()) - 1.0) < _SUM_TOLERANCE:
        return highest
    return 1.0 / float(np.exp(scores - highest).sum())


def confidence_of(scores: tuple[float, ...], best: int) -> float:
    """Of so few scores that NumPy, whose every call costs a microsecond, would take ten times as long."""
    highest, least, total, relative = scores[best], math.inf, 0.0, 0.0
    for score in scores:
        least = min(least, score)
        total += score
        relative += math.exp(score - highest)
    if highest <= 1.0 and least >= 0.0 and abs(total - 1.0) < _SUM_TOLERANCE:
        return highest
    return 1.0 / relative


def _values(
    tensor: pb.ModelInferResponse.InferOutputTensor, shape: list[int], raw: bytes | None
) -> npt.NDArray[Any] | list[bytes] | None:
    """The elements of an output: an array, a list of byte strings, or None for a datatype that names no class."""
    count = math.prod(shape)
    datatype = tensor.datatype
    if datatype == "BYTES":
        if raw is None:
            return list(tensor.contents.bytes_contents)
        try:
            return decode_bytes_elements(raw, count, tensor.name)
        except InvalidRequest as error:
            raise NotAnAnswer(str(error).replace("input", "output", 1)) from error
    dtype = NUMPY_DTYPES.get(datatype)
    if dtype is None:
        return None
    if raw is None:
        field = CONTENTS_FIELD.get(datatype)
        try:
            values = np.array(getattr(tensor.contents, field) if field else [], dtype)
        except OverflowError as error:
            raise NotAnAnswer(f"output {tensor.name!r}: an element does not fit {datatype}") from error
    elif len(raw) != count * dtype.itemsize:
        # Seen in the field: an answer with status OK, the right shape, and no bytes at all.
        raise NotAnAnswer(f"output {tensor.name!r}: {len(raw)} bytes for {datatype} {shape}")
    else:
        values = np.frombuffer(raw, dtype)
    if values.size != count:
        raise NotAnAnswer(f"output {tensor.name!r}: {values.size} elements for shape {shape}")
    return values


def _class_of_text(elements: list[bytes]) -> int:
    fields = elements[0].split(b":") if elements else []
    # Up to ten digits: whoever writes more has no class in mind, and Python refuses to read 5,000.
    if len(fields) < 2 or not fields[1].isdigit() or len(fields[1]) > 10:
        return UNKNOWN_CLASS
    index = int(fields[1])
    return index if index <= MAX_CLASS else UNKNOWN_CLASS


def _score_of_text(elements: list[bytes]) -> float:
    """The score of a first element that names a class."""
    try:
        score = float(elements[0].split(b":")[0])
    except ValueError:
        return NO_CONFIDENCE
    return score if 0.0 <= score <= 1.0 else NO_CONFIDENCE
