"""What a reader must know before believing a system's numbers, in sentences. Pure: an analysis in, text out."""

from __future__ import annotations

from tailgate.report.analysis import Analysis


def warnings_of(analysis: Analysis) -> tuple[str, ...]:
    """The warnings about one system, the gravest first; empty where there is nothing to warn of."""
    found: list[str] = []
    run, losses, planned = analysis.source.run, analysis.source.losses, analysis.planned_passes
    if run is not None and not run.valid:
        reasons = "; ".join(run.invalid_because) or "it does not say why"
        found.append(f"This load run was not valid, so no figure of it should be quoted: {reasons}.")
    complete = len(analysis.quality.passes) if analysis.quality else None
    if complete is not None and planned is not None and complete < planned:
        found.append(f"Only {complete:,} of the run's {planned:,} passes {'is' if complete == 1 else 'are'} complete.")
    if losses.damaged or losses.torn_bytes or losses.missing:
        found.append(
            f"This trace is not whole: {losses.missing:,} observations are missing, of which {losses.dropped:,} were "
            f"never written; {losses.damaged:,} records are damaged, and {losses.torn_bytes} bytes are of a record cut "
            "short. All numbers are about what is left."
        )
    if losses.unclosed:
        found.append(
            "This trace was not closed: its writer was killed, found the disk full, or is still at work. What came "
            "after the last observation in it is not counted as missing."
        )
    return tuple(found)
