"""The detector of regressions, its false alarms and its delay: `python bench/detector.py [--quick]`.

Simulated labelled responses at a stated rate, of known quality. First without a regression, exactly at the baseline
(the worst that still is none): the time between false alarms against the configured bound, where responses are
independent and where lateness comes in bursts, fed response by response and in blocks of time. Then with a drop of 1, 3
and 10 points: responses until the alarm, beside burn-rate alerts on the same responses. Quality before the drop is the
objective itself; both are looked at after every block.

What the bound rests on: that a block's mean, given all before it, is at least the baseline. Independent responses have
that in any block. Bursts have it only nearly, in blocks many times as long; the table shows how long is enough.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench._common import Claim, finish, machine, markdown_table
from bench._detector_streams import Burn, Cusum, Stream, episodes, first, run_length
from tailgate.detector import Detector

RATE, BLOCK_S, DAY_S = 100.0, 30.0, 86_400.0
RESPONSES = round(RATE * BLOCK_S)
OBJECTIVE = 0.9
HORIZON = 4  # bounds, after which a run without an alarm is ended: no figure can be more than this many bounds
SEED = 20_231_222

INDEPENDENT, BURSTS, LONG = Stream(RATE), Stream(RATE, burst_s=2.0), Stream(RATE, burst_s=20.0)
FED: Sequence[tuple[Stream, float, float]] = (  # the length of a block, or one response; quality above the baseline
    (INDEPENDENT, 1 / RATE, 0.0),
    (INDEPENDENT, BLOCK_S, 0.0),
    (BURSTS, 1 / RATE, 0.0),
    (BURSTS, 1.0, 0.0),
    (BURSTS, 6.0, 0.0),
    (BURSTS, 20.0, 0.0),
    (BURSTS, BLOCK_S, 0.0),
    (LONG, BLOCK_S, 0.0),
    (LONG, BLOCK_S, 0.02),
    (LONG, 60.0, 0.0),
    (LONG, 200.0, 0.0),
)
DROPS = (0.01, 0.03, 0.10)
# The workbook's factors for high objectives; at 0.90 nothing can burn at more than 10 times what is allowed.
BURNS = {
    0.90: (Burn(3, 3600, 300), Burn(1.5, 6 * 3600, 1800)),
    0.99: (Burn(14.4, 3600, 300), Burn(6, 6 * 3600, 1800), Burn(3, DAY_S, 7200), Burn(1, 3 * DAY_S, 6 * 3600)),
}
BEFORE_DAYS, HEALTHY_DAYS, AFTER_DAYS = 3, 3, 3


@dataclass(frozen=True)
class Quiet:
    """Runs of one stream without a regression.

    Attributes:
        stream: In words.
        block_s: That is fed as one score; 0.01 is a response.
        above: Quality above the baseline.
        bound_days: Configured: at least so long between false alarms, on average.
        at_least: Responses between false alarms, in bounds; runs without one count only to their end.
        alarms: Runs that ended with one.
        runs: How many.
    """

    stream: str
    block_s: float
    above: float
    bound_days: float
    at_least: float
    alarms: int
    runs: int


def quiet(stream: Stream, block_s: float, above: float, *, bound_days: float, runs: int, seed: int) -> Quiet:
    """Run until the first false alarm, again and again."""
    bound = round(bound_days * DAY_S / block_s)
    lengths, alarms = [], 0
    for run in range(runs):
        generator = np.random.default_rng((seed, run))
        chunks = stream.scores(generator, OBJECTIVE + above, block_s, HORIZON * bound)
        length, alarmed = run_length(chunks, Cusum(OBJECTIVE, bound))
        lengths.append(length)
        alarms += alarmed
    return Quiet(stream.name, block_s, above, bound_days, statistics.fmean(lengths) / bound, alarms, runs)


@dataclass(frozen=True)
class Found:
    """How soon a drop was found, over several runs; in labelled responses, infinite where it was not.

    Attributes:
        stream: In words.
        objective: And baseline.
        drop: In shares.
        detector: Median.
        detector_p90: 90th percentile.
        burn: Median of the first burn-rate alert, of those with a factor above 1.
        burn_1: Median of the alert with factor 1, if there is one.
        detector_false: False alarms of the detector, in all runs' days without a regression.
        burn_false: Episodes of burn-rate alerts with a factor above 1 in the same days.
        burn_1_false: Of the one with factor 1.
    """

    stream: str
    objective: float
    drop: float
    detector: float
    detector_p90: float
    burn: float
    burn_1: float | None
    detector_false: int
    burn_false: int
    burn_1_false: int | None


def find(stream: Stream, objective: float, drop: float, runs: int, seed: int) -> Found:
    """Let quality drop, and see who finds it when."""
    warm, healthy, after = (round(days * DAY_S / BLOCK_S) for days in (BEFORE_DAYS, HEALTHY_DAYS, AFTER_DAYS))
    change = warm + healthy
    bound = round(30 * DAY_S / BLOCK_S)
    delays: dict[str, list[float]] = {"detector": [], "burn": [], "burn_1": []}
    false = dict.fromkeys(delays, 0)
    for run in range(runs):
        generator = np.random.default_rng((seed, run))
        parts = [*stream.scores(generator, objective, BLOCK_S, change)]
        parts += stream.scores(generator, objective - drop, BLOCK_S, after)
        scores = np.concatenate(parts)
        detector = Cusum(objective, bound)
        false["detector"] += sum(at > warm for at in detector.alarms(scores[:change]))
        at = detector.first_alarm(scores[change:])
        delays["detector"].append(RESPONSES * at if at else np.inf)
        for kind, chosen in (("burn", lambda burn: burn.factor > 1), ("burn_1", lambda burn: burn.factor == 1)):
            fires = np.zeros(len(scores), np.bool_)
            for burn in filter(chosen, BURNS[objective]):
                fires |= burn.fires(scores, objective, BLOCK_S)
            false[kind] += episodes(fires[warm:change])
            at = first(fires[change:])
            delays[kind].append(RESPONSES * at if at else np.inf)
    has_1 = any(burn.factor == 1 for burn in BURNS[objective])
    return Found(
        stream.name,
        objective,
        drop,
        _quantile(delays["detector"], 0.5),
        _quantile(delays["detector"], 0.9),
        _quantile(delays["burn"], 0.5),
        _quantile(delays["burn_1"], 0.5) if has_1 else None,
        false["detector"],
        false["burn"],
        false["burn_1"] if has_1 else None,
    )


def one_by_one(drop: float, runs: int, seed: int) -> float:
    """Median responses until the alarm where independent responses are fed one by one, at the same mean time between
    false alarms. What blocks cost.
    """
    bound = round(30 * DAY_S * RATE)
    found = []
    for run in range(runs):
        chunks = INDEPENDENT.scores(np.random.default_rng((seed, run)), OBJECTIVE - drop, 1 / RATE, 3_000_000)
        length, alarmed = run_length(chunks, Cusum(OBJECTIVE, bound))
        found.append(float(length) if alarmed else np.inf)
    return _quantile(found, 0.5)


def same_as_the_detector(seed: int) -> bool:
    """Whether arrays and `tailgate.detector` alarm after the same scores."""
    generator = np.random.default_rng(seed)
    scores = generator.binomial(20, 0.88, 20_000) / 20
    detector = Detector(OBJECTIVE, 1000.0)
    theirs = [place + 1 for place, score in enumerate(scores.tolist()) if detector.update(score) is not None]
    return len(theirs) > 10 and Cusum(OBJECTIVE, 1000.0).alarms(scores) == theirs


def main() -> int:
    """Simulate, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a bound of an hour instead of 30 days, fewer runs")
    quick: bool = parser.parse_args().quick
    bound_days, quiet_runs, found_runs = (1 / 24, 8, 4) if quick else (30.0, 24, 40)

    # A response at a time, 30 days are more numbers than there is time for; bounds of an hour show as much.
    short_days = 1 / 24
    rows = [
        quiet(
            stream,
            block_s,
            above,
            bound_days=short_days if block_s < 1 else bound_days,
            runs=quiet_runs,
            seed=SEED + place,
        )
        for place, (stream, block_s, above) in enumerate(FED)
    ]
    print(f"Baseline {OBJECTIVE}, {RATE:g} labelled responses a second; no regression\n")
    print(markdown_table(
        ("stream", "quality", "fed", "bound, days", "between false alarms, in bounds: at least", "alarms", "of runs"),
        [
            (row.stream, OBJECTIVE + row.above, _fed(row.block_s), row.bound_days, row.at_least, row.alarms, row.runs)
            for row in rows
        ],
    ))  # fmt: skip

    conditions = [(INDEPENDENT, 0.90), (BURSTS, 0.90), (INDEPENDENT, 0.99)]
    found = [
        find(stream, objective, drop, found_runs, SEED + 100 * place)
        for place, (stream, objective) in enumerate(conditions)
        for drop in DROPS
    ]
    alone = {drop: one_by_one(drop, found_runs, SEED + 1000) for drop in DROPS}
    print(f"\nBlocks of {BLOCK_S:g} s, a bound of 30 days; labelled responses from the drop to the alarm, medians\n")
    print(markdown_table(
        ("stream", "objective", "drop, points", "detector", "its p90", "burn rate", "burn rate 1×", "ratio"),
        [
            (row.stream, row.objective, row.drop * 100, _shown(row.detector), _shown(row.detector_p90),
             _shown(row.burn), _shown(row.burn_1), f"{row.detector / row.burn:.2g}")
            for row in found
        ],
    ))  # fmt: skip
    days = len(found) * found_runs * HEALTHY_DAYS
    print(
        f"\nRatio: detector to burn rates above 1×. In {days} days without a regression: "
        f"{sum(row.detector_false for row in found)} false alarms of the detector, "
        f"{sum(row.burn_false for row in found)} of burn rates above 1×, "
        f"{sum(row.burn_1_false or 0 for row in found)} of 1×, which a stream just at its objective sets off by "
        "chance: where it seems quick, it was on already"
    )
    print("Independent responses fed one by one, at 0.9: " + ", ".join(
        f"{drop * 100:g} points after {_shown(responses)}" for drop, responses in alone.items()
    ))  # fmt: skip

    in_blocks = {row.stream: row.at_least for row in rows if row.block_s == BLOCK_S and not row.above}
    by_drop = {(row.stream, row.objective, row.drop): row for row in found}
    ten, one = by_drop[BURSTS.name, 0.90, 0.10], by_drop[BURSTS.name, 0.90, 0.01]
    unit = f"labelled responses between false alarms, in bounds of {bound_days:.3g} days"
    claims = [
        Claim(f"{unit}: independent, in blocks of {BLOCK_S:g} s", in_blocks[INDEPENDENT.name], 1.0, at_least=True),
        Claim(f"{unit}: independent, one by one", rows[0].at_least, 1.0, at_least=True),
        Claim(f"{unit}: {BURSTS.name}, in blocks of {BLOCK_S:g} s", in_blocks[BURSTS.name], 1.0, at_least=True),
        Claim("10 points, in bursts: detector's share of the burn rate's delay", ten.detector / ten.burn, 0.1),
        Claim("1 point, in bursts: hours until 9 of 10 are found", one.detector_p90 / RATE / 3600, 12.0),
        Claim(
            "arrays and tailgate.detector alarm alike (1: yes)", float(same_as_the_detector(SEED)), 1.0, at_least=True
        ),
    ]
    details: dict[str, Any] = {
        "machine": machine("numpy"),
        "seed": SEED,
        "responses_per_s": RATE,
        "block_s": BLOCK_S,
        "between_false_alarms": [_plain(row) for row in rows],
        "found": [_plain(row) for row in found],
        "one_by_one": {str(drop): _finite(responses) for drop, responses in alone.items()},
    }
    return finish("detector", claims, quick=quick, **details)


def _quantile(values: list[float], quantile: float) -> float:
    return float(np.quantile(values, quantile, method="inverted_cdf"))


def _fed(block_s: float) -> str:
    return f"blocks of {block_s:g} s" if block_s >= 1 else "one by one"


def _shown(responses: float | None) -> str:
    if responses is None:
        return "–"
    if np.isinf(responses):
        return f"not in {AFTER_DAYS} days"
    return f"{responses:,.0f}"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and np.isinf(value) else value


def _plain(row: Quiet | Found) -> dict[str, Any]:
    return {name: _finite(value) for name, value in vars(row).items()}


if __name__ == "__main__":
    sys.exit(main())
