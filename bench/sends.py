"""Whether requests leave when they are due: `python bench/sends.py [--quick]`.

The sender of `tailgate load` sends 1 KB at 500/s and at 1,500/s to a target that does nothing, on another core. *Lag*
is how much later than scheduled gRPC was handed the request. The kernel's timer (timerfd) and the event loop's own take
turns, on the same loop. Spacing is held against the distribution that was asked for with a Kolmogorov–Smirnov test of
the recorded times of sending, each round from a seed of its own: over single gaps, of which those shorter than a send
itself takes cannot come true, and over ten sends, where that no longer shows (the sum of ten gamma gaps is a gamma,
too). It needs an otherwise quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
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
from tailgate_loadgen.datasets.dataset import Dataset, MemoryRows
from tailgate_loadgen.event_loop import loop_name, run_on_loop
from tailgate_loadgen.schedule import make_schedule
from tailgate_loadgen.seeds import derive_seeds
from tailgate_loadgen.sender import Job, Sender, infer_stub
from tailgate_loadgen.target import open_channel
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
    address: str, *, arrivals: Arrivals, rate: float, seconds: float, alarm: MakeAlarm, seed: int
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
    async with open_channel(address) as channel:
        stub = infer_stub(channel)
        await warm_up(stub, job, WARMUP)
        sender = Sender(
            stub, job, start_s=loop.time() + LEAD_S, start_unix_s=time.time() + LEAD_S, on_start=lambda: None,
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


def run(rounds: int, seconds: float) -> dict[tuple[int, str, str], list[Measured]]:
    """All rates, kinds and timers, in turns: by these, a list of rounds."""
    found: dict[tuple[int, str, str], list[Measured]] = {}
    their_core, our_core = two_cores()
    ways = [
        (rate, name, timer)
        for rate in RATES
        for name in KINDS
        for timer in TIMERS
        if timer == TIMERFD or name == "poisson"
    ]
    with ExitStack() as stack:
        with on_core(their_core):
            address = stack.enter_context(null_target())
        stack.enter_context(on_core(our_core))
        gc.collect()
        gc.freeze()  # as a run does
        for seed in range(rounds):
            for rate, name, timer in ways:
                sending = sent(
                    address, arrivals=KINDS[name][0], rate=rate, seconds=seconds, alarm=TIMERS[timer], seed=seed
                )
                found.setdefault((rate, name, timer), []).append(run_on_loop(sending))
    return found


def middle(rounds: list[Measured], field: str) -> float:
    """Median over the rounds."""
    return float(statistics.median(getattr(one, field) for one in rounds))


def table(found: dict[tuple[int, str, str], list[Measured]]) -> str:
    """A row for each rate, kind and timer."""
    header = (
        "rate", "arrivals", "timer", "lag p50, ms", "p99", "p99.9", "max", "gap off p99, ms", "KS", "KS over 10", "p",
    )  # fmt: skip
    rows = []
    for (rate, name, timer), rounds in found.items():
        spacing = ["", "", ""]
        if np.isfinite(KINDS[name][1]):
            spacing = [f"{middle(rounds, field):.3f}" for field in ("distance", "distance_apart", "p_apart")]
        times = (f"{middle(rounds, field):.3f}" for field in ("p50_ms", "p99_ms", "p999_ms", "max_ms", "off_ms"))
        rows.append((rate, name, timer, *times, *spacing))
    return markdown_table(header, rows)


def claims(found: dict[tuple[int, str, str], list[Measured]]) -> list[Claim]:
    """What the project says of itself."""
    made = []
    for rate in RATES:
        ours, plain = found[rate, "poisson", TIMERFD], found[rate, "poisson", LOOP]
        ratio = statistics.median(one.p99_ms / other.p99_ms for one, other in zip(ours, plain, strict=True))
        made.append(Claim(f"{rate}/s of 1 KB: p99 of the lag, ms", middle(ours, "p99_ms"), ALLOWED_MS))
        made.append(Claim(f"{rate}/s: p99 of the lag, times that with the loop's timer", ratio, ALLOWED_RATIO))
        for name, (_, shape) in KINDS.items():
            if np.isfinite(shape):
                p = middle(found[rate, name, TIMERFD], "p_apart")
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
        {"rate": rate, "arrivals": name, "timer": timer, "rounds": [_plain(one) for one in measured_rounds]}
        for (rate, name, timer), measured_rounds in found.items()
    ]
    return finish("sends", claims(found), quick=quick, machine=machine("grpcio", "uvloop"), measured=details)


def _plain(one: Measured) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in asdict(one).items()}


if __name__ == "__main__":
    sys.exit(main())
