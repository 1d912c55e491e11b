"""The command `tailgate gate`: exit status 0 where a run holds what is required, 1 where not, 2 where none can say."""

from __future__ import annotations

import argparse
from pathlib import Path

from tailgate.cli import Command
from tailgate.errors import ConfigError, TraceError, UsageError
from tailgate.gate.requirements import STATISTICS, Requirement, check_max_drop, parse_requirement


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="folder of a load run: its trace and its summary.json")
    for statistic, name in STATISTICS.items():
        add(
            f"--{statistic}",
            action="append",
            default=[],
            metavar="Q@TIME",
            help=f"the {name} of the share right within TIME is at least Q, such as 0.93@50ms; may be given again",
        )
    add("--baseline", type=Path, metavar="DIR", help="folder of the run to compare with")
    add(
        "--max-drop",
        type=float,
        metavar="SHARE",
        help="how far each of these may lie below the baseline's (with none of them: mean and worst at the deadline)",
    )
    add("--min-passes", type=int, default=5, metavar="N", help="finished passes without which nothing is said")
    add("--junit", type=Path, metavar="FILE", help="write the verdict as JUnit XML")
    add("--markdown", type=Path, metavar="FILE", help="write the verdict as Markdown")


def run(options: argparse.Namespace) -> int:
    """Judge, write what is asked for, print one line."""
    from tailgate.gate.judge import judge
    from tailgate.gate.junit import junit
    from tailgate.gate.markdown import markdown
    from tailgate.report.source import read_source
    from tailgate.runs import Run, run_of

    def read(folder: Path, called: str = "") -> Run:
        return run_of(read_source(called + (folder.resolve().name or str(folder)), folder))

    requirements = [parse_requirement(name, text) for name in STATISTICS for text in getattr(options, name)]
    if (options.baseline is None) != (options.max_drop is None):
        raise UsageError("--baseline and --max-drop belong together; give both or neither")
    if not requirements and options.baseline is None:
        raise UsageError("nothing is required; give --worst, --mean, --p5 or --p1, or --baseline with --max-drop")
    if options.min_passes < 1:
        raise ConfigError(f"--min-passes is {options.min_passes}; expected a whole number of at least 1")
    max_drop = 0.0 if options.max_drop is None else check_max_drop(options.max_drop)
    judged = read(options.folder)
    baseline = None if options.baseline is None else read(options.baseline, "the baseline ")
    if not requirements:
        if judged.deadline_s is None:
            raise TraceError(f"{options.folder}: its header has no deadline_s; give --mean or --worst with a time")
        requirements = [Requirement("mean", judged.deadline_s, None), Requirement("worst", judged.deadline_s, None)]
    verdict = judge(judged, requirements, min_passes=options.min_passes, baseline=baseline, max_drop=max_drop)
    if options.junit is not None:
        _write(options.junit, junit(verdict))
    if options.markdown is not None:
        _write(options.markdown, markdown(verdict))
    print(verdict.sentence)
    return verdict.status


def _write(path: Path, text: str) -> None:
    from tailgate.whole_file import write_whole_file

    write_whole_file(path, lambda partial: partial.write_text(text, encoding="utf-8"))


COMMAND = Command("Hold a run's quality and its tail against requirements and a baseline, for CI.", configure, run)
