"""An audit, to be read: by people, and by programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tailgate.audit.finding import Finding


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """A line for each invariant; below it what broke it, and the first requests that did."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("", "left"), ("invariant", "left"), ("checked", "right"), ("broken", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]  # rich's literal
    for finding in findings:
        if finding.unchecked:
            table.add_row(finding.code, escape(finding.promise), "-", "-")
            table.add_row("", f"[dim]not checked: {escape(finding.unchecked)}[/]", "", "")
            continue
        broken = f"[bold red]{finding.broken:,}[/]" if finding.broken else "0"
        table.add_row(finding.code, escape(finding.promise), f"{finding.checked:,}", broken)
        for breach in finding.breaches:
            table.add_row("", f"[red]{breach.count:,} {escape(breach.what)}[/]", "", "")
            if breach.first:
                more = ", ..." if breach.count > len(breach.first) else ""
                table.add_row("", f"  {escape(', '.join(breach.first))}{more}", "", "")
        if finding.note:
            table.add_row("", f"[dim]{escape(finding.note)}[/]", "", "")
    console.print(table)


def sentence(findings: Sequence[Finding]) -> str:
    """The verdict, on one line."""
    broken = [finding for finding in findings if finding.broken]
    unchecked = [finding.code for finding in findings if finding.unchecked]
    checked = len(findings) - len(unchecked)
    rest = f"; {len(unchecked)} could not be checked ({', '.join(unchecked)})" if unchecked else ""
    if not broken:
        return f"the books balance: {checked} invariants hold{rest}"
    codes = ", ".join(dict.fromkeys(finding.code for finding in broken))
    return f"the books do not balance: {len(broken)} of {checked} invariants are broken ({codes}){rest}"


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "balanced": not any(finding.broken for finding in findings),
        "invariants": [
            {
                "code": finding.code,
                "promise": finding.promise,
                "checked": finding.checked,
                "broken": finding.broken,
                "unchecked": finding.unchecked or None,
                "note": finding.note or None,
                "breaches": [
                    {"count": breach.count, "what": breach.what, "first": list(breach.first)}
                    for breach in finding.breaches
                ],
            }
            for finding in findings
        ],
    }
