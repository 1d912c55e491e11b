"""Coverage-guided fuzzing of everything that reads what a stranger sent.

    python fuzz/run.py [--inputs 1000000] [--target NAME] [--keep]

Needs the extra `fuzz` (atheris). Runs each target in a process of its own, beginning with `fuzz/corpus/NAME`; prints
inputs, rate, coverage and crashes; exits with 1 if there was a crash, a hang or growth. An input that broke something
is left in the current folder, and is replayed by `python fuzz/run.py --target NAME FILE`. With `--keep` what was found
is merged into `fuzz/corpus/NAME`, minimised: `tests/core/http2/test_corpus.py` replays that without atheris.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TARGETS = {"frames": 0.2, "header_blocks": 0.4, "grpc": 0.4}
"""Which share of the inputs each gets: a story of frames takes ten times as long as the others."""
CORPUS = Path(__file__).parent / "corpus"
INSTRUMENTED = ("tailgate.http2", "tailgate.protocol", "tailgate.deadline", "hpack")
LONGEST_INPUT, MOST_SECONDS, MOST_MIB = 1024, 10, 1024
MOST_KEPT, MOST_KEPT_BYTES = 100, 130_000
"""Files, and bytes, of one target's corpus: it is checked in, and replayed by every run of the tests."""


def child(target: str, arguments: list[str]) -> None:
    """Be the fuzzer of one target; never returns."""
    try:
        atheris: Any = importlib.import_module("atheris")  # has no types, and is there only where it was asked for
    except ModuleNotFoundError:
        raise SystemExit("the fuzzer is not installed; install the extra: pip install 'tailgate[fuzz]'") from None
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        module = importlib.import_module(f"fuzz.fuzz_{target}")
    itself = shlex.join((sys.executable, str(Path(__file__)), "--child", target))  # how a merge starts it again
    atheris.Setup([itself, *arguments], module.fuzz)
    atheris.Fuzz()


def command(target: str, *arguments: str) -> list[str]:
    """The child of a target as a command."""
    limits = (f"-max_len={LONGEST_INPUT}", f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MIB}")
    return [sys.executable, str(Path(__file__)), "--child", target, *limits, *arguments]


def fuzz(target: str, inputs: int, found: Path) -> tuple[list[object], bool]:
    """Run one target; returns its row of the table, and whether all was well."""
    start_s = time.monotonic()
    process = subprocess.run(
        command(target, f"-runs={inputs}", "-print_final_stats=1", str(found)),
        capture_output=True,
        check=False,
    )
    log = process.stderr.decode(errors="replace") + process.stdout.decode(errors="replace")
    seconds = time.monotonic() - start_s
    done = _number(r"number_of_executed_units: (\d+)", log)
    coverage = max((int(found) for found in re.findall(r"cov: (\d+)", log)), default=0)
    row = [target, done, round(seconds), round(done / seconds), coverage, len(list(found.iterdir()))]
    row += [_number(r"peak_rss_mb:\s+(\d+)", log), "yes" if process.returncode else "no"]
    if process.returncode:
        print(log[-4000:])
    return row, process.returncode == 0


def keep(target: str, found: Path) -> None:
    """Put what is worth it into the corpus: what covers the most with the fewest, as far as there is room."""
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder)
        arguments = ("-merge=1", "-set_cover_merge=1", str(merged), str(found))
        subprocess.run(command(target, *arguments), capture_output=True, check=True)
        place, size = CORPUS / target, 0
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        contents = sorted((path.read_bytes() for path in merged.iterdir()), key=lambda content: (len(content), content))
        for content in contents[
            :: -(-len(contents) // MOST_KEPT)
        ]:  # of more than there is room for, some of every size
            size += len(content)
            if size > MOST_KEPT_BYTES:
                break
            (place / hashlib.sha1(content, usedforsecurity=False).hexdigest()[:16]).write_bytes(content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for all targets together")
    parser.add_argument("--target", choices=list(TARGETS), action="append", help="only this one; may be repeated")
    parser.add_argument("--keep", action="store_true", help="merge what is found into the corpus")
    parser.add_argument("replay", nargs="*", type=Path, help="inputs to feed once, without atheris")
    arguments = parser.parse_args()
    targets = arguments.target or list(TARGETS)
    if arguments.replay:
        for target in targets:
            for path in arguments.replay:
                importlib.import_module(f"fuzz.fuzz_{target}").fuzz(path.read_bytes())
        return 0
    rows, well = [], True
    whole = sum(TARGETS[target] for target in targets)
    for target in targets:
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder)
            for path in (CORPUS / target).glob("*"):
                shutil.copy(path, found)
            row, fine = fuzz(target, round(arguments.inputs * TARGETS[target] / whole), found)
            rows.append(row)
            well = well and fine
            if arguments.keep:
                keep(target, found)
    header = ("target", "inputs", "seconds", "inputs/s", "edges", "corpus", "MiB at most", "crashed")
    print(markdown_table(header, rows))
    return 0 if well else 1


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    return int(match[1]) if match else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
    from bench._common import markdown_table

    sys.exit(main())
