"""When requests come: by chance alone, or in bursts."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random


def poisson(random: Random, rate: float, start_s: float, end_s: float) -> Iterator[float]:
    """Instants of a Poisson process."""
    at_s = start_s
    while True:
        at_s += random.expovariate(rate)
        if at_s >= end_s:
            return
        yield at_s


def bursts(random: Random, rate: float, start_s: float, end_s: float, *, size: int = 20) -> Iterator[float]:
    """The same rate in bursts that come by chance, of a size that varies geometrically around `size`."""
    for at_s in poisson(random, rate / size, start_s, end_s):
        yield at_s
        while random.random() >= 1.0 / size:
            yield at_s
