"""The answer that most servers give to most requests: one raw tensor of scores for one sample; read off the wire.

A parser makes objects of all that is in a message. Here its fields are stepped through and the tensor stays where it
is; and what is said of an output, which is the same in every answer of a model, is parsed once and remembered. An
answer of any other form must not be read here: that is for `answers`, and so is what scores mean.
"""

from __future__ import annotations

import math
from struct import Struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.tensors import NUMPY_DTYPES

_MODEL_NAME: Final = 1 << 3 | 2
_MODEL_VERSION: Final = 2 << 3 | 2
_ID: Final = 3 << 3 | 2
_OUTPUT: Final = 5 << 3 | 2
_RAW: Final = 6 << 3 | 2
_FORMATS: Final = {"FP16": "e", "FP32": "f", "FP64": "d"}
FEW: Final = 32
"""So many scores are looked through more quickly one by one than by NumPy, whose every call costs a microsecond."""

_REMEMBERED: Final = 64
_LONGEST: Final = 1024


class Output:
    """What an answer says of its one output.

    Attributes:
        name: Its name.
        dtype: Of its elements.
        count: How many there are, two or more.
        few: Reads them where they are few; None where they are not.
    """

    __slots__ = ("count", "dtype", "few", "name")

    def __init__(self, name: str, datatype: str, count: int) -> None:
        """An output of scores, of this datatype."""
        self.name = name
        self.dtype: np.dtype[Any] = NUMPY_DTYPES[datatype]
        self.count = count
        self.few = Struct(f"<{count}{_FORMATS[datatype]}") if count <= FEW else None


class PlainAnswer:
    """Such an answer.

    Attributes:
        version: The model version that answered; may be empty.
        id: What it gives as the request's; may be empty.
        output: What it says of its output.
    """

    __slots__ = ("_at", "_body", "id", "output", "version")

    def __init__(self, body: bytes, at: int, output: Output, version: str, name: str) -> None:
        """The tensor lies there in the body."""
        self._body = body
        self._at = at
        self.output = output
        self.version = version
        self.id = name

    def scores(self) -> npt.NDArray[Any]:
        """All of them, not copied."""
        return np.frombuffer(self._body, self.output.dtype, self.output.count, self._at)

    def few(self) -> tuple[float, ...] | None:
        """All of them, if they are few."""
        few = self.output.few
        return None if few is None else few.unpack_from(self._body, self._at)

    def best(self) -> int | None:
        """The highest, the first of equals; None where one is no number or the highest is not finite."""
        scores = self.few()
        if scores is None:
            values = self.scores()
            place = int(values.argmax())  # NumPy takes a NaN for the highest of all
            return place if math.isfinite(values.item(place)) else None
        highest, best = -math.inf, -1
        for place, score in enumerate(scores):
            if score > highest:
                highest, best = score, place
            elif score != score:  # noqa: PLR0124 — only what is no number differs from itself
                return None
        return best if best >= 0 and highest < math.inf else None


_outputs: Final[dict[bytes, Output | None]] = {}
"""What descriptions of outputs say; None of those that are for `answers`."""


def read_plain_answer(body: bytes, at: int = 0) -> PlainAnswer | None:
    """The serialized ModelInferResponse that begins there and ends with the body; None if it is of another form."""
    end, raw_at, raw_bytes = len(body), -1, 0
    output: Output | None = None
    version = name = ""
    try:
        while at < end:
            tag, length = body[at], body[at + 1]
            at += 2
            if length >= 0x80:
                length, at = _long(body, at, length)
            after = at + length
            if after > end:
                return None
            if tag == _RAW and raw_at < 0:
                raw_at, raw_bytes = at, length
            elif tag == _OUTPUT and output is None:
                output = _read_output(body[at:after])
                if output is None:
                    return None
            elif tag == _MODEL_VERSION:
                version = body[at:after].decode()
            elif tag == _ID:
                name = body[at:after].decode()
            elif tag == _MODEL_NAME:
                body[at:after].decode()  # what is no text is no answer
            else:
                return None
            at = after
    except (IndexError, UnicodeDecodeError):
        return None
    if output is None or raw_at < 0 or raw_bytes != output.count * output.dtype.itemsize:
        return None
    return PlainAnswer(body, raw_at, output, version, name)


def _long(body: bytes, at: int, first: int) -> tuple[int, int]:
    """The rest of a length of several bytes, and where what it is of begins."""
    value, shift = first & 0x7F, 7
    while shift < 35:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise IndexError


def _read_output(description: bytes) -> Output | None:
    if description in _outputs:
        return _outputs[description]
    if len(description) > _LONGEST:
        return None
    if len(_outputs) >= _REMEMBERED:  # it is the servers' to choose
        _outputs.clear()
    output = _outputs[description] = _parse_output(description)
    return output


def _parse_output(description: bytes) -> Output | None:
    try:
        tensor = pb.ModelInferResponse.InferOutputTensor.FromString(description)
    except DecodeError:
        return None
    shape = list(tensor.shape)
    count = math.prod(shape)
    one_sample = len(shape) < 2 or shape[0] == 1
    if tensor.datatype not in _FORMATS or not one_sample or count < 2 or count > 1 << 20:
        return None
    return Output(tensor.name, tensor.datatype, count)
