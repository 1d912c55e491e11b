"""What a probe concludes: one answer to one question, with its ground and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Grade = Literal["good", "partly", "bad", "unknown"]
"""For whoever has deadlines to keep: `unknown` where the probe cannot tell, which is no praise."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer.

    Attributes:
        key: Names the question in JSON.
        question: In words.
        answer: A few words, one of a closed set for each question.
        grade: What the answer is worth.
        sentence: What was seen, with its figures.
        limits: What this cannot tell, or what would fool it.
        figures: The same figures for programs; seconds, counts and shares.
    """

    key: str
    question: str
    answer: str
    grade: Grade
    sentence: str
    limits: str
    figures: Mapping[str, object] = field(default_factory=dict)
