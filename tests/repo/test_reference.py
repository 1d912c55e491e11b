"""The configuration reference says what the configuration is: no key is missing, and what stands there can be typed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from scripts.reference import default, document, kind
from tailgate.config import AddressField, Config, DurationField, read_config
from tailgate.errors import ConfigError
from tailgate_proxy.config import ModelConfig, ProxyConfig, ShareField

PAGE = document()
REQUIRED = 'upstream = "127.0.0.1:8001"\ndeadline = "50ms"\n'


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading, by key."""
    table = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in table.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row for row in cells}


def read(tmp_path: Path, toml: str) -> ProxyConfig:
    file = tmp_path / "proxy.toml"
    file.write_text(toml)
    return read_config(ProxyConfig, file, {})


def models(kind_: type[Config]) -> list[type[Config]]:
    return [kind_, *(inner for one in kind_.__subclasses__() for inner in models(one))]


def test_every_key_has_its_row_with_a_type_and_a_meaning() -> None:
    own = [model for model in models(Config) if model.__module__ == ProxyConfig.__module__]
    assert ModelConfig in own
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    written = [set(rows(heading)) for heading in headings]
    for model in own:
        assert set(model.model_fields) in written, f"{model.__name__} has keys that no table has"
    for heading in headings:
        assert all(cell.strip() for row in rows(heading).values() for cell in (row[0], *row[-3:])), heading


def test_every_default_can_be_typed_and_is_the_default(tmp_path: Path) -> None:
    typed = {key: row[-2].strip("`") for key, row in rows("Keys").items() if row[-2] not in ("none", "required")}
    assert len(typed) > 20
    given = "".join(f"{key} = {value}\n" for key, value in typed.items())
    assert read(tmp_path, REQUIRED + given) == read(tmp_path, REQUIRED)


def test_what_has_no_default_can_be_left_out_unless_it_is_required(tmp_path: Path) -> None:
    read(tmp_path, REQUIRED)
    required = [key for key, row in rows("Keys").items() if row[-2] == "required"]
    assert required == ["deadline"]
    with pytest.raises(ConfigError, match="deadline is missing"):
        read(tmp_path, 'upstream = "127.0.0.1:8001"\n')


def test_every_example_is_valid_and_so_is_what_is_commented_out(tmp_path: Path) -> None:
    examples = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        read(tmp_path, example)
        whole = re.sub(r"^# (\w+ = )", r"\1", example, flags=re.MULTILINE)
        assert whole.count("\n# ") < example.count("\n# ")
        assert read(tmp_path, whole).tokens == Path("tokens")


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (DurationField, "duration"),
        (DurationField | None, "duration"),
        (Annotated[int, Field(ge=1, le=9)], "integer, ≥ 1, ≤ 9"),
        (ShareField | None, "number, > 0, < 1"),
        (tuple[AddressField, ...], "list of `HOST:PORT`"),
        (Annotated[tuple[str, ...], Field(max_length=3)], "list of text, at most 3"),
        (list[ModelConfig], "tables, see below"),
        (dict[str, ModelConfig], "tables, see below"),
        (ModelConfig | None, "table, see below"),
    ],
)
def test_a_type_has_its_words(hint: Any, words: str) -> None:
    assert kind(hint) == words


def test_a_type_that_has_no_words_yet_is_not_passed_over() -> None:
    with pytest.raises(TypeError, match=r"no words for .*complex"):
        kind(complex)


def test_a_key_without_a_meaning_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelConfig, "__doc__", "What is known.\n\nAttributes:\n    deadline: Seconds.\n")
    with pytest.raises(LookupError, match="the docstring of ModelConfig does not say what output is"):
        document()


def test_a_default_stands_as_it_is_typed() -> None:
    fields = ProxyConfig.model_fields
    assert default(fields["late_patience"], DurationField) == '`"1s"`'
    assert default(fields["label_wait"], DurationField) == '`"15m"`'
    assert default(fields["upstream_tls"], bool) == "`false`"
    assert default(fields["max_predictions"], int) == "`50000`"
