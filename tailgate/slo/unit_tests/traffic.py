"""Made-up counters for promtool: what a proxy would export if its traffic went so, as a test's input series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_JUDGED = ("ok", "ok_late", "ok_late_discarded")

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Phase:
    """A stretch of even traffic.

    Attributes:
        windows: How long, in windows.
        rate: Requests per second.
        in_time: Share answered in time.
        accuracy: Share of the answers that are right.
        otherwise: How the others end: shares of all requests by outcome; what is left of them ends at the deadline.
        labelled: Share of requests whose label becomes known.
    """

    windows: float
    rate: float = 20.0
    in_time: float = 0.97
    accuracy: float = 0.99
    otherwise: Mapping[str, float] = field(default_factory=dict)
    labelled: float = 1.0

    @property
    def tca(self) -> float:
        """The time-critical accuracy of it."""
        return self.in_time * self.accuracy

    def outcomes(self) -> dict[str, float]:
        """Share of requests by outcome."""
        shares = {"ok": self.in_time, **self.otherwise}
        return shares | {"deadline_in_flight": max(0.0, round(1.0 - sum(shares.values()), 9))}


@dataclass(frozen=True)
class Clock:
    """How a test's time runs.

    Attributes:
        window_s: Seconds of a window.
        step_s: Seconds between samples.
    """

    window_s: float
    step_s: float

    def steps(self, windows: float) -> int:
        """Samples in so many windows."""
        return round(windows * self.window_s / self.step_s)


def notation(clock: Clock, phases: Iterable[tuple[float, float]]) -> str:
    """A counter in promtool's notation: from 0, with so much a second over so many windows, phase by phase.

    >>> notation(Clock(60.0, 15.0), [(1, 2.0), (2, 0.0)])
    '0+30x4 120+0x7'
    """
    last, parts = 0.0, list[str]()
    for windows, rate in phases:
        steps, step = clock.steps(windows) - bool(parts), round(rate * clock.step_s, 6)
        if steps < 0:
            continue
        # Rounded up: a sum in floating point that came out lower than promtool's would be a counter's reset.
        first = _rounded_up(last + step) if parts else 0.0
        parts.append(f"{_number(first)}+{_number(step)}x{steps}")
        last = first
        for _ in range(steps):
            last += step
    return " ".join(parts)


def level(clock: Clock, phases: Iterable[tuple[float, float]]) -> str:
    """A gauge in promtool's notation: this value over so many windows, phase by phase.

    >>> level(Clock(60.0, 15.0), [(1, 1.0), (2, 0.0)])
    '1+0x4 0+0x7'
    """
    parts = list[str]()
    for windows, value in phases:
        parts.append(f"{_number(value)}+0x{clock.steps(windows) - bool(parts)}")
    return " ".join(parts)


def traffic(
    clock: Clock,
    phases: Iterable[Phase],
    *,
    model: str = "digits",
    version: str = "1",
    slice_: str = "",
    instance: str = "a",
) -> dict[str, str]:
    """The counters of one model's version and slice on one proxy, as input series."""
    phases = tuple(phases)
    rates: defaultdict[tuple[str, Key], list[tuple[float, float]]] = defaultdict(list)
    names = sorted({name for phase in phases for name in phase.outcomes()})
    for phase in phases:
        shares = phase.outcomes()
        rates["tailgate_due_requests_total", ()].append((phase.windows, phase.rate))
        for outcome in names:
            rate = phase.rate * shares.get(outcome, 0.0)
            rates["tailgate_requests_total", (("outcome", outcome),)].append((phase.windows, rate))
            judged = outcome in _JUDGED
            verdicts = {"right": phase.accuracy, "wrong": 1 - phase.accuracy} if judged else {"unknown": 1.0}
            for verdict, share in verdicts.items():
                key = (("outcome", outcome), ("verdict", verdict))
                labelled = rate * share * phase.labelled
                rates["tailgate_labelled_requests_total", key].append((phase.windows, labelled))
                weight = rate * share if phase.labelled else 0.0
                rates["tailgate_labelled_weight_total", key].append((phase.windows, weight))
        squares = phase.rate / phase.labelled if phase.labelled else 0.0
        rates["tailgate_labelled_weight_squares_total", ()].append((phase.windows, squares))
    who = (("instance", instance), ("job", "tailgate"), ("model", model), ("version", version))
    where = (("slice", slice_),) if slice_ else ()
    return {selector(name, (*who, *where, *key)): notation(clock, rate) for (name, key), rate in rates.items()}


def objectives(clock: Clock, windows: float, objective: float, floor: float, *models: str) -> dict[str, str]:
    """What the proxies export of their objectives."""
    return {
        selector(name, (("instance", "a"), ("job", "tailgate"), ("model", model))): level(clock, [(windows, value)])
        for model in models
        for name, value in (("tailgate_objective_ratio", objective), ("tailgate_window_floor_ratio", floor))
    }


def selector(name: str, labels: Key) -> str:
    """A series as PromQL names it."""
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels) + "}"


def _rounded_up(value: float) -> float:
    rounded = round(value, 6)
    return rounded if rounded >= value else round(value + 1e-6, 6)


def _number(value: float) -> str:
    return f"{value:.15g}"
