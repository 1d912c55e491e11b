"""Configuration: one clear sentence for each mistake, naming the field, the value and what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailgate.config import Address, Config, DurationField, read_config
from tailgate.errors import ConfigError


class Inner(Config):
    deadline: DurationField = 1.0
    output: str = ""


class Outer(Config):
    count: int
    deadline: DurationField = 0.5
    models: dict[str, Inner] = {}  # noqa: RUF012 — pydantic copies defaults


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "some.toml"
    file.write_text(text)
    return file


def test_values_come_from_the_file_and_the_command_line_wins(tmp_path: Path) -> None:
    file = written(tmp_path, 'count = 3\ndeadline = "20ms"\n[models.a]\ndeadline = "1s"\n')
    config = read_config(Outer, file, {"count": None, "deadline": "30ms"})
    assert (config.count, config.deadline, config.models["a"].deadline) == (3, 0.03, 1.0)


@pytest.mark.parametrize(
    ("text", "overrides", "sentence"),
    [
        ("", {}, "count is missing; give --count or write it in the configuration file"),
        ('count = "3"', {}, "count is '3': input should be a valid integer"),
        ("count = 3\ncuont = 4", {}, "cuont is not known; did you mean 'count'?"),
        ("count = 3\ndeadline = 50", {}, "deadline is 50: expected a duration with its unit in quotes"),
        ('count = 3\ndeadline = "50"', {}, "deadline is '50'; expected a number above zero with its unit"),
        ('count = 3\n[models.a]\ndeadlin = "1s"', {}, "models.a.deadlin is not known; did you mean 'deadline'?"),
        ('count = 3\n[models.a]\ndeadline = "-1s"', {}, "models.a.deadline is '-1s'; expected"),
        ("count = 3", {"deadline": "soon"}, "--deadline is 'soon'; expected a number above zero with its unit"),
        ("count = ", {}, "is not TOML"),
    ],
)
def test_every_mistake_is_one_sentence(tmp_path: Path, text: str, overrides: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(Outer, written(tmp_path, text), overrides)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(Outer, written(tmp_path, 'count = "x"\nwhat = 1'), {"deadline": "x"})
    assert str(caught.value).count(";") >= 2
    for name in ("count", "what", "--deadline"):
        assert name in str(caught.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read: No such file"):
        read_config(Outer, Path("nowhere.toml"), {})


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", ":1", "host:port", "host:70000", "host:-1", "host:１", "http://host:1", "::1:80", "a b:1"],
)
def test_an_address_is_a_host_and_a_port(text: str) -> None:
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        Address.parse(text)


def test_an_ipv6_address_keeps_its_brackets() -> None:
    assert Address.parse("[::1]:80") == Address("[::1]", 80)
