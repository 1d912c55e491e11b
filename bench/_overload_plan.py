"""What `bench/overload.py` sends, and what could have been made of it: schedules from a seed, and a perfect
scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from random import Random

from bench._compiled import cannot_compile
from tailgate.simulation.arrivals import bursts, poisson

WORKERS, TAKE_S, DEADLINE_S = 4, 0.02, 0.1
FILLED = round(WORKERS * 0.8 * DEADLINE_S / TAKE_S)
"""Requests at the upstream of which the last is answered after 0.8 of the deadline: the best limit that can be set by
hand, for whoever knows the upstream."""


@dataclass(frozen=True)
class Way:
    """A proxy and its settings: which peer of `bench/proxy.py`, and how it differs from there."""

    peer: str
    options: tuple[str, ...] = ()
    limit: int | None = None
    patience_s: float = 60.0
    adaptive: bool = False


OURS = "tailgate" if cannot_compile() else "compiled"
"""The form of Tailgate that the claims are about, as in `bench/proxy.py`: the compiled wheel, where it can be built."""

WAYS = {
    "tailgate": Way(OURS, options=("--admission", "adaptive")),
    "pure Python": Way("tailgate", options=("--admission", "adaptive")),
    "without admission": Way(OURS, options=("--admission", "off", "--max-in-flight", "100000")),
    "nginx": Way("nginx", patience_s=DEADLINE_S),
    "nginx, limit": Way("nginx", limit=FILLED, patience_s=DEADLINE_S),
    "envoy": Way("envoy"),
    "envoy, limit": Way("envoy", limit=FILLED),
    "envoy, adaptive": Way("envoy", adaptive=True),
}

BURST = 10
"""Requests in a burst, on average: half of what the upstream can do within a deadline."""
QUIET, BEFORE_S, AFTER_S = 0.5, 2.0, 3.0
"""Before and after each overload: half of the capacity."""

Arrivals = Callable[[Random, float, float, float], Iterator[float]]


def _bursts(random: Random, rate: float, start_s: float, end_s: float) -> Iterator[float]:
    return bursts(random, rate, start_s, end_s, size=BURST)


ARRIVALS: dict[str, Arrivals] = {"Poisson": poisson, "bursts": _bursts}


@dataclass(frozen=True)
class Load:
    """A stretch of overload between two quiet ones.

    Attributes:
        arrivals: How requests come.
        factor: So many times the capacity.
    """

    arrivals: str
    factor: float


LOADS = tuple(Load(arrivals, factor) for arrivals in ARRIVALS for factor in (1.0, 2.0, 5.0, 10.0))


def schedule(load: Load, capacity: float, seconds: float, seed: int) -> list[float]:
    """The instants of all requests, in seconds from the start."""
    random, end_s = Random(seed), BEFORE_S + seconds  # noqa: S311 — a load, no secret
    return [
        *poisson(random, QUIET * capacity, 0.0, BEFORE_S),
        *ARRIVALS[load.arrivals](random, load.factor * capacity, BEFORE_S, end_s),
        *poisson(random, QUIET * capacity, end_s, end_s + AFTER_S),
    ]


def attainable(instants_s: Sequence[float], workers: int, capacity: float, deadline_s: float) -> list[bool]:
    """Which of these a perfect scheduler answers in time, if every call takes as long as the capacity says.

    It knows how long all take, begins each with the first worker that is free, and never one that would be late: with
    times and budgets that are all the same no other does better.
    """
    take_s = workers / capacity
    free_s, answered = [0.0] * workers, []
    for instant_s in instants_s:
        done_s = max(free_s[0], instant_s) + take_s
        answered.append(done_s <= instant_s + deadline_s)
        if answered[-1]:
            heapreplace(free_s, done_s)
    return answered
