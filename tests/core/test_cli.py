"""The command line: one sentence for a user's mistake, and the exit status that scripts rely on."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import pytest

from tailgate import __version__, cli
from tailgate.cli import Command
from tailgate.errors import ConfigError, TailgateError, Unavailable


@dataclass
class Entry:
    """An installed entry point, as importlib.metadata would give it."""

    name: str
    load: Callable[[], Command]


def command(run: Callable[[argparse.Namespace], int]) -> Command:
    def configure(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--size", type=int, default=3)

    return Command("Does a thing.", configure, run)


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(_: argparse.Namespace) -> NoReturn:
        raise error

    return run


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def with_entries(*entries: Entry) -> None:
        def entry_points(*, group: str) -> list[Entry]:
            assert group == "tailgate.commands"
            return list(entries)

        monkeypatch.setattr(cli, "entry_points", entry_points)

    return with_entries


def exit_status(*arguments: str) -> int:
    try:
        return cli.main(arguments)
    except SystemExit as exited:
        return int(exited.code or 0)


def test_the_chosen_command_runs_with_its_options_and_gives_the_exit_status(install: Callable[..., None]) -> None:
    install(Entry("go", lambda: command(lambda options: options.size)), Entry("other", lambda: command(lambda _: 9)))
    assert exit_status("go") == 3
    assert exit_status("go", "--size", "5") == 5


def test_only_the_chosen_command_is_loaded(install: Callable[..., None]) -> None:
    def not_now() -> NoReturn:
        raise AssertionError("loaded, though another command was asked for")

    install(Entry("go", lambda: command(lambda _: 0)), Entry("heavy", not_now))
    assert exit_status("go") == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["go", "--colour", "red"], "tailgate: unrecognized arguments: --colour red; see 'tailgate --help'"),
        (["go", "--size", "big"], "tailgate go: argument --size: invalid int value: 'big'; see 'tailgate go --help'"),
        (["--colour"], "tailgate: unrecognized arguments: --colour; see 'tailgate --help'"),
    ],
)
def test_wrong_usage_gets_one_sentence_and_exit_status_2(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    install(Entry("go", lambda: command(lambda _: 0)))
    assert exit_status(*arguments) == 2
    assert capsys.readouterr().err == sentence + "\n"


def test_an_unknown_command_gets_one_sentence_that_names_the_known_ones(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(Entry("go", lambda: command(lambda _: 0)))
    assert exit_status("gone") == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "'gone'" in message
    assert "'go'" in message


@pytest.mark.parametrize(
    ("package", "extra"),
    [("torch", "server"), ("safetensors.torch", "server"), ("sklearn", "demo"), ("pyarrow", "offline")],
)
@pytest.mark.parametrize("when", ["loading", "running"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str], package: str, extra: str, when: str
) -> None:
    missing = ModuleNotFoundError(f"No module named {package!r}", name=package)

    def load() -> Command:
        if when == "loading":
            raise missing
        return command(raising(missing))

    install(Entry("go", load))
    assert exit_status("go") == 2
    message = f"needs the package {package!r}, which the extra {extra!r} brings: pip install 'tailgate[{extra}]'"
    assert capsys.readouterr().err == f"tailgate go: {message}\n"


def test_a_missing_module_that_no_extra_brings_is_a_fault_and_not_hidden(install: Callable[..., None]) -> None:
    install(Entry("go", lambda: command(raising(ModuleNotFoundError("No module named 'x'", name="x")))))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["go"])


@pytest.mark.parametrize(
    ("error", "status"),
    [(ConfigError("listen is 'x'; expected HOST:PORT"), 2), (Unavailable("nobody there"), 1), (TailgateError("no"), 1)],
)
def test_tailgates_own_errors_are_one_sentence_without_a_stack_trace(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str], error: TailgateError, status: int
) -> None:
    install(Entry("go", lambda: command(raising(error))))
    assert exit_status("go") == status
    assert capsys.readouterr().err == f"tailgate go: {error}\n"


def test_ctrl_c_ends_quietly_with_the_status_shells_expect(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(Entry("go", lambda: command(raising(KeyboardInterrupt()))))
    assert exit_status("go") == 130
    assert capsys.readouterr().err == "tailgate go: interrupted\n"


def test_without_a_command_the_list_of_commands_is_printed(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(Entry("go", lambda: command(lambda _: 0)))
    assert exit_status() == 2
    listing = capsys.readouterr().out
    assert "go" in listing
    assert "Does a thing." in listing


def test_the_version_is_the_packages(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install()
    assert exit_status("--version") == 0
    assert capsys.readouterr().out == f"tailgate {__version__}\n"
