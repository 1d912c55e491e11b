"""When the calls in one read came: as early as that may have been."""

from __future__ import annotations

import time
from typing import Final

LEAST_BLIND_S: Final = 0.005
"""What is less is the ordinary length of a turn of the loop."""


class Came:
    """The same for all calls of a read.

    What was read may have lain at the socket for as long as nobody looked. A client's patience is counted from its
    sending, so the earliest instant counts: nothing is delivered as in time that may not have been.

    Attributes:
        read_s: When it was read; 0 before anything was.
        at_s: When it came, on the monotonic clock.
        unix_s: The same on the wall clock.
    """

    __slots__ = ("at_s", "read_s", "unix_s")

    def __init__(self) -> None:
        """Nothing came."""
        self.read_s = self.at_s = self.unix_s = 0.0

    def stamp(self, read_s: float, blind_s: float) -> None:
        """There is a call in what is being read; nobody had looked for so long before."""
        if blind_s < LEAST_BLIND_S:
            blind_s = 0.0
        self.read_s = read_s
        self.at_s, self.unix_s = read_s - blind_s, time.time() - blind_s
