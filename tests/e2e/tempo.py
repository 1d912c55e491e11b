"""How fast a run under load goes, on machines of which nobody knows beforehand what else they do."""

from __future__ import annotations

TEMPOS = (1, 1, 2, 4, 8, 16)
"""How many times slower than written such a run goes, attempt by attempt: deadlines and what is waited for are so many
times as long, rates so many times lower. What a test says of a run holds at any tempo; a machine that others use too
may be able to keep only a slow one.
"""


def kept_pace(longest_lag_s: float, deadline_s: float) -> bool:
    """Whether a client sent so punctually that what its run fails to show is not the machine's doing: such a run is not
    made again.
    """
    return longest_lag_s <= deadline_s / 10
