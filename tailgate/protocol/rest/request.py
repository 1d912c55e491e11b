"""A request for an inference, as it comes over HTTP: made into the message that an upstream is sent over gRPC.

Every tensor is raw in that message, whichever form it came in: then all of them may be, and none is written out twice.
What came as bytes is not copied.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tailgate.errors import InvalidRequest, TooLarge
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import raw_input_prefix
from tailgate.protocol.rest.elements import element_bytes, raw_of_json
from tailgate.protocol.rest.names import BINARY, BINARY_OUTPUT, BINARY_SIZE
from tailgate.protocol.rest.parameters import read_parameters, shown, text
from tailgate.protocol.tensors import DATATYPES, MOST_DIMENSIONS

_MAX_INT64: Final = 2**63 - 1
_SHARED_MEMORY: Final = "shared_memory_region"

Buffer = bytes | memoryview


class Wanted(NamedTuple):
    """Which outputs the client wants as bytes rather than in JSON.

    Attributes:
        binary: Whether those are that do not say themselves.
        by_name: Of those that do.
    """

    binary: bool
    by_name: Mapping[str, bool]

    def is_binary(self, name: str) -> bool:
        """Whether this output is to be bytes."""
        return self.by_name.get(name, self.binary)


JSON_ONLY: Final = Wanted(binary=False, by_name={})
"""What is wanted where nothing is said."""


class InferMessage(NamedTuple):
    """The message, as pieces to be sent one after the other, and how its answer is wanted."""

    pieces: list[Buffer]
    wanted: Wanted


def read_request(
    model: str, version: str, body: memoryview, header_bytes: int | None, max_json_bytes: int
) -> InferMessage:
    """The message of a request.

    Args:
        model: By its path.
        version: By its path; empty: none is named there.
        body: All of it; must stay as it is for as long as the pieces are used.
        header_bytes: How much of it is JSON; None: all of it, and there are no binary tensors.
        max_json_bytes: The longest JSON: nothing else is done while it is read.

    Raises:
        InvalidRequest: It is no request for an inference; says where.
        TooLarge: Its JSON is too long.
    """
    json_bytes = len(body) if header_bytes is None else header_bytes
    if json_bytes > len(body):
        raise InvalidRequest(
            f"Inference-Header-Content-Length is {json_bytes}, but the body has only {len(body)} bytes"
        )
    if json_bytes > max_json_bytes:
        raise TooLarge(
            f"the request has {json_bytes} bytes of JSON, which is above the limit of {max_json_bytes}; send large "
            f"tensors as binary data (--rest-max-json-mib)"
        )
    document = _read_json(body[:json_bytes])
    message = pb.ModelInferRequest(
        model_name=text(model, "the model's name"),
        model_version=text(version, "the model's version"),
        id=text(document.get("id", ""), "id"),
    )
    parameters = _object(document, "parameters", "")
    binary_output = _flag(parameters.pop(BINARY_OUTPUT, False), f"parameters.{BINARY_OUTPUT}")
    read_parameters(parameters, "", message.parameters)
    binary = _Binary(body[json_bytes:], told=header_bytes is not None)
    raw = [
        _read_input(one, f"inputs[{index}]", binary, message.inputs.add())
        for index, one in enumerate(_objects(document, "inputs", required=True))
    ]
    binary.finish()
    by_name: dict[str, bool] = {}
    for index, one in enumerate(_objects(document, "outputs", required=False)):
        _read_output(one, f"outputs[{index}]", message.outputs.add(), by_name)
    pieces: list[Buffer] = [message.SerializeToString()]
    for contents in raw:
        pieces.append(raw_input_prefix(len(contents)))
        pieces.append(contents)
    return InferMessage(pieces, Wanted(binary_output, by_name))


class _Binary:
    """The bytes behind the JSON, dealt out to the inputs in their order."""

    def __init__(self, data: memoryview, *, told: bool) -> None:
        self._data = data
        self._told = told  # whether a header says where the JSON ends
        self._taken = 0

    def take(self, size: object, where: str) -> memoryview:
        what = f"{where}.parameters.{BINARY_SIZE}"
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise InvalidRequest(f"{what} is {shown(size)}; expected a number of bytes")
        if not self._told:
            raise InvalidRequest(
                f"{what} is {size}, but no header Inference-Header-Content-Length says where the JSON ends; give it"
            )
        if size > len(self._data) - self._taken:
            raise InvalidRequest(f"{what} is {size}, but only {len(self._data) - self._taken} bytes are left for it")
        begin, self._taken = self._taken, self._taken + size
        return self._data[begin : self._taken]

    def finish(self) -> None:
        if self._taken != len(self._data):
            raise InvalidRequest(
                f"{len(self._data)} bytes follow the JSON, but by {BINARY_SIZE} the inputs have {self._taken}"
            )


def _read_json(body: memoryview) -> dict[str, Any]:
    try:
        document = json.loads(str(body, "utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the request's JSON is no UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise InvalidRequest("the request's JSON is nested too deeply") from error
    except ValueError as error:  # also of a number with thousands of digits
        raise InvalidRequest(f"the request's body is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidRequest(f"the request's JSON is {shown(document)}; expected an object with 'inputs'")
    return document


def _read_input(
    given: dict[str, Any], where: str, binary: _Binary, into: pb.ModelInferRequest.InferInputTensor
) -> Buffer:
    """Fill in an input's description; returns its raw contents."""
    into.name = text(_field(given, "name", where), f"{where}.name")
    datatype = _field(given, "datatype", where)
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise InvalidRequest(f"{where}.datatype is {shown(datatype)}; expected one of {', '.join(sorted(DATATYPES))}")
    into.datatype = datatype
    shape = _shape(_field(given, "shape", where), where)
    into.shape.extend(shape)
    count = math.prod(shape)
    parameters = _object(given, "parameters", f"{where}.")
    if _SHARED_MEMORY in parameters:
        raise InvalidRequest(f"{where} is to be in shared memory, which the proxy does not offer over HTTP; send data")
    size = parameters.pop(BINARY_SIZE, None)
    read_parameters(parameters, f"{where}.", into.parameters)
    if size is None:
        return raw_of_json(_field(given, "data", where), datatype, count, where)
    if "data" in given:
        raise InvalidRequest(f"{where} has both data and {BINARY_SIZE}; give one of them")
    contents = binary.take(size, where)
    each = element_bytes(datatype)
    if each is not None and len(contents) != each * count:
        raise InvalidRequest(
            f"{where}.parameters.{BINARY_SIZE} is {len(contents)}; expected {each * count} for {datatype} {shape}"
        )
    return contents


