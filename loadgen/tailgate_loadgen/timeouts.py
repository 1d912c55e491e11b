"""How much time a request has left when it is sent. Pure.

The deadline counts from the scheduled instant, so a request sent late has *less* time: the generator's own delay never
lengthens a deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tailgate.deadline import Deadline

WAIT_S = 10.0
"""How long after its deadline an answer is still waited for, to see how late it is."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """What goes with a request.

    Attributes:
        grpc_s: Seconds that gRPC's own timeout says, after which the client gives up.
        deadline_ms: What the metadata says is left, or None where gRPC's own timeout says it.
    """

    grpc_s: float
    deadline_ms: str | None


def timeout_at(deadline: Deadline, now_s: float, on_deadline: Literal["cancel", "wait"]) -> Timeout | None:
    """The timeout of a request sent at `now_s`; None if nothing is left, and it must not be sent.

    >>> timeout_at(Deadline(start_s=10.0, budget_s=0.5), 10.25, "cancel")
    Timeout(grpc_s=0.25, deadline_ms=None)
    >>> timeout_at(Deadline(start_s=10.0, budget_s=0.5), 10.25, "wait")
    Timeout(grpc_s=10.25, deadline_ms='250.000000')
    """
    left_s = deadline.remaining_s(now_s)
    if left_s <= 0:
        return None
    if on_deadline == "cancel":
        return Timeout(left_s, None)
    return Timeout(left_s + WAIT_S, f"{left_s * 1e3:.6f}")
