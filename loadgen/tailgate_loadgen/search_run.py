"""`tailgate load search`: a run for every rate that the search wants tried."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tailgate.cli import EXIT_MISSED, EXIT_OK, EXIT_UNUSABLE
from tailgate.errors import TraceError
from tailgate.units import format_duration
from tailgate_loadgen.material import Material, prepare, schedule_of
from tailgate_loadgen.options import Options
from tailgate_loadgen.outputs import write_json
from tailgate_loadgen.run import perform
from tailgate_loadgen.screen import Screen
from tailgate_loadgen.search import Found, RateSearch, SearchOptions, Trial, Verdict
from tailgate_loadgen.seeds import derive_seeds
from tailgate_loadgen.tally import Tally

SEARCH_NAME = "search.json"
PROBES_NAME = "probes"


def execute_search(options: Options, wanted: SearchOptions) -> int:
    """Search, keep the trace of every probe, say what was found; returns the exit status.

    Raises:
        UsageError: There is nothing to send, nobody to send it to, or nowhere to write.
    """
    if (options.trace / PROBES_NAME).exists():
        raise TraceError(
            f"{options.trace / PROBES_NAME} exists; traces are never overwritten, so choose another folder"
        )
    search = RateSearch(wanted.start, wanted.precision, wanted.max_rate)
    probes: list[dict[str, Any]] = []
    with Screen(quiet=options.quiet) as screen:
        material, schedule = prepare(options, screen)
        samples = schedule.total // options.passes
        while trial := search.next():
            probe = _try(_probe_options(options, wanted, trial, len(probes), samples), material, screen, wanted)
            probes.append({"seed": trial.seed, **probe})
            screen.note(
                f"{trial.rate:g}/s, seed {trial.seed + 1}: {probe['quality']:.2%} right within "
                f"{format_duration(options.deadline_s)}{' or less' if probe['stopped'] else ''}, "
                f"{'interrupted' if probe['verdict'] is None else probe['verdict']}"
            )
            if probe["verdict"] is None:
                break
            search.record(Verdict(probe["verdict"]))
    interrupted = bool(probes) and probes[-1]["verdict"] is None
    found = search.found()
    content = {
        "schema_version": 1,
        "rate": found.rate,
        "limit": None if found.limit is None else found.limit.value,
        "interrupted": interrupted,
        "target_quality": wanted.target_quality,
        "deadline_s": options.deadline_s,
        "precision": wanted.precision,
        "probes": probes,
    }
    write_json(options.trace / SEARCH_NAME, content)
    return _exit_status(found, wanted, interrupted=interrupted)


@dataclass
class _Hopeless:
    """Whether a run cannot reach the quality any more, whatever comes.

    Attributes:
        target_quality: The quality.
        seen: Whether it was so.
    """

    target_quality: float
    seen: bool = False

    def __call__(self, tally: Tally) -> bool:
        at_best = tally.right_in_time + tally.total - tally.ended
        self.seen = self.seen or at_best / tally.total < self.target_quality
        return self.seen


def _try(options: Options, material: Material, screen: Screen, wanted: SearchOptions) -> dict[str, Any]:
    hopeless = _Hopeless(wanted.target_quality)
    schedule = schedule_of(options, len(material.dataset))
    summary = perform(options, material, schedule, screen, hopeless=hopeless)
    # A run that was stopped for want of hope is interrupted, and says so first; that is no fault of the generator's.
    faults = summary["invalid_because"][1:] if hopeless.seen and summary["interrupted"] else summary["invalid_because"]
    quality = summary["time_critical_accuracy"] or 0.0
    if summary["interrupted"] and not hopeless.seen:
        verdict = None
    elif faults:
        verdict = Verdict.INVALID
    else:
        held = not hopeless.seen and quality >= wanted.target_quality
        verdict = Verdict.HELD if held else Verdict.MISSED
    return {
        "rate": options.rate,
        "folder": options.trace.name,
        "passes": options.passes,
        "requests": summary["arrivals"],
        "stopped": hopeless.seen,
        "quality": quality,
        "lag_s": summary["lag_s"],
        "verdict": None if verdict is None else verdict.value,
        "invalid_because": faults,
    }


def _probe_options(options: Options, wanted: SearchOptions, trial: Trial, number: int, samples: int) -> Options:
    """Those of one probe. The second seed gives another order and other instants, but asks for the same samples."""
    others = derive_seeds(options.seed + 1)
    seeds = options.seeds | {name: others[name] for name in ("order", "arrivals")} if trial.seed else options.seeds
    return replace(
        options,
        rate=trial.rate,
        seeds=seeds,
        passes=wanted.passes(samples, trial.rate, options.passes),
        trace=_folder(options.trace, trial, number),
    )


def _folder(trace: Path, trial: Trial, number: int) -> Path:
    return trace / PROBES_NAME / f"{number + 1:02}-{trial.rate:g}-seed-{trial.seed + 1}"


def _exit_status(found: Found, wanted: SearchOptions, *, interrupted: bool) -> int:
    if interrupted:
        sys.stderr.write("tailgate load search: interrupted\n")
        return EXIT_UNUSABLE
    if found.rate is None and found.limit is Verdict.INVALID:
        sys.stderr.write("tailgate load search: the generator itself could not keep any rate that was tried\n")
        return EXIT_UNUSABLE
    if found.rate is None:
        sys.stderr.write(f"tailgate load search: quality {wanted.target_quality:g} held at no rate with both seeds\n")
        return EXIT_MISSED
    why = {
        Verdict.MISSED: f"above it, quality falls under {wanted.target_quality:g}",
        Verdict.INVALID: "above it, the generator itself is too late; the target may bear more",
        None: "no higher one was to be tried",
    }[found.limit]
    sys.stdout.write(f"{found.rate:g} requests a second: {why}\n")
    return EXIT_OK
