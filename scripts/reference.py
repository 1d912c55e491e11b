"""Write docs/reference/proxy.md from the proxy's configuration, or with --check say whether it is what that would give.

Names, types and defaults come from the pydantic models, meanings from their docstrings, options from the command's
parser. What the models cannot say stands in PREFACE.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from tailgate.config import Address, Config, DurationField
from tailgate_proxy.command import COMMAND
from tailgate_proxy.config import ProxyConfig

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = ROOT / "docs" / "reference" / "proxy.md"
SAMPLE = ROOT / "proxy" / "proxy.toml"

PREFACE = """\
# Configuration of the proxy

<!-- Written by scripts/reference.py (`make reference`) from the code. Change it there. -->

All that `tailgate proxy` can be told, in a TOML file (`--config FILE`) or by an option; an option wins over the file. A
duration is text with its unit (`us`, `ms`, `s`, `m`, `h`). A list is a list in the file, and has commas between its
parts as an option. Every mistake, a key that is not known included, is one sentence, and the proxy does not start.
[proxy/README.md](../../proxy/README.md) says what it is all for; the order here is that of the code.
"""


def document() -> str:
    """The whole page."""
    parts = [PREFACE, "## Keys", _table(ProxyConfig, _options())]
    for heading, model in _nested(ProxyConfig):
        parts += [f"## `{heading}`", _summary(model), _table(model, {})]
    parts += ["## A sample", f"```toml\n{SAMPLE.read_text()}```"]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def kind(hint: Any) -> str:
    """What a value may be, in words.

    Raises:
        TypeError: There are none for it yet.
    """
    hint, limits = _bare(hint)
    words = _WORDS.get(hint) if limits != _DURATION else "duration"
    words = words or _of_parts(hint, limits) or _of_class(hint, limits)
    if words is None:
        raise TypeError(f"scripts/reference.py has no words for {hint}; add them to `kind`")
    return words


_WORDS: dict[Any, str] = {bool: "`true`, `false`", str: "text", Path: "path", Address: "`HOST:PORT`"}
_DURATION = list(DurationField.__metadata__)  # type: ignore[attr-defined]  # what Annotated makes has it


def _of_parts(hint: Any, limits: list[Any]) -> str | None:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _choice(parts)
    if origin is dict and not _is_table(parts[1]):
        return f"table of {kind(parts[1])}"
    if origin is dict or (origin in (tuple, list) and _is_table(parts[0])):
        return "tables, see below"
    if origin in (tuple, list):
        return ", ".join([f"list of {kind(parts[0])}", *(f"at most {most}" for most in _limits(limits, "max_length"))])
    return None


def _of_class(hint: Any, limits: list[Any]) -> str | None:
    if hint in (int, float):
        bounds = (f"{sign} {bound}" for name, sign in _SIGNS for bound in _limits(limits, name))
        return ", ".join(["integer" if hint is int else "number", *bounds])
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _choice([one.value for one in hint])
    return "table, see below" if _is_table(hint) else None


_SIGNS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def default(field: FieldInfo, hint: Any) -> str:
    """What holds where nothing is said, as it would be written."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}, "") or (not value and _bare(hint)[1] == _DURATION):
        return "none"
    return f"`{_written(value, hint)}`"


def _written(value: Any, hint: Any) -> str:
    if _bare(hint)[1] == _DURATION:
        return f'"{_duration(value)}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_written(one, str) for one in value)}]"
    return f'"{value.value if isinstance(value, Enum) else value}"'


def _duration(seconds: float) -> str:
    for unit, unit_s in (("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= unit_s and seconds % unit_s == 0.0:
            return f"{seconds / unit_s:g}{unit}"
    return f"{seconds * 1000:g}ms"


def _bare(hint: Any) -> tuple[Any, list[Any]]:
    """A type without its annotations and without None, and these annotations, those of a `Field` one by one."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
        return _bare(hint)
    if get_origin(hint) is not Annotated:
        return hint, []
    hint, *annotations = get_args(hint)
    limits = [limit for one in annotations for limit in (one.metadata if isinstance(one, FieldInfo) else [one])]
    bare, inner = _bare(hint)
    return bare, [*inner, *limits]


def _limits(limits: list[Any], name: str) -> list[Any]:
    return [getattr(limit, name) for limit in limits if getattr(limit, name, None) is not None]


def _choice(values: Any) -> str:
    return ", ".join(f'`"{value}"`' for value in values)


def _is_table(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Config)


def _nested(model: type[Config], path: str = "") -> Iterator[tuple[str, type[Config]]]:
    """Every table below one, with the line that begins it in a file."""
    for name, hint in get_type_hints(model, include_extras=True).items():
        bare, inner = _bare(hint)[0], None
        origin, parts = get_origin(bare), get_args(bare)
        place = f"{path}{name}"
        if origin is dict and _is_table(parts[1]):
            place, inner = f"{place}.NAME", parts[1]
            yield f"[{place}]", inner
        elif origin in (tuple, list) and _is_table(parts[0]):
            inner = parts[0]
            yield f"[[{place}]]", inner
        elif _is_table(bare):
            inner = bare
            yield f"[{place}]", inner
        if inner is not None:
            yield from _nested(inner, f"{place}.")


def _table(model: type[Config], options: dict[str, str]) -> str:
    hints, meanings = get_type_hints(model, include_extras=True), _meanings(model)
    rows = ["| key | option | value | default | meaning |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if name not in meanings:
            raise LookupError(f"the docstring of {model.__name__} does not say what {name} is")
        option = f"`{options[name]}`" if name in options else ""
        cells = (f"`{name}`", option, kind(hints[name]), default(field, hints[name]), meanings[name])
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    if not options:  # none of them has any
        rows = [re.sub(r"^(\|[^|]*)\|[^|]*", r"\1", row) for row in rows]
    return "\n".join(rows)


def _summary(model: type[Config]) -> str:
    return (inspect.getdoc(model) or "").partition("\n\nAttributes:")[0]


def _meanings(model: type[Config]) -> dict[str, str]:
    """What the docstring says of each attribute; what is None in Python is left out in a file."""
    text = (inspect.getdoc(model) or "").partition("\n\nAttributes:\n")[2]
    found = re.findall(r"^    (\w+): ((?:.|\n {8})*)", text, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", said).strip().replace("None: ", "left out: ") for name, said in found}


def _options() -> dict[str, str]:
    """The option of each key that has one, with the word for its value."""
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    return {
        action.dest: f"{action.option_strings[0]} {action.metavar or ''}".strip()
        for action in parser._actions  # argparse lists them nowhere else
        if action.dest in ProxyConfig.model_fields
    }


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is stale")
    fresh = document()
    if not parser.parse_args().check:
        WRITTEN.parent.mkdir(exist_ok=True)
        WRITTEN.write_text(fresh)
        return 0
    if WRITTEN.is_file() and WRITTEN.read_text() == fresh:
        return 0
    sys.stderr.write(f"{WRITTEN.relative_to(ROOT)} is stale; run `make reference`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
