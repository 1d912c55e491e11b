"""Configuration that is checked before anything starts: one clear sentence for each mistake.

Lives here: the kinds of value that appear in configurations, and reading a TOML file into a pydantic model with values
from the command line laid over it. What a component can be configured to do stands in its own package.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from tailgate.errors import ConfigError, ConfigMistakes
from tailgate.units import parse_duration

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:/\s]+):([0-9]{1,5})", re.ASCII)


class Config(BaseModel):
    """Base of configurations: unknown keys are mistakes, values are never changed in type behind one's back."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True)
class Address:
    """A host and a port.

    >>> str(Address.parse("127.0.0.1:9001"))
    '127.0.0.1:9001'
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, name: str = "address") -> Address:
        """Read ``HOST:PORT``; an IPv6 host stands in brackets.

        Raises:
            ConfigError: It has another form.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match[2]) > 65535:
            raise ConfigError(f"{name} is {text!r}; expected HOST:PORT, such as 127.0.0.1:9001")
        return cls(match[1], int(match[2]))

    @property
    def bare_host(self) -> str:
        """The host without brackets, as sockets take it."""
        return self.host.strip("[]")

    def __str__(self) -> str:
        """``HOST:PORT``."""
        return f"{self.host}:{self.port}"


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    if isinstance(value, str):
        return Address.parse(value, "it")
    raise ValueError("expected HOST:PORT in quotes")


def _duration(value: object) -> float:
    if isinstance(value, str):
        return parse_duration(value, "it")
    raise ValueError('expected a duration with its unit in quotes, such as "50ms"')


def _value_error(read: Any) -> BeforeValidator:
    """A validator that reports Tailgate's own errors as pydantic expects them."""

    def validate(value: object) -> object:
        try:
            return read(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error

    return BeforeValidator(validate)


AddressField = Annotated[Address, _value_error(_address)]
DurationField = Annotated[float, _value_error(_duration)]
"""Seconds, written as a duration with its unit."""

_MISTAKES: Final = "mistakes"

ConfigT = TypeVar("ConfigT", bound=Config)


def read_config(kind: type[ConfigT], file: Path | None, overrides: Mapping[str, object]) -> ConfigT:
    """A configuration from a TOML file, if there is one, and the command line.

    Args:
        kind: What to read.
        file: A TOML file, or None.
        overrides: Values from the command line, by field; those that are not None win over the file's.

    Raises:
        ConfigError: The file cannot be read, or a value is missing or wrong; a sentence for each, with its field.
    """
    values = {} if file is None else _read_toml(file)
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return kind.model_validate({**values, **given})
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigMistakes([text for detail in details for text in _sentences(kind, detail, file, given)]) from error


def several(mistakes: Sequence[tuple[Sequence[int | str], str]]) -> Exception:
    """For a validator that finds several mistakes at once.

    Args:
        mistakes: The path of each, from the validator's own field on, and its sentence.
    """
    return PydanticCustomError(_MISTAKES, "there are mistakes", {_MISTAKES: mistakes})


def missing() -> Exception:
    """For a validator that finds that a field cannot be left out."""
    return PydanticCustomError("missing", "it is missing")


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error


def _sentences(kind: type[Config], detail: ErrorDetails, file: Path | None, given: Mapping[str, object]) -> list[str]:
    if detail["type"] != _MISTAKES:
        return [_sentence(kind, detail, file, given)]
    found = detail.get("ctx", {})[_MISTAKES]
    return [f"{_where([*detail['loc'], *path], file, given)} {sentence}" for path, sentence in found]


def _where(loc: Sequence[int | str], file: Path | None, given: Mapping[str, object]) -> str:
    """A place in a configuration, as people find it: what has no name is counted from 1."""
    path = [part if isinstance(part, str) else f"#{part + 1}" for part in loc]
    return f"--{path[0].replace('_', '-')}" if path[0] in given or file is None else f"{file}: {'.'.join(path)}"


def _sentence(kind: type[Config], detail: ErrorDetails, file: Path | None, given: Mapping[str, object]) -> str:
    path = [str(part) for part in detail["loc"]]
    where = _where(detail["loc"], file, given)
    if detail["type"] == "missing":
        return f"{where} is missing; give --{path[0].replace('_', '-')} or write it in the configuration file"
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(path[-1], _fields(kind, path[:-1]), 1)
        return f"{where} is not known{f'; did you mean {close[0]!r}?' if close else ''}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("it is ")
    message = message[0].lower() + message[1:]
    shown = repr(detail["input"])
    return f"{where} is {message}" if message.startswith(shown) else f"{where} is {shown}: {message}"


def _fields(kind: type[BaseModel], path: list[str]) -> list[str]:
    """Names that could stand at this place of a configuration."""
    fields = kind.model_fields
    for part in path:
        annotation = fields[part].annotation if part in fields else None
        inner = next(
            (a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)), None
        )
        fields = inner.model_fields if inner else fields
    return list(fields)
