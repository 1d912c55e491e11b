"""The command `tailgate slo`: writes Prometheus's rules from objectives, or says whether those there are fresh."""

from __future__ import annotations

import argparse
from pathlib import Path

from tailgate.cli import EXIT_MISSED, EXIT_OK, Command
from tailgate.config import read_config
from tailgate.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "action",
        choices=("generate", "check"),
        help="generate: write the files, and the interval into the folder's prometheus.yml where there is one. "
        "check: write nothing, exit with 1 where something is stale",
    )
    parser.add_argument("--slo", type=Path, default=Path("prometheus/slo.toml"), help="the objectives")
    parser.add_argument(
        "--out", type=Path, default=Path("prometheus"), help="folder of rules, tests and OpenSLO documents"
    )


def run(options: argparse.Namespace) -> int:
    """Write or compare the files."""
    from tailgate.slo.config import SloConfig
    from tailgate.slo.generate import generate
    from tailgate.slo.scraping import with_interval
    from tailgate.slo.spans import promql

    config = read_config(SloConfig, options.slo, {})
    files = {options.out / path: text for path, text in generate(config).items()}
    scraping = options.out / "prometheus.yml"
    try:
        if scraping.is_file():
            files[scraping] = with_interval(scraping.read_text("utf-8"), promql(config.scrape_interval))
        left_over = sorted(_generated(options.out) - files.keys())
        stale = sorted(path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text)
        if options.action == "check":
            for path in stale:
                print(f"{path} {'is stale' if path.exists() else 'is missing'}")
            for path in left_over:
                print(f"{path} belongs to no objective")
            if stale or left_over:
                print("run: tailgate slo generate")
            return EXIT_MISSED if stale or left_over else EXIT_OK
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for path in left_over:
            path.unlink()
    except OSError as error:
        raise UsageError(f"--out: {options.out} cannot be used: {error.strerror} ({error.filename})") from error
    for path in (*stale, *left_over):
        print(path)
    print(f"{len(stale)} written, {len(left_over)} removed, {len(files) - len(stale)} fresh")
    return EXIT_OK


def _generated(out: Path) -> set[Path]:
    """Files of ours that lie there: known by their second line, so that nobody's own are removed."""
    from tailgate.slo.generate import FOLDERS

    found = (path for folder in FOLDERS for path in (out / folder).glob("*.yml"))
    return {
        path for path in found if "Written by `tailgate slo generate`" in path.read_text("utf-8").partition("\n")[2]
    }


COMMAND = Command("Write Prometheus's rules, their tests and OpenSLO documents from objectives.", configure, run)
