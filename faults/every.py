"""All cases there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from faults.cases import CASES, Case
from faults.root import ROOT_CASES

EVERY: Final[Sequence[Case]] = (*CASES, *ROOT_CASES)


def case_named(name: str) -> Case:
    """The case of this name."""
    return next(case for case in EVERY if case.name == name)
