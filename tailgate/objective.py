"""What a model's quality is held to."""

from __future__ import annotations

from typing import NamedTuple


class Objective(NamedTuple):
    """The promise made for one model.

    Attributes:
        objective: Time-critical accuracy over 28 days, above 0 and below 1.
        floor: Of the time-critical accuracy of a one-minute window; one surely under it is an incident.
        deadline_s: Within which an answer counts, where the client sets none.
    """

    objective: float
    floor: float
    deadline_s: float
