"""What else goes on in a process that sends, kept short while it does: the collector's pauses, and other threads."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SWITCH_INTERVAL_S: Final = 1e-4
"""For so long the thread that writes the trace may keep the event loop from going on; Python's own 5 ms are more than
it needs for a tenth of a second's requests."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """To be entered when all that lives until the end exists, such as connections and data."""
    gc.collect()
    gc.freeze()  # what exists now is kept out of the collector's sight
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)
        gc.unfreeze()
