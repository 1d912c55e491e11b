"""`tailgate load search`: a run for every rate that the search wants tried."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tailgate.cli import EXIT_MISSED, EXIT_OK, EXIT_UNUSABLE
from tailgate.errors import ConfigError, TraceError
from tailgate.units import format_duration
from tailgate_loadgen.calibration import processors
from tailgate_loadgen.capacity import SHARE, Calibration
from tailgate_loadgen.material import Material, prepare, schedule_of
from tailgate_loadgen.options import Options
from tailgate_loadgen.outputs import write_json
from tailgate_loadgen.run import perform
from tailgate_loadgen.screen import Screen
from tailgate_loadgen.search import LOWEST_SHARE, Found, RateSearch, SearchOptions, Trial, Verdict, highest_bearable
from tailgate_loadgen.seeds import derive_seeds
from tailgate_loadgen.strain import known_of, request_bytes, say_age, with_processes
from tailgate_loadgen.tally import Tally

SEARCH_NAME = "search.json"
PROBES_NAME = "probes"
CALIBRATION = "calibration"
"""What ended a search that was not to ask more of this machine than it can send."""


def execute_search(options: Options, wanted: SearchOptions) -> int:
    """Search, keep the trace of every probe, say what was found; returns the exit status.

    Raises:
        UsageError: There is nothing to send, nobody to send it to, or nowhere to write.
    """
    if (options.trace / PROBES_NAME).exists():
        raise TraceError(
            f"{options.trace / PROBES_NAME} exists; traces are never overwritten, so choose another folder"
        )
    probes: list[dict[str, Any]] = []
    with Screen(quiet=options.quiet) as screen:
        material, schedule = prepare(options, screen)
        samples = schedule.total // options.passes
        generator = _Generator(options, wanted, material, samples, known_of(options))
        highest = generator.highest_rate()
        if isinstance(generator.known, str):
            screen.note(f"not calibrated: {generator.known}")
        say_age(generator.known, screen)
        search = RateSearch(wanted.start, wanted.precision, highest)
        while trial := search.next():
            probe = _try(generator.options_of(trial, len(probes)), material, screen, wanted)
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
    by_calibration = found.limit is None and found.rate is not None and highest < wanted.max_rate
    limit = CALIBRATION if by_calibration else found.limit and found.limit.value
    content = {
        "schema_version": 1,
        "rate": found.rate,
        "limit": limit,
        "highest_rate": highest,
        "interrupted": interrupted,
        "target_quality": wanted.target_quality,
        "deadline_s": options.deadline_s,
        "precision": wanted.precision,
        "probes": probes,
    }
    write_json(options.trace / SEARCH_NAME, content)
    return _exit_status(found, wanted, limit, interrupted=interrupted)


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


@dataclass(frozen=True)
class _Generator:
    """What the probes of a search are, and which of them this machine can send.

    Attributes:
        options: Of the search.
        wanted: What is searched for.
        material: What is sent.
        samples: In each pass.
        known: What this machine was calibrated to send, or why that is not known.
    """

    options: Options
    wanted: SearchOptions
    material: Material
    samples: int
    known: Calibration | str

    def options_of(self, trial: Trial, number: int) -> Options:
        """Those of one probe. The second seed gives another order and other instants, but asks for the same samples.

        Raises:
            ConfigError: It would be too much for this machine.
        """
        others = derive_seeds(self.options.seed + 1)
        seeds = dict(self.options.seeds)
        if trial.seed:
            seeds |= {name: others[name] for name in ("order", "arrivals")}
        probe = replace(
            self.options,
            rate=trial.rate,
            seeds=seeds,
            passes=self.wanted.passes(self.samples, trial.rate, self.options.passes),
            trace=_folder(self.options.trace, trial, number),
        )
        return with_processes(probe, self.material, schedule_of(probe, len(self.material.dataset)), self.known)

    def highest_rate(self) -> float:
        """What a probe may ask for at most, with either seed.

        Raises:
            ConfigError: Not even the lowest rate that might be tried is bearable, or that cannot be known.
        """
        lowest, highest, procs = self.wanted.start * LOWEST_SHARE, self.wanted.max_rate, self.options.sharing.procs
        self.options_of(Trial(lowest, 0), 0)
        if isinstance(self.known, str):
            return highest
        schedule = schedule_of(self.options, len(self.material.dataset))
        capacity = self.known.capacity(request_bytes(self.material, schedule))
        return highest_bearable(self._bears, lowest, min(highest, SHARE * capacity * (procs or processors())))

    def _bears(self, rate: float) -> bool:
        try:
            for seed in (0, 1):
                self.options_of(Trial(rate, seed), 0)
        except ConfigError:
            return False
        return True


def _folder(trace: Path, trial: Trial, number: int) -> Path:
    return trace / PROBES_NAME / f"{number + 1:02}-{trial.rate:g}-seed-{trial.seed + 1}"


def _exit_status(found: Found, wanted: SearchOptions, limit: str | None, *, interrupted: bool) -> int:
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
        Verdict.MISSED.value: f"above it, quality falls under {wanted.target_quality:g}",
        Verdict.INVALID.value: "above it, the generator itself is too late; the target may bear more",
        CALIBRATION: "above it, this generator could be too late itself by its calibration; the target may bear more",
        None: "no higher one was to be tried",
    }[limit]
    sys.stdout.write(f"{found.rate:g} requests a second: {why}\n")
    return EXIT_OK
