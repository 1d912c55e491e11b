"""The command `tailgate compare`: runs beside one another, what changes between them, which models change places."""

from __future__ import annotations

import argparse
import json

from tailgate.cli import EXIT_OK, Command
from tailgate.errors import ConfigError
from tailgate.units import parse_duration


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add(
        "folders",
        nargs="+",
        metavar="[NAME=]DIR",
        help="a load run's folder, or one whose own folders are; NAME is the condition they were made under",
    )
    add(
        "--threshold",
        action="append",
        default=[],
        metavar="TIME",
        help="where quality is compared, such as 50ms; may be given again (without it: the runs' deadlines and the "
        "50th, 90th, 95th and 99th percentile of their latency)",
    )
    add("--permutations", type=int, default=10_000, metavar="N", help="draws that each p-value rests on")
    add("--seed", type=int, default=0, metavar="N", help="of these draws")
    add("--json", action="store_true", help="as JSON, for programs")


def run(options: argparse.Namespace) -> int:
    """Read, compare, print."""
    from rich.console import Console

    from tailgate.comparison.folders import read_runs
    from tailgate.comparison.report import as_json, compare
    from tailgate.comparison.tables import print_comparison

    for name, lowest in (("permutations", 1), ("seed", 0)):
        if getattr(options, name) < lowest:
            raise ConfigError(f"--{name} is {getattr(options, name)}; expected a whole number of at least {lowest}")
    thresholds_s = [parse_duration(text, "--threshold") for text in options.threshold]
    with Console(stderr=True).status("reading and comparing"):
        runs = read_runs(options.folders)
        comparison = compare(runs, thresholds_s, permutations=options.permutations, seed=options.seed)
    if options.json:
        print(json.dumps(as_json(comparison), indent=1, allow_nan=False, ensure_ascii=False))
    else:
        print_comparison(Console(), comparison)
        for warning in comparison.warnings:
            print(warning)
    return EXIT_OK


COMMAND = Command("Compare runs: models, conditions, devices, and which models change places.", configure, run)
