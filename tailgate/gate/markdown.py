"""A verdict as Markdown: a line that says it, and a table, for a CI job's summary or a comment."""

from __future__ import annotations

from tailgate.gate.judge import ANSWERS, Verdict

_HOLDS = {True: "yes", False: "**no**", None: "cannot be said"}


def markdown(verdict: Verdict) -> str:
    """The text, ending in a newline."""
    lines = [
        f"**{_escaped(verdict.run)} {ANSWERS[verdict.status]}** ({verdict.passes} finished passes)",
        "",
        "| required | holds | why |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {_escaped(check.name)} | {_HOLDS[check.holds]} | {_escaped(check.why)} |" for check in verdict.checks]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Text that neither ends a cell nor is taken for markup."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