def _read_output(
    given: dict[str, Any],
    where: str,
    into: pb.ModelInferRequest.InferRequestedOutputTensor,
    by_name: dict[str, bool],
) -> None:
    into.name = text(_field(given, "name", where), f"{where}.name")
    parameters = _object(given, "parameters", f"{where}.")
    if _SHARED_MEMORY in parameters:
        raise InvalidRequest(f"{where} is to be in shared memory, which the proxy does not offer over HTTP")
    if BINARY in parameters:
        by_name[into.name] = _flag(parameters.pop(BINARY), f"{where}.parameters.{BINARY}")
    read_parameters(parameters, f"{where}.", into.parameters)


def _shape(value: object, where: str) -> list[int]:
    if not isinstance(value, list) or not all(type(size) is int and 0 <= size <= _MAX_INT64 for size in value):
        raise InvalidRequest(
            f"{where}.shape is {shown(value)}; expected a list of whole numbers, none below 0, such as [1, 3]"
        )
    if len(value) > MOST_DIMENSIONS:
        raise InvalidRequest(f"{where}.shape has {len(value)} dimensions; at most {MOST_DIMENSIONS} are taken")
    return value


def _field(given: dict[str, Any], name: str, where: str) -> Any:
    if name not in given:
        raise InvalidRequest(f"{where}.{name} is missing" if where else f"{name} is missing")
    return given[name]


def _object(given: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    """A copy of a field's object; empty where there is none."""
    value = given.get(name, {})
    if not isinstance(value, dict):
        raise InvalidRequest(f"{where}{name} is {shown(value)}; expected an object")
    return dict(value)


def _objects(given: dict[str, Any], name: str, *, required: bool) -> list[dict[str, Any]]:
    value = _field(given, name, "") if required else given.get(name, [])
    if not isinstance(value, list):
        raise InvalidRequest(f"{name} is {shown(value)}; expected a list")
    for index, one in enumerate(value):
        if not isinstance(one, dict):
            raise InvalidRequest(f"{name}[{index}] is {shown(one)}; expected an object")
    return value


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{what} is {shown(value)}; expected true or false")
    return value
