"""What a busy operator needs of one system, in one sentence, and how far it can be believed. Pure."""

from __future__ import annotations

import math

from tailgate.prediction.predict import Doubt
from tailgate.prediction.words import DOUBTS
from tailgate.report.labelled import Quality
from tailgate.report.missing import Missing
from tailgate.report.numbers.foretold import RARE, Foretold
from tailgate.report.system import System
from tailgate.units import format_duration


def headline(system: System) -> tuple[str, ...]:
    """The sentence, then one for each thing that limits it.

    A run that was not valid gets no figure at all.
    """
    analysis, quality = system.analysis, system.analysis.quality
    run = analysis.source.run
    if run is not None and not run.valid:
        return ("This run was not valid, so nothing is said of this system.",)
    if quality is None:
        p99 = analysis.latency_s[99.0]
        told = f"99 % of them within {format_duration(p99)}" if math.isfinite(p99) else "fewer than 99 % of them at all"
        return (f"Nothing is labelled, so how many requests this system answers right is unknown; it answers {told}.",)
    right = _percent(quality.decomposition.on_time_right)
    if analysis.source.vantage == "proxy":
        return (
            f"This system answers {right} of requests right and within their own deadlines; a proxy's trace has no "
            "passes, so its worst one is unknown.",
        )
    at = format_duration(analysis.deadline_s)
    return _over_passes(f"At {at} this system answers {right} of requests right and in time", quality, system.foretold)


def _over_passes(said: str, quality: Quality, foretold: Foretold | Missing) -> tuple[str, ...]:
    worst = quality.worst_pass
    if worst is None:
        return (f"{said}; it made no complete pass, so nothing is known of how passes differ.",)
    if len(quality.passes) == 1:
        return (f"{said}, in the only pass that was made: nothing is known of how passes differ.",)
    said = f"{said}; its worst pass {_percent(worst.quality)}"
    if isinstance(foretold, Missing):
        return (f"{said}. {foretold.why}",)
    rare = foretold.rare
    if Doubt.NOTHING_LOST in foretold.doubts:
        return (
            f"{said}; nothing was late, so how bad a pass is that comes once in {RARE} cannot be foretold.",
            f"There are {len(foretold.observed)} passes of {foretold.samples:,} responses.",
        )
    return (
        f"{said}; expect a pass under {_percent(rare.value)} once in {RARE}.",
        f"The last figure is foretold from {len(foretold.observed)} passes of {foretold.samples:,} responses; it lies "
        f"between {_percent(rare.lower)} and {_percent(rare.upper)} with 90 %.",
        *(DOUBTS[doubt] for doubt in foretold.doubts),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
