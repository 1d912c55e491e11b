"""The recording rules: from counters to time-critical accuracy, its bounds, its worst windows and its budget.

Time-critical accuracy is the share of requests answered in time, times the accuracy of the answers in time. Where every
label is known at once that equals right-and-in-time over all; where labels are few or late it stays right, because late
labels are never divided by requests that came meanwhile.
"""

from __future__ import annotations

from tailgate.slo.canary import canary
from tailgate.slo.config import SloConfig
from tailgate.slo.promql import (
    ENDED,
    IN_TIME,
    IN_TIME_WEIGHT,
    LABELLED,
    PAGE_Z,
    REQUESTS,
    RIGHT_WEIGHT,
    SERIES,
    TICKET_Z,
    WEIGHT,
    WEIGHT_SQUARES,
    Count,
    least,
    ratio,
    wilson,
)
from tailgate.slo.rules import Group, Recording
from tailgate.slo.spans import Span, Spans, promql

COUNTS = (REQUESTS, IN_TIME, LABELLED, WEIGHT, WEIGHT_SQUARES, IN_TIME_WEIGHT, RIGHT_WEIGHT)
FAST_BURN, SLOW_BURN = 14.4, 6.0
"""Times the budget's even spending: the SRE workbook's, for objectives so high that spending can be that fast."""
FAST_SHARE, SLOW_SHARE = 0.75, 0.95
"""Shares of the objective that alarm at the latest: nothing spends faster than 1 / (1 - objective), 10 times at 0.9."""


def recording(config: SloConfig) -> tuple[Group, ...]:
    """All groups, each using what those before it record."""
    spans = Spans(config.window, config.scrape_interval)
    scrape = promql(config.scrape_interval)
    return (
        Group("tailgate-window", scrape, _window(spans), "The window, slid along scrape by scrape."),
        Group("tailgate-spans", spans.window.name, _spans(spans, config.period_days), "Longer stretches."),
        Group("tailgate-tail", spans.window.name, _tail(spans), "The worst of the windows."),
        Group(
            "tailgate-budget",
            spans.window.name,
            _budget(config.period_days),
            "What is left to spend, and how fast is too fast.",
        ),
        Group("tailgate-canary", scrape, canary(spans), "Canary against stable, slice by slice."),
    )


def _window(spans: Spans) -> tuple[Recording, ...]:
    span = spans.window
    return (
        Recording(
            "model:tailgate_objective:ratio",
            "max by (model) (tailgate_objective_ratio)",
            "Every replica exports what it was configured with; they should agree.",
        ),
        Recording("model:tailgate_window_floor:ratio", "max by (model) (tailgate_window_floor_ratio)"),
        *(
            Recording(
                f"model_version_slice:tailgate_{count.name}:rate{span.name}", count.rate(SERIES, span), count.note
            )
            for count in COUNTS
        ),
        *_shares("model_version_slice", span, noted=True),
        *(
            Recording(
                f"model:tailgate_{count.name}:rate{span.name}",
                f"sum by (model) (model_version_slice:tailgate_{count.name}:rate{span.name})",
            )
            for count in COUNTS
        ),
        *_shares("model", span),
        *_bounds(span, noted=True),
        *(_stretch(spans.stretch) if spans.stretch != span else ()),
        Recording(
            f"model:tailgate_tca_page_upper:ratio_rate{span.name}",
            _upper(span, PAGE_Z),
            f"As tailgate_tca_upper, with z = {PAGE_Z}: sure enough to wake somebody.",
        ),
        Recording(
            "model:tailgate_bad_window:bool",
            f"model:tailgate_tca_upper:ratio_rate{span.name} < bool model:tailgate_window_floor:ratio",
            "1 while the window is surely under its floor. A bare share under it may be chance; few requests, more so.",
        ),
        Recording(
            "model:tailgate_page_window:bool",
            f"model:tailgate_tca_page_upper:ratio_rate{span.name} < bool model:tailgate_window_floor:ratio",
        ),
    )


def _stretch(span: Span) -> tuple[Recording, ...]:
    upper = f"model:tailgate_tca_page_upper:ratio_rate{span.name}"
    return (
        *(Recording(f"model:tailgate_{count.name}:rate{span.name}", count.rate("model", span)) for count in COUNTS),
        *_shares("model", span),
        *_volumes(span),
        Recording(upper, _upper(span, PAGE_Z)),
        Recording(
            "model:tailgate_page_stretch:bool",
            f"{upper} < bool model:tailgate_window_floor:ratio",
            "The same of so short a stretch: after a bad window it shows soon that it goes on.",
        ),
    )


def _shares(level: str, span: Span, *, noted: bool = False) -> tuple[Recording, ...]:
    def rate(count: Count) -> str:
        return f"{level}:tailgate_{count.name}:rate{span.name}"

    in_time = f"{level}:tailgate_in_time:ratio_rate{span.name}"
    accuracy = f"{level}:tailgate_accuracy:ratio_rate{span.name}"
    tca = f"{level}:tailgate_tca:ratio_rate{span.name}"
    notes = {
        in_time: "Share of requests answered in time; needs no label.",
        accuracy: "Accuracy of the answers in time.",
        tca: "Time-critical accuracy. Where nothing was in time it is 0, whatever the accuracy would have been.",
    }
    expressions = {
        in_time: ratio(rate(IN_TIME), rate(REQUESTS)),
        accuracy: ratio(rate(RIGHT_WEIGHT), rate(IN_TIME_WEIGHT)),
        tca: f"{in_time} * {accuracy}\nor\n{in_time} == 0",
    }
    return tuple(Recording(name, expr, notes[name] if noted else "") for name, expr in expressions.items())


def _n(span: Span) -> str:
    """Of requests."""
    return f"model:tailgate_requests:count{span.name}"


