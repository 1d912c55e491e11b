"""When requests are due: each kind of arrivals draws the instants of a whole run from one generator. Pure.

`rate` is the mean of requests a second, whatever the kind, but for a ramp and for steps, which are multiples of it. A
rate that changes with time is put under a Poisson process of rate one by the inverse of its integral (Çinlar,
Introduction to Stochastic Processes, 1975, chapter 4).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tailgate.errors import ConfigError

FloatArray = npt.NDArray[np.float64]

MAX_CHANGES = 10_000_000
"""Of an MMPP's state in one run; with more of them its bursts are so short that it is a Poisson process."""


class Arrivals(Protocol):
    """One way to space requests."""

    def due_s(self, generator: np.random.Generator, count: int, rate: float) -> FloatArray:
        """Seconds after the start at which each request is due, float64 `[count]`, not falling.

        Raises:
            ConfigError: There are no such instants.
        """
        ...


@dataclass(frozen=True)
class Constant:
    """Equal gaps."""

    def due_s(self, generator: np.random.Generator, count: int, rate: float) -> FloatArray:  # noqa: ARG002 — nothing is random here
        """The first at once."""
        return np.arange(count) / rate


@dataclass(frozen=True)
class Poisson:
    """Independent exponential gaps: many clients that know nothing of each other."""

    def due_s(self, generator: np.random.Generator, count: int, rate: float) -> FloatArray:
        """The first after a gap, too."""
        return np.cumsum(generator.exponential(1 / rate, count))


@dataclass(frozen=True)
class Gamma:
    """Independent gamma gaps, whose coefficient of variation is 1/√shape: below 1 bursts, at 1 Poisson, above even."""

    shape: float

    def due_s(self, generator: np.random.Generator, count: int, rate: float) -> FloatArray:
        """The first after a gap, too."""
        return np.cumsum(generator.gamma(self.shape, 1 / (rate * self.shape), count))


@dataclass(frozen=True)
class Mmpp:
    """A Poisson process that switches between two rates (Fischer and Meier-Hellstern, "The MMPP cookbook", 1993).

    Attributes:
        ratio: The rate in a burst over that in a calm.
        burst_s: Mean length of a burst, in seconds; lengths are exponential.
        calm_s: Likewise of a calm.
    """

    ratio: float
    burst_s: float
    calm_s: float

    def rates(self, rate: float) -> tuple[float, float]:
        """Requests a second in a burst and in a calm, whose mean over time is `rate`."""
        calm = rate * (self.burst_s + self.calm_s) / (self.ratio * self.burst_s + self.calm_s)
        return self.ratio * calm, calm

    def due_s(self, generator: np.random.Generator, count: int, rate: float) -> FloatArray:
        """Begins in a burst as often as there are bursts at any instant."""
        expected = 2 * count / rate / (self.burst_s + self.calm_s)
        if expected > MAX_CHANGES:
            raise ConfigError(
                f"--arrivals mmpp would change its state about {expected:.2g} times, at most {MAX_CHANGES:,} are "
                "drawn; take longer bursts and calms, or poisson"
            )
        unit = np.cumsum(generator.exponential(1.0, count))
        in_burst = bool(generator.random() < self.burst_s / (self.burst_s + self.calm_s))
        order = slice(None) if in_burst else slice(None, None, -1)
        means, rates = (np.array(pair)[order] for pair in ((self.burst_s, self.calm_s), self.rates(rate)))
        chunk = int(expected / 2) + 64
        stays_s, reached = [np.zeros((1, 2))], 0.0
        while reached < unit[-1]:
            stays_s.append(generator.exponential(1.0, (chunk, 2)) * means)
            reached += float((stays_s[-1] * rates).sum())
        lengths_s = np.concatenate(stays_s)
        return np.interp(unit, np.cumsum(lengths_s * rates), np.cumsum(lengths_s))


@dataclass(frozen=True)
class Ramp:
    """A Poisson process whose rate goes in a straight line from one multiple of `rate` to another, and stays there."""

    start: float
    end: float
    within_s: float

    def due_s(self, generator: np.random.Generator, count: int, rate: float) -> FloatArray:
        """The inverse of Λ(t) = a·t + b·t²/2 on the ramp, and of its tangent after it."""
        unit = np.cumsum(generator.exponential(1.0, count))
        first, last = self.start * rate, self.end * rate
        slope, at_top = (last - first) / self.within_s, (first + last) / 2 * self.within_s
        on_ramp = np.minimum(unit, at_top)
        # Not the schoolbook form, which loses all digits where the slope is small.
        on_ramp_s = 2 * on_ramp / (first + np.sqrt(np.maximum(first**2 + 2 * slope * on_ramp, 0.0)))
        return on_ramp_s + np.maximum(unit - at_top, 0.0) / last


@dataclass(frozen=True)
class Steps:
    """A Poisson process whose rate is one multiple of `rate` after the other.

    Attributes:
        factors: The multiples; the last one stays.
        lengths_s: How long each but the last one lasts.
    """

    factors: tuple[float, ...]
    lengths_s: tuple[float, ...]

    def due_s(self, generator: np.random.Generator, count: int, rate: float) -> FloatArray:
        """The inverse of an integral that is made of straight lines."""
        unit = np.cumsum(generator.exponential(1.0, count))
        times_s = np.array([0.0, *itertools.accumulate(self.lengths_s)])
        spent = np.array(
            [0.0, *itertools.accumulate(f * rate * s for f, s in zip(self.factors, self.lengths_s, strict=False))]
        )
        last = np.maximum(unit - spent[-1], 0.0) / (self.factors[-1] * rate)
        due_s: FloatArray = np.interp(unit, spent, times_s) + last
        return due_s


@dataclass(frozen=True, eq=False)
class Replay:
    """The instants of something that was recorded.

    Attributes:
        instants_s: float64 `[recorded]`, not falling, on any clock.
        source: What to call them in an error.
        as_recorded: Keep their own rate rather than stretch them to the one that is asked for.
    """

    instants_s: FloatArray
    source: str
    as_recorded: bool

    def due_s(self, generator: np.random.Generator, count: int, rate: float) -> FloatArray:  # noqa: ARG002 — nothing is random here
        """The first of them at once, and no more of them than there are requests."""
        if count > len(self.instants_s):
            raise ConfigError(
                f"--arrivals {self.source} has {len(self.instants_s)} instants for {count} requests; "
                "ask for fewer with --samples or --passes"
            )
        due_s: FloatArray = self.instants_s[:count] - self.instants_s[0]
        if self.as_recorded or count < 2:
            return due_s
        if not due_s[-1] > 0:
            raise ConfigError(f"--arrivals {self.source} has all its instants at once; leave out --rate")
        due_s *= (count - 1) / float(due_s[-1]) / rate
        return due_s


def mean_rate(due_s: FloatArray) -> float:
    """Requests a second from the first to the last; infinite where they are all due at once."""
    span_s = float(due_s[-1] - due_s[0])
    return (len(due_s) - 1) / span_s if span_s > 0 else math.inf
