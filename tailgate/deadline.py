"""A deadline: a fixed instant on a monotonic clock, and what follows from it.

Lives here: the type, how a deadline is made from budgets, and how a budget is read from what a client sent.
Must not live here: a clock (instants are arguments), a timer, what is done about a missed deadline.

A deadline is kept as the instant it was set and the seconds it then had, never as a duration that is handed on, and
never clamped at zero: one that had already passed when it was set keeps its negative budget, so that nothing downstream
can take it for the most urgent of all. Late means ``now - start > budget``; that one comparison, in that order
of floating-point operations, is used everywhere, so a live counter and a trace read back agree on every request.
"""

from __future__ import annotations

import math
import re
from typing import Final

from tailgate.errors import InvalidRequest

MAX_BUDGET_S: Final = 3600.0
"""Longest budget taken: an inference that may last longer than an hour has no deadline worth the name."""

_MAX_DIGITS: Final = 8
_GRPC_UNIT_S: Final = {"H": (3600, 1), "M": (60, 1), "S": (1, 1), "m": (1, 10**3), "u": (1, 10**6), "n": (1, 10**9)}
# There is one way only to read any text: with two, a header of 16 KiB that is no number would take seconds.
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Deadline:
    """An instant by which an answer has to be complete; never changed.

    Not a named tuple: to make one of those, and to look into it, costs several times as much where this is compiled.

    Attributes:
        start_s: When the clock of this request started, in seconds on a monotonic clock.
        budget_s: Seconds it had at that instant; zero or less if it had already passed.

    >>> d = Deadline(start_s=100.0, budget_s=0.5)
    >>> d.remaining_s(100.2) > 0, d.passed(100.5), d.passed(100.6)
    (True, False, True)
    """

    __slots__ = ("budget_s", "start_s")

    def __init__(self, start_s: float, budget_s: float) -> None:
        """So many seconds after the start."""
        self.start_s: Final[float] = start_s
        self.budget_s: Final[float] = budget_s

    def __eq__(self, other: object) -> bool:
        """Whether it is the same instant, with the same start."""
        return isinstance(other, Deadline) and self.start_s == other.start_s and self.budget_s == other.budget_s

    def __hash__(self) -> int:
        """As it compares."""
        return hash((self.start_s, self.budget_s))

    def __repr__(self) -> str:
        """As it is made."""
        return f"Deadline(start_s={self.start_s!r}, budget_s={self.budget_s!r})"

    @property
    def at_s(self) -> float:
        """The instant itself, for timers. Whether it has passed is for `passed` to say."""
        return self.start_s + self.budget_s

    def remaining_s(self, now_s: float) -> float:
        """Seconds left at `now_s`; negative once it has passed."""
        return self.budget_s - (now_s - self.start_s)

    def passed(self, now_s: float) -> bool:
        """Whether an answer that is complete at `now_s` is late. At the instant itself it is not."""
        return now_s - self.start_s > self.budget_s

    @property
    def expired_on_arrival(self) -> bool:
        """Whether there was no time at all: a budget of zero or less cannot be met by any answer."""
        return self.budget_s <= 0.0


def earliest(start_s: float, *budgets_s: float | None) -> Deadline:
    """The tightest of several budgets, as a deadline that starts at `start_s`.

    Args:
        start_s: Arrival, in seconds on a monotonic clock.
        budgets_s: Seconds allowed by each party that has a say; None where it has nothing to say. At least one says
            something.

    >>> earliest(10.0, None, 0.2, 0.05).budget_s
    0.05
    """
    tightest_s = MAX_BUDGET_S
    for budget_s in budgets_s:
        if budget_s is not None and budget_s < tightest_s:
            tightest_s = budget_s
    return Deadline(start_s, tightest_s)


def parse_grpc_timeout(text: str) -> float:
    """Seconds of a `grpc-timeout` header: up to eight digits and a unit, as gRPC over HTTP/2 defines it.

    Raises:
        InvalidRequest: The value has another form.

    >>> parse_grpc_timeout("50m")
    0.05
    """
    digits, unit = text[:-1], _GRPC_UNIT_S.get(text[-1:])
    if unit is None or not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise InvalidRequest(f"grpc-timeout is {text!r}; expected 1 to 8 digits and one of H M S m u n, such as '50m'")
    multiplier, divisor = unit
    return int(digits) * multiplier / divisor  # divided, so that "9m" is the float that 0.009 and "9" ms are


def parse_deadline_ms(text: str) -> float:
    """Seconds of the metadata `tailgate-deadline-ms`: a finite number of milliseconds. Zero or less is expired.

    Raises:
        InvalidRequest: It is not a finite number.

    >>> parse_deadline_ms("12.5")
    0.0125
    """
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise InvalidRequest(f"tailgate-deadline-ms is {text!r}; expected a number of milliseconds, such as '50'")
    return value / 1e3