def _worth(span: Span) -> str:
    """Of labels, as if all weighed the same."""
    return f"model:tailgate_labels_worth:count{span.name}"


def _upper(span: Span, z: float) -> str:
    return least(
        tca=wilson(f"model:tailgate_tca:ratio_rate{span.name}", _worth(span), z, "+"),
        in_time=wilson(f"model:tailgate_in_time:ratio_rate{span.name}", _n(span), z, "+"),
    )


def _volumes(span: Span, *, noted: bool = False) -> tuple[Recording, ...]:
    return (
        Recording(_n(span), f"model:tailgate_requests:rate{span.name} * {span.seconds:g} > 0"),
        Recording(
            _worth(span),
            f"model:tailgate_weight:rate{span.name}^2 / (model:tailgate_weight_squares:rate{span.name} > 0)\n"
            f"* {span.seconds:g}",
            "How many labels of equal weight the labels are worth (Kish): their number, or fewer if weights differ."
            if noted
            else "",
        ),
    )


def _bounds(span: Span, *, noted: bool = False) -> tuple[Recording, ...]:
    return (
        *_volumes(span, noted=noted),
        Recording(
            f"model:tailgate_tca_upper:ratio_rate{span.name}",
            _upper(span, TICKET_Z),
            f"Time-critical accuracy is surely at most this (Wilson, z = {TICKET_Z}). The share in time bounds it,\n"
            "too, over every request and without a label."
            if noted
            else "",
        ),
        Recording(
            f"model:tailgate_tca_lower:ratio_rate{span.name}",
            wilson(f"model:tailgate_tca:ratio_rate{span.name}", _worth(span), TICKET_Z, "-"),
            "And surely at least this." if noted else "",
        ),
    )


def _spans(spans: Spans, period_days: int) -> tuple[Recording, ...]:
    counted = (spans.five, spans.half_hour, spans.hour, spans.quarter_day)
    averaged = (spans.day, spans.three_days)
    period = f"{period_days}d"
    bounded = (spans.five, spans.hour, spans.quarter_day)
    return (
        *(
            rule
            for span in counted
            for rule in (
                *(Recording(f"model:tailgate_{c.name}:rate{span.name}", c.rate("model", span)) for c in COUNTS),
                *_shares("model", span),
                *(_bounds(span) if span in bounded else ()),
            )
        ),
        *(
            Recording(
                f"model_outcome:tailgate_requests:rate{span.name}",
                ENDED.rate("model, outcome", span),
                "How requests ended." if span == spans.five else "",
            )
            for span in (spans.five, spans.hour)
        ),
        *(
            rule
            for span in averaged
            for rule in (
                *(
                    Recording(
                        f"model:tailgate_{count.name}:rate{span.name}",
                        f"avg_over_time(model:tailgate_{count.name}:rate{spans.window.name}[{span.name}])",
                        "Rates are averaged before they are divided, so every request weighs the same."
                        if (span, count) == (spans.day, REQUESTS)
                        else "",
                    )
                    for count in COUNTS
                ),
                *_shares("model", span),
            )
        ),
        *(
            Recording(
                f"model:tailgate_{count.name}:rate{period}",
                f"avg_over_time(model:tailgate_{count.name}:rate{spans.hour.name}[{period}:{spans.hour.name}])",
            )
            for count in COUNTS
        ),
        *_shares("model", Span(period_days * 86_400.0, 0.0)),
    )


def _tail(spans: Spans) -> tuple[Recording, ...]:
    window = spans.window.name
    tca, upper = f"model:tailgate_tca:ratio_rate{window}", f"model:tailgate_tca_upper:ratio_rate{window}"
    return (
        *(
            rule
            for span in (spans.hour.name, spans.day.name)
            for rule in (
                Recording(
                    f"model:tailgate_tca:worst{window}_{span}",
                    f"min_over_time({tca}[{span}])",
                    "The worst window. Among many it is low by chance alone: see the next.",
                ),
                Recording(
                    f"model:tailgate_tca_upper:worst{window}_{span}",
                    f"min_over_time({upper}[{span}])",
                    "What the worst window surely was at most: under the floor, and it was no chance.",
                ),
                Recording(
                    f"model:tailgate_tca:p01_{window}_{span}",
                    f"quantile_over_time(0.01, {tca}[{span}])",
                    "One window in a hundred was worse.",
                ),
            )
        ),
        Recording(
            f"model:tailgate_bad_window:ratio_{spans.day.name}",
            f"avg_over_time(model:tailgate_bad_window:bool[{spans.day.name}])",
            "Share of windows surely under the floor: OpenSLO's time slices.",
        ),
    )


def _budget(period_days: int) -> tuple[Recording, ...]:
    objective = "model:tailgate_objective:ratio"

    def level(burn: float, share: float) -> str:
        return f"1 - {burn} * (1 - {objective}) > {share} * {objective}\nor\n{share} * {objective}"

    return (
        Recording(
            "model:tailgate_budget_left:ratio",
            f"1 - (1 - model:tailgate_tca:ratio_rate{period_days}d) / (1 - {objective})",
            "Share of the period's budget that is left, as far back as Prometheus remembers; below 0 it is overspent.",
        ),
        Recording(
            "model:tailgate_fast_burn:ratio",
            level(FAST_BURN, FAST_SHARE),
            f"Time-critical accuracy at which the budget is spent {FAST_BURN} times too fast; where the objective\n"
            f"leaves so large a budget that this cannot happen, {FAST_SHARE} of the objective.",
        ),
        Recording(
            "model:tailgate_slow_burn:ratio",
            level(SLOW_BURN, SLOW_SHARE),
            f"The same for {SLOW_BURN:g} times, or {SLOW_SHARE} of the objective.",
        ),
    )
