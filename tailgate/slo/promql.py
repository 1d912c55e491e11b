"""The few expressions of which all rules are made.

Always `rate` before `sum` (a restart is a reset of one series, not of their sum), always `sum` before dividing (a mean
of ratios is no ratio), and every denominator kept above zero (0/0 is NaN, which spreads).
"""

from __future__ import annotations

from dataclasses import dataclass

from tailgate.slo.spans import Span

TICKET_Z = 3.29
"""Bounds that are shown and that open tickets: a window is wrongly called bad once in 2,000 at its floor."""
PAGE_Z = 3.9
"""Bounds that wake people: once in 20,000."""
CANARY_Z = 4.2
"""By how many standard deviations a canary has to be worse to wake people. It is looked at anew with every scrape."""


SERIES = "model, version, slice"
"""The finest that is counted."""


@dataclass(frozen=True)
class Count:
    """Something that is counted.

    Attributes:
        name: Part of the recorded name.
        metric: The counter.
        selector: Which of its series.
        note: What it counts.
    """

    name: str
    metric: str
    selector: str
    note: str

    def rate(self, by: str, span: Span) -> str:
        """Of these per second, over a stretch."""
        return f"sum by ({by}) (rate({self.metric}{self.selector}[{span.range}]))"


REQUESTS = Count(
    "requests",
    "tailgate_due_requests_total",
    "",
    "Requests that ended, however they did, or whose deadline passed while they went on.",
)
ENDED = Count("ended", "tailgate_requests_total", "", "Requests that ended.")
IN_TIME = Count("in_time", "tailgate_requests_total", '{outcome="ok"}', "Requests answered by their deadline.")
LABELLED = Count(
    "labelled",
    "tailgate_labelled_requests_total",
    "",
    "Requests whose label is known.",
)
WEIGHT = Count("weight", "tailgate_labelled_weight_total", "", "The same, each with its weight.")
WEIGHT_SQUARES = Count("weight_squares", "tailgate_labelled_weight_squares_total", "", "The squares of the weights.")
RIGHT_IN_TIME = Count(
    "right_in_time",
    "tailgate_labelled_requests_total",
    '{outcome="ok",verdict="right"}',
    "Requests with a label, answered right and in time.",
)
IN_TIME_WEIGHT = Count(
    "in_time_weight",
    "tailgate_labelled_weight_total",
    '{outcome="ok"}',
    "Answers in time whose label is known, each with its weight (1 / its probability of being labelled).",
)
RIGHT_WEIGHT = Count(
    "right_weight", "tailgate_labelled_weight_total", '{outcome="ok",verdict="right"}', "The right ones among them."
)


def ratio(part: str, whole: str) -> str:
    """A share, absent where there is nothing to share."""
    return f"{part} / ({whole} > 0)"


def wilson(share: str, n: str, z: float, side: str) -> str:
    """A bound of Wilson's score interval on a share (E. B. Wilson, 1927); right also for shares near 0 and 1.

    Args:
        share: The observed share.
        n: Of how many; absent, never 0.
        z: Standard deviations.
        side: ``+`` for the upper bound, ``-`` for the lower.
    """
    return (
        "(\n"
        f"  {share}\n"
        f"  + {z}^2 / (2 * {n})\n"
        f"  {side} {z} * sqrt({share} * (1 - {share}) / {n} + {z}^2 / (4 * {n}^2))\n"
        f") / (1 + {z}^2 / {n})"
    )


def least(**bounds: str) -> str:
    """The least of several values for each model; those that are absent do not count."""
    parts = [f'label_replace(\n{_indented(text, 4)},\n    "of", "{name}", "", "")' for name, text in bounds.items()]
    return "min by (model) (\n  " + "\n  or ".join(parts) + "\n)"


def _indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())
