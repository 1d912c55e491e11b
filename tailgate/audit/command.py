"""The command `tailgate audit`: exit status 0 where the books balance, 1 where not, 2 where nobody can say."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tailgate.cli import EXIT_MISSED, EXIT_OK, Command
from tailgate.units import parse_duration


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("--client", type=Path, required=True, metavar="DIR", help="folder of the client's trace")
    add(
        "--proxy",
        type=Path,
        action="append",
        metavar="DIR",
        help="folder of the proxy's traces, where it is another; may be given again",
    )
    add(
        "--metrics",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="what /metrics said when the last request had ended; once for each process of the proxy",
    )
    add(
        "--upstream",
        type=Path,
        metavar="LOG",
        help="what the upstream executed: one request id a line, or one JSON object with request_id",
    )
    add("--grace", default="100ms", help="how much later than in time an answer may reach its client")
    add("--json", action="store_true", help="as JSON, for programs")


def run(options: argparse.Namespace) -> int:
    """Read, hold every invariant against it, print."""
    from rich.console import Console

    from tailgate.audit.everything import audit
    from tailgate.audit.reading import read_evidence
    from tailgate.audit.tables import as_json, print_findings, sentence

    grace_s = parse_duration(options.grace, "--grace")
    with Console(stderr=True).status("reading and comparing"):
        proxy = options.proxy or [options.client]
        evidence = read_evidence(options.client, proxy, options.metrics, options.upstream)
        findings = audit(evidence, grace_s)
    if options.json:
        print(json.dumps(as_json(findings), indent=1, allow_nan=False, ensure_ascii=False))
    else:
        print_findings(Console(), findings)
        print(sentence(findings))
    return EXIT_MISSED if any(finding.broken for finding in findings) else EXIT_OK


COMMAND = Command("Hold a client's, a proxy's and an upstream's books against one another.", configure, run)
