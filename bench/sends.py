"""Whether requests leave when they are due: `python bench/sends.py [--quick]`.

The sender of `tailgate load` sends 1 KB at 500/s and at 1,500/s to a target that does nothing, on another core. *Lag*
is how much later than scheduled the request was written to its connection, or handed to gRPC's own library, with which
(`grpc`) our client (`http2`) takes turns. So do the kernel's timer (timerfd) and the loop's own, on the same loop.
Spacing is held against the distribution that was asked for with a Kolmogorov–Smirnov test of the recorded times of
sending, each round from a seed of its own: over single gaps, of which those shorter than a send itself takes cannot
come true, and over ten sends, where that no longer shows (the sum of ten gamma gaps is a gamma, too). It needs an
otherwise quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from bench._common import Claim, finish, machine, markdown_table
from bench._cpu import on_core, two_cores
from tailgate.observation import Observation
from tailgate.protocol.envelope import RequestFrame
from tailgate_loadgen.alarm import LoopAlarm, MakeAlarm, TimerfdAlarm
from tailgate_loadgen.arrivals import Arrivals, Constant, Gamma, Poisson
from tailgate_loadgen.calibrate import null_target
from tailgate_loadgen.calls import ClientName
from tailgate_loadgen.datasets.dataset import Dataset, MemoryRows
from tailgate_loadgen.event_loop import loop_name, run_on_loop
from tailgate_loadgen.schedule import make_schedule
from tailgate_loadgen.seeds import derive_seeds
from tailgate_loadgen.sender import Job, Sender
from tailgate_loadgen.target import open_client
from tailgate_loadgen.undisturbed import undisturbed
from tailgate_loadgen.warmup import warm_up

BYTES, DEADLINE_S, LEAD_S, WARMUP, APART = 1_000, 1.0, 0.2, 50, 10
ROUNDS, SECONDS, QUICK_ROUNDS, QUICK_SECONDS = 5, 6.0, 2, 1.0
RATES = (500, 1500)
TIMERFD, LOOP = "timerfd", "loop's timer"
TIMERS: dict[str, MakeAlarm] = {TIMERFD: TimerfdAlarm, LOOP: LoopAlarm}
GAMMA = 0.5
KINDS: dict[str, tuple[Arrivals, float]] = {  # with the shape of their gaps, as a gamma distribution
    "constant": (Constant(), np.inf),
    "poisson": (Poisson(), 1.0),
    f"gamma:{GAMMA}": (Gamma(GAMMA), GAMMA),
}
ALLOWED_MS, ALLOWED_RATIO, LEAST_P = 0.5, 0.5, 0.01


@dataclass(frozen=True)
class Measured:
    """One round.

    Attributes:
        requests: That were sent, all of them.
        p50_ms, p99_ms, p999_ms, max_ms: Of the lag.
        off_ms: p99 of how far a gap was from the scheduled one.
        distance, distance_apart: Kolmogorov–Smirnov, of gaps and of gaps over ten sends; NaN of constant ones.
        p_apart: Probability of a larger one over ten sends by chance.
    """

    requests: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    off_ms: float
    distance: float
    distance_apart: float
    p_apart: float


async def sent(
    address: str,
    *,
    client_name: ClientName,
    arrivals: Arrivals,
    rate: float,
    seconds: float,
    alarm: MakeAlarm,
    seed: int,
) -> Measured:
    """Send a schedule of so many seconds."""
    count, loop = round(rate * seconds), asyncio.get_running_loop()
    schedule = make_schedule(dataset_size=count, passes=1, rate=rate, arrivals=arrivals, seeds=derive_seeds(seed))
    row = bytes(BYTES)
    dataset = Dataset(MemoryRows([row] * count), np.zeros(count, np.int64), (), "UINT8", (1, BYTES))
    job = Job(
        "bench", "null", RequestFrame("null", "image", "UINT8", (1, BYTES)), dataset, schedule, DEADLINE_S, "cancel",
        None, frozenset(),
    )  # fmt: skip
    ended: list[Observation] = []
    async with open_client(client_name, address) as client:
        await warm_up(client, job, WARMUP)
        sender = Sender(
            client, job, start_s=loop.time() + LEAD_S, start_unix_s=time.time() + LEAD_S, on_start=lambda: None,
            on_end=ended.append, alarm=alarm,
        )  # fmt: skip
        complete = await sender.run()
    if not complete or len(ended) != count:
        raise SystemExit(f"{count} requests were due and {len(ended)} ended")
    lag_s = np.empty(count)
    lag_s[[one.sample for one in ended]] = [one.lag_s for one in ended]
    return measured(schedule.due_s, lag_s[schedule.sample], rate, arrivals)


def measured(due_s: np.ndarray, lag_s: np.ndarray, rate: float, arrivals: Arrivals) -> Measured:
    """What became of a schedule."""
    at_s = due_s + lag_s
    p50, p99, p999 = (1e3 * np.percentile(lag_s, (50, 99, 99.9), method="inverted_cdf")).tolist()
    shape = next(shape for kind, shape in KINDS.values() if kind == arrivals)
    single = apart = (np.nan, np.nan)
    if np.isfinite(shape):
        single = stats.kstest(np.diff(at_s), stats.gamma(shape, scale=1 / (rate * shape)).cdf)
        apart = stats.kstest(np.diff(at_s[::APART]), stats.gamma(APART * shape, scale=1 / (rate * shape)).cdf)
    return Measured(
        len(due_s), p50, p99, p999, 1e3 * float(lag_s.max()),
        1e3 * float(np.percentile(np.abs(np.diff(lag_s)), 99)), float(single[0]), float(apart[0]), float(apart[1]),
    )  # fmt: skip


Way = tuple[int, str, str, ClientName]
"""Rate, arrivals, timer, client."""

_OURS: ClientName = "http2"
_GRPC: ClientName = "grpc"
_EACH: list[tuple[str, str, ClientName]] = [
    *((name, TIMERFD, _OURS) for name in KINDS),
    ("poisson", LOOP, _OURS),
    ("poisson", TIMERFD, _GRPC),
]
WAYS: list[Way] = [(rate, *each) for rate in RATES for each in _EACH]


def run(rounds: int, seconds: float) -> dict[Way, list[Measured]]:
    """All ways in turns: by these, a list of rounds."""
    found: dict[Way, list[Measured]] = {}
    their_core, our_core = two_cores()
    with ExitStack() as stack:
        with on_core(their_core):
            address = stack.enter_context(null_target())
        stack.enter_context(on_core(our_core))
        stack.enter_context(undisturbed())  # as a run is
        for seed in range(rounds):
            for way in WAYS:
                rate, name, timer, client = way
                sending = sent(
                    address, client_name=client, arrivals=KINDS[name][0], rate=rate, seconds=seconds,
                    alarm=TIMERS[timer], seed=seed,
                )  # fmt: skip
                found.setdefault(way, []).append(run_on_loop(sending))
    return found


def middle(rounds: list[Measured], field: str) -> float:
    """Median over the rounds."""
    return float(statistics.median(getattr(one, field) for one in rounds))


def table(found: dict[Way, list[Measured]]) -> str:
    """A row for each way."""
    header = (
        "rate", "arrivals", "timer", "client", "lag p50, ms", "p99", "p99.9", "max", "gap off p99, ms", "KS",
        "KS over 10", "p",
    )  # fmt: skip
    rows = []
    for (rate, name, timer, client), rounds in found.items():
        spacing = ["", "", ""]
        if np.isfinite(KINDS[name][1]):
            spacing = [f"{middle(rounds, field):.3f}" for field in ("distance", "distance_apart", "p_apart")]
        times = (f"{middle(rounds, field):.3f}" for field in ("p50_ms", "p99_ms", "p999_ms", "max_ms", "off_ms"))
        rows.append((rate, name, timer, client, *times, *spacing))
    return markdown_table(header, rows)


def claims(found: dict[Way, list[Measured]]) -> list[Claim]:
    """What the project says of itself."""
    made = []
    for rate in RATES:
        ours, plain = found[rate, "poisson", TIMERFD, _OURS], found[rate, "poisson", LOOP, _OURS]
        ratio = statistics.median(one.p99_ms / other.p99_ms for one, other in zip(ours, plain, strict=True))
        made.append(Claim(f"{rate}/s of 1 KB: p99 of the lag, ms", middle(ours, "p99_ms"), ALLOWED_MS))
        made.append(Claim(f"{rate}/s: p99 of the lag, times that with the loop's timer", ratio, ALLOWED_RATIO))
        for name, (_, shape) in KINDS.items():
            if np.isfinite(shape):
                p = middle(found[rate, name, TIMERFD, _OURS], "p_apart")
                made.append(Claim(f"{rate}/s, {name}: p of the spacing over ten sends", p, LEAST_P, at_least=True))
    return made


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    quick: bool = parser.parse_args().quick
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    found = run(rounds, seconds)
    print(f"on {loop_name()}; medians of {rounds} rounds of {seconds:g} s\n")
    print(table(found))
    details = [
        {
            "rate": rate,
            "arrivals": name,
            "timer": timer,
            "client": client,
            "rounds": [_plain(one) for one in measured_rounds],
        }
        for (rate, name, timer, client), measured_rounds in found.items()
    ]
    return finish("sends", claims(found), quick=quick, machine=machine("grpcio", "uvloop"), measured=details)


def _plain(one: Measured) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in asdict(one).items()}


if __name__ == "__main__":
    sys.exit(main())
