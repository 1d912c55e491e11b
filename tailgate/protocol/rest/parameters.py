"""Parameters: a JSON object, or a map of InferParameter."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, Protocol

from tailgate.errors import InvalidRequest
from tailgate.pb import inference_pb2 as pb

_MIN_INT64: Final = -(2**63)
_MAX_INT64: Final = 2**63 - 1
_MAX_UINT64: Final = 2**64 - 1


class ParameterMap(Protocol):
    """A protobuf map of parameters, which makes an entry when it is asked for one."""

    def __getitem__(self, name: str, /) -> pb.InferParameter:
        """The entry of this name."""
        ...


def read_parameters(given: Mapping[str, object], where: str, into: ParameterMap) -> None:
    """Put the parameters of a JSON object into a message.

    Args:
        given: They.
        where: What has them, for the error: `inputs[0].`, say.
        into: The message's.

    Raises:
        InvalidRequest: One is neither boolean, number nor string, or a number that no parameter can be.
    """
    for name, value in given.items():
        entry = into[text(name, f"the name of a parameter in {where}parameters")]
        if isinstance(value, bool):
            entry.bool_param = value
        elif isinstance(value, int) and _MIN_INT64 <= value <= _MAX_INT64:
            entry.int64_param = value
        elif isinstance(value, int) and 0 <= value <= _MAX_UINT64:
            entry.uint64_param = value
        elif isinstance(value, float) and math.isfinite(value):
            entry.double_param = value
        elif isinstance(value, str):
            entry.string_param = text(value, f"{where}parameters.{name}")
        else:
            raise InvalidRequest(
                f"{where}parameters.{name} is {shown(value)}; expected true, false, a number of 64 bits or a string"
            )


def write_parameters(given: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """The parameters of a message as a JSON object; one without a value is null."""
    found: dict[str, Any] = {}
    for name in sorted(given):
        choice = given[name].WhichOneof("parameter_choice")
        found[name] = None if choice is None else getattr(given[name], choice)
    return found


def text(value: object, what: str) -> str:
    """A string that UTF-8 can hold.

    Raises:
        InvalidRequest: It is none.
    """
    if not isinstance(value, str):
        raise InvalidRequest(f"{what} is {shown(value)}; expected a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{what} has half of a surrogate pair in it, which is no text") from None
    return value


def shown(value: object) -> str:
    """A value as an error shows it: not all of one that is long."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    words = json.dumps(value)
    return words if len(words) <= 60 else f"{words[:60]}..."
