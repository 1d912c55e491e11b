"""An alert as Prometheus keeps it: inactive, pending, firing, and for a while still firing.

Pure: fed with the instants at which its expression held, it says when the alert fired. `tests` hold it against
``promtool test rules``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench._prometheus import Prometheus, Rule, by_lookback


@dataclass(frozen=True)
class Fired:
    """Once that an alert fired.

    Attributes:
        alert: Its name.
        severity: page or ticket.
        labels: Of what it fired for, beside the name.
        from_s: The evaluation at which it began to fire.
        to_s: The evaluation at which it no longer did, or the end of the history.
    """

    alert: str
    severity: str
    labels: tuple[tuple[str, str], ...]
    from_s: float
    to_s: float


def episodes(
    instants: Sequence[float], held: Iterable[bool], pending_s: float = 0.0, keep_s: float = 0.0
) -> list[tuple[float, float]]:
    """From when to when an alert fires, given at which of its evaluations its expression held; the end is the first
    evaluation at which it no longer fires, infinite where there is none.

    It fires once it has held at every evaluation for `pending_s`, and goes on for `keep_s` after it first no longer
    held.
    """
    found = []
    active_s = firing_s = gone_s = None
    for now_s, holds in zip(instants, held, strict=True):
        if holds:
            gone_s = None
            active_s = now_s if active_s is None else active_s
            if firing_s is None and now_s - active_s >= pending_s:
                firing_s = now_s
            continue
        if firing_s is not None:
            gone_s = now_s if gone_s is None else gone_s
            if keep_s > 0.0 and now_s - gone_s < keep_s:
                continue
            found.append((firing_s, now_s))
        active_s = firing_s = gone_s = None
    if firing_s is not None:
        found.append((firing_s, math.inf))
    return found


def fired(data: Path, alerts: Iterable[Rule], rules: Mapping[str, Rule], from_s: float, to_s: float) -> list[Fired]:
    """When alerts fired over a history in which their rules are recorded, for each label set they returned."""
    found = []
    for lookback_s, chosen in by_lookback(alerts, rules).items():
        with Prometheus(data, lookback_s=lookback_s) as server:
            for rule in chosen:
                instants = rule.instants(from_s, to_s)
                for series in server.ask_at(rule.expr, instants):
                    labels = {**series.labels, **rule.labels}
                    held = at_instants(instants, series.times_s)
                    for start_s, end_s in episodes(instants.tolist(), held.tolist(), rule.pending_s, rule.keep_s):
                        named = tuple(sorted(labels.items()))
                        found.append(Fired(rule.name, labels.get("severity", ""), named, start_s, min(end_s, to_s)))
    return found


def at_instants(instants: NDArray[np.float64], times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """At which instants there is a sample, to the millisecond."""
    return np.isin(np.round(instants * 1e3).astype(np.int64), np.round(times_s * 1e3).astype(np.int64))
