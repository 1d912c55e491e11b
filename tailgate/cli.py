"""The command `tailgate`: finds the installed subcommands and runs one.

Each package registers its subcommands as entry points of the group ``tailgate.commands``, so this file imports none of
them. A subcommand is a `Command`; its module must be quick to import and take what is heavy inside `run`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn

from tailgate import __version__
from tailgate.build_info import compiled
from tailgate.errors import TailgateError, UsageError

EXIT_OK = 0
EXIT_MISSED = 1
"""The command did its work and the answer is no: a target was missed, a check failed."""
EXIT_UNUSABLE = 2
"""No answer can be given: wrong usage, or a run that is not valid."""

_EXTRAS = {"torch": "server", "torchvision": "server", "safetensors": "server", "sklearn": "demo", "pyarrow": "offline"}


@dataclass(frozen=True)
class Command:
    """One subcommand.

    Attributes:
        summary: One line for the list of commands.
        configure: Adds the command's options to its parser.
        run: Does the work and returns the exit status. A `UsageError` becomes one sentence and exit status 2.
    """

    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one sentence and where help is, instead of printing its usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_UNUSABLE, f"{self.prog}: {message}; see '{self.prog} --help'\n")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `tailgate` with these arguments (default: the process's own); returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {entry.name: entry for entry in sorted(entry_points(group="tailgate.commands"), key=lambda e: e.name)}
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    parser = _Parser(prog="tailgate", description="Deadlines enforced, quality measured right and in time.")
    form = " (compiled)" if compiled() else ""
    parser.add_argument("--version", action="version", version=f"tailgate {__version__}{form}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=_Parser)
    try:
        loaded = {name: _load(entry) for name, entry in commands.items() if chosen in (None, name)}
        for name in commands:
            command = loaded.get(name)
            sub = subparsers.add_parser(
                name,
                help=command.summary if command else None,
                description=command.summary if command else None,
                formatter_class=_HelpFormatter,
            )
            if command:
                command.configure(sub)
        options = parser.parse_args(arguments)
        if options.command is None:
            parser.print_help()
            return EXIT_UNUSABLE
        return loaded[options.command].run(options)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        sys.stderr.write(
            f"tailgate {chosen}: needs the package {error.name!r}, which the extra {extra!r} brings: "
            f"pip install 'tailgate[{extra}]'\n"
        )
        return EXIT_UNUSABLE
    except TailgateError as error:
        sys.stderr.write(f"tailgate {chosen}: {error}\n")
        return EXIT_UNUSABLE if isinstance(error, UsageError) else EXIT_MISSED
    except KeyboardInterrupt:
        sys.stderr.write(f"tailgate {chosen}: interrupted\n")
        return 130


def _load(entry: EntryPoint) -> Command:
    command = entry.load()
    assert isinstance(command, Command), f"entry point {entry.name} is {command!r}, not a Command"
    return command
