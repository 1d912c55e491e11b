"""How long before an instant to be woken, so that the way from the kernel's timer to our first line costs no lag. Pure.

On machines of their own that takes some microseconds, in virtual ones up to a tenth of a millisecond, and more after a
long sleep than after a short one: so it is learned, as the median of what was seen, and followed.
"""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 50e-6
MOST_S: Final = 200e-6
"""What takes longer than this is no way to wake up, but a processor that others use."""
STEP_S: Final = 1e-6


class HeadStart:
    """The median of the times that waking up took.

    It goes a step up for each wake-up that took longer and a step down for each other, and so stands still where there
    are as many of the one as of the other.

    Attributes:
        seconds: To be woken before an instant; 0 to `MOST_S`.

    >>> head_start = HeadStart()
    >>> for took_s in (80e-6, 90e-6, 20e-6):
    ...     head_start.woken(took_s)
    >>> round(head_start.seconds * 1e6)
    51
    """

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.seconds = FIRST_S

    def woken(self, took_s: float) -> None:
        """Waking up took so long, from the instant that the timer was set to."""
        if took_s > self.seconds:
            self.seconds = min(MOST_S, self.seconds + STEP_S)
        else:
            self.seconds = max(0.0, self.seconds - STEP_S)
