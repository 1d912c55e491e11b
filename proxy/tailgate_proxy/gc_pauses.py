"""Pauses for the garbage collector, measured."""

from __future__ import annotations

import gc
import time
from typing import Final

from tailgate.ledger import Histogram

BUCKETS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)


class GcPauses:
    """What Python's collector tells of its work.

    Attributes:
        histogram: Of all pauses.
    """

    def __init__(self) -> None:
        """Nothing is measured before `start`."""
        self.histogram = Histogram(BUCKETS_S)
        self._since_s = 0.0

    def start(self) -> None:
        """Be told of every collection from now on."""
        gc.callbacks.append(self._told)

    def stop(self) -> None:
        """No longer."""
        if self._told in gc.callbacks:
            gc.callbacks.remove(self._told)

    def _told(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._since_s = time.perf_counter()
        else:
            self.histogram.add(time.perf_counter() - self._since_s)
