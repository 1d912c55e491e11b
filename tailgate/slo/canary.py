"""The recording rules that hold a canary against stable, slice by slice and window by window.

Both are compared within each window, and only then are the windows of an hour added up (Mantel and Haenszel, 1959).
Were their hours compared as a whole, a canary that came shortly before a bad time would look worse than stable, most of
whose hour was good, though in each minute both fared alike.

The window slides along scrape by scrape, so that what is sure is said soon. Every request is then in as many windows
as a window holds scrapes, and sums over an hour count it that many times. (Steps from scrape to scrape that share no
request would do without, but one scrape that fails would lose two of them.)
"""

from __future__ import annotations

from tailgate.slo.promql import IN_TIME, LABELLED, REQUESTS, RIGHT_IN_TIME, SERIES, Count, ratio
from tailgate.slo.rules import Recording
from tailgate.slo.spans import Span, Spans, promql


def canary(spans: Spans) -> tuple[Recording, ...]:
    """The rules; the last of each comparison is its z."""
    window, span = spans.window, spans.hour
    level = "model_slice_role"
    pairs = (("tca", RIGHT_IN_TIME, LABELLED), ("in_time", IN_TIME, REQUESTS))
    return (
        *(
            Recording(
                f"{level}:tailgate_{count.name}:rate{one.name}",
                f"sum by (model, slice, role) (\n"
                f"  {count.rate(SERIES, one)}\n"
                "  * on (model, version) group_left (role)\n"
                "  topk by (model, version) (1, max by (model, version, role) (tailgate_model_info))\n"
                ")",
                "While replicas disagree about a version's role, one of the roles is taken."
                if (one, count) == (window, REQUESTS)
                else "",
            )
            for one in (window, span)
            for count in (REQUESTS, IN_TIME, LABELLED, RIGHT_IN_TIME)
        ),
        *(rule for name, part, whole in pairs for rule in _difference(level, name, part, whole, window, span)),
    )


def _difference(  # noqa: PLR0917  # its one caller goes through a table
    level: str, name: str, part: Count, whole: Count, window: Span, span: Span
) -> tuple[Recording, ...]:
    good, all_ = (f"{level}:tailgate_{count.name}:rate{window.name}" for count in (part, whole))
    pooled = f"model_slice:tailgate_pooled_{name}:ratio_rate{window.name}"
    z = "canary_z" if name == "tca" else f"canary_{name}_z"
    excess, variance = (f"model_slice:tailgate_{z}_{what}:{window.name}" for what in ("excess", "variance"))
    scatter = f"model_slice:tailgate_{z}_variance:{span.name}"
    # Half a step less, so that an hour holds as many windows whether or not a range holds both its edges.
    windows = promql(span.seconds - window.scrape_s / 2)
    times = window.seconds / window.scrape_s
    both = f"sum by (model, slice) ({all_})"
    return (
        Recording(
            f"{level}:tailgate_{name}:ratio_rate{span.name}",
            ratio(*(f"{level}:tailgate_{count.name}:rate{span.name}" for count in (part, whole))),
        ),
        Recording(pooled, f"sum by (model, slice) ({good}) / ({both} > 0)"),
        Recording(
            excess,
            f'({good}{{role="canary"}} - ignoring (role) {all_}{{role="canary"}} * ignoring (role) {pooled})\n'
            f"* {window.seconds:g}",
            "How many more the canary has of a window than its part, and how far that scatters by chance. Window by\n"
            "window: else a canary that came shortly before a bad time would be held against stable's good times.",
        ),
        Recording(
            variance,
            f'{all_}{{role="canary"}} * ignoring (role) {all_}{{role="stable"}} * ignoring (role) (\n'
            f"  {pooled} * (1 - {pooled})\n"
            f"  / clamp_min({both} * {window.seconds:g} - 1, 1)\n"
            f") * {window.seconds:g}^2",
        ),
        Recording(
            scatter,
            f"sum_over_time({variance}[{windows}]) / {times:g}",
            f"Of the hour: each request is in {times:g} windows.",
        ),
        Recording(
            f"model_slice:tailgate_{z}:{span.name}",
            f"sum_over_time({excess}[{windows}]) / {times:g} / sqrt({scatter} > 0)",
            "Standard deviations by which the canary differs from stable (Mantel-Haenszel); below 0 it is worse.",
        ),
    )
