"""What stands in a figure's place where a run cannot support it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """Why there is nothing to show: one sentence, for whoever made the run."""

    why: str


SINGLE = "There is one complete pass only; how passes differ takes two or more."
NOT_COMPLETE = "There is no complete pass."
UNLABELLED = "Nothing is labelled, so which answers were right is unknown."
OF_A_PROXY = "This is a proxy's trace, which has no passes; a load run's own trace shows them."
