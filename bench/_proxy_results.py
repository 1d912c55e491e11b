"""What `bench/proxy.py` found: figures of a round, and the table and the claims made of all rounds. No process here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench._common import Claim, markdown_table

MANY = 64
DIRECT = "direct"
SATURATED = 0.9
FORMS = ("compiled", "tailgate")
"""Tailgate's forms; the claims are about the first that was measured."""
CPU_BOUNDS = {"envoy": 1.0, "nginx": 1.5}


@dataclass(frozen=True)
class Case:
    """What all peers are measured at."""

    variant: str
    size: str
    in_flight: int

    def __str__(self) -> str:
        return f"{self.size}, {self.in_flight} in flight, {self.variant}"


@dataclass(frozen=True)
class Measured:
    """One peer in one round of a case.

    Attributes:
        requests: How many were answered, all of them right.
        cpu_us: CPU of the proxy's process for a request.
        busy: Share of its core that the proxy used.
        waited: Share of the time in which the proxy could have run, but something else used its core.
        rate: Requests a second.
        p50_us: Median latency at the client.
    """

    requests: int
    cpu_us: float
    busy: float
    waited: float
    rate: float
    p50_us: float

    @property
    def per_core(self) -> float:
        """Requests a second of a saturated core: as measured, or computed where the core was not saturated."""
        return self.rate if self.busy >= SATURATED else 1e6 / self.cpu_us


Rounds = dict[Case, dict[str, list[Measured]]]


def median(rounds: Sequence[Measured], figure: Callable[[Measured], float]) -> float:
    """Of a figure, over the rounds."""
    return statistics.median(map(figure, rounds))


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median of the ratios round by round."""
    return statistics.median(ours / theirs for ours, theirs in zip(of, to, strict=True))


def added_us(peers: dict[str, list[Measured]], peer: str) -> list[float]:
    """What a peer adds to the median latency, round by round."""
    return [through.p50_us - direct.p50_us for through, direct in zip(peers[peer], peers[DIRECT], strict=True)]


def table(found: Rounds) -> str:
    """A row for each case and peer, in Markdown; medians."""
    header = ("variant", "body", "in flight", "proxy", "CPU, µs", "core, %", "requests/s", "p50, µs", "added p50, µs")
    rows = []
    for case, peers in found.items():
        for peer, rounds in peers.items():
            proxied = peer != DIRECT
            added = proxied and case.in_flight == 1 and DIRECT in peers
            cells = (
                f"{median(rounds, lambda one: one.cpu_us):.0f}" if proxied else "",
                f"{median(rounds, lambda one: 100 * one.busy):.0f}" if proxied else "",
                f"{median(rounds, lambda one: one.rate):.0f}",
                f"{median(rounds, lambda one: one.p50_us):.0f}",
                f"{statistics.median(added_us(peers, peer)):.0f}" if added else "",
            )
            rows.append((case.variant, case.size, str(case.in_flight), peer, *cells))
    return markdown_table(header, rows)


def remarks(found: Rounds) -> list[str]:
    """What a reader must know to read the table."""
    busy = [
        (f"{peer} at {case}", rounds)
        for case, by in found.items()
        for peer, rounds in by.items()
        if case.in_flight == MANY and peer != DIRECT
    ]
    said = [
        f"Requests a second and core: those measured, where the proxy ran for {SATURATED:.0%} of the time or more;"
        " elsewhere a second over the CPU of a request."
    ]
    if idle := [name for name, rounds in busy if median(rounds, lambda one: one.busy + one.waited) < SATURATED]:
        said.append(f"The driver and the upstream could not keep the proxy's core busy: {'; '.join(idle)}.")
    waited = max((median(rounds, lambda one: one.waited) for _, rounds in busy), default=0.0)
    if waited > 1 - SATURATED:
        said.append(f"Something else used the proxies' core: they waited for it up to {waited:.0%} of the time.")
    return said


def claims(found: Rounds) -> list[Claim]:
    """What the project says of itself, of those that were measured."""
    made: list[Claim] = []
    for case, peers in found.items():
        form = next((form for form in FORMS if form in peers), "")
        for peer in [peer for peer in CPU_BOUNDS if form and peer in peers]:
            ours, theirs = peers[form], peers[peer]
            what = f"{case}, {form}"
            if case.in_flight == MANY:
                value = ratio([one.cpu_us for one in ours], [one.cpu_us for one in theirs])
                made.append(Claim(f"{what}: CPU for a request, times {peer}'s", value, CPU_BOUNDS[peer]))
            if case.in_flight == MANY and peer == "envoy":
                value = ratio([one.per_core for one in ours], [one.per_core for one in theirs])
                made.append(Claim(f"{what}: requests a second and core, times envoy's", value, 1.0, at_least=True))
            if case.in_flight == 1 and peer == "envoy":
                value = ratio(added_us(peers, form), added_us(peers, "envoy"))
                made.append(Claim(f"{what}: added p50, times envoy's", value, 1.0))
    return made
