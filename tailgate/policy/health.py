"""Whether a member is ready, by what probes find: they go the way of requests, over the same connections.

An answer counts for a while only. A member that says nothing any more was well once; that is not the same as well.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

FRESH_S: Final = 3.0
"""A good answer counts for so long where none follows: one probe of a busy server may be slow (they give up after two
seconds), two in a row are a pattern."""


class Probe(Enum):
    """What one probe found."""

    READY = "ready"
    NOT_READY = "not ready"
    """It said so."""
    EMPTY = "has no model"
    """It says that it is ready, and lists no model: nothing can be asked of it yet."""
    UNREACHABLE = "cannot be reached"
    """There is no connection to be had, or it broke, or no V2 server is at its end."""
    SILENT = "does not answer"
    """Nothing came in time."""


class Health:
    """One member.

    >>> health = Health()
    >>> health.probed(0.0, Probe.READY), health.ready(3.0), health.ready(3.1)
    (None, True, False)
    """

    def __init__(self) -> None:
        """Not ready before the first good answer."""
        self.last: Probe | None = None
        self._good_until_s = float("-inf")

    def probed(self, now_s: float, found: Probe) -> None:
        """A probe has ended."""
        self.last = found
        if found is Probe.READY:
            self._good_until_s = now_s + FRESH_S
        elif found is not Probe.SILENT:
            self._good_until_s = float("-inf")

    def ready(self, now_s: float) -> bool:
        """Whether it has said so, not long ago, and nothing else since."""
        return now_s <= self._good_until_s
