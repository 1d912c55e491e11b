"""Tail: the worst minutes, whether chance alone explains them, what caused them, and what another deadline would do."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from tailgate_dashboards import queries as q
from tailgate_dashboards.frame import frame, link_to, runbook, section
from tailgate_dashboards.marks import bound, colour, dotted, link, volume
from tailgate_dashboards.outcomes import CAUSE_COLOURS
from tailgate_dashboards.panels import AMBER, GREEN, RED, bars, figure, graph
from tailgate_dashboards.recorded import (
    BAD_WINDOW,
    OF_SLICES,
    WINDOW_LABELLED,
    WINDOW_LABELLED_OF_SLICE,
    WINDOW_TCA,
    WINDOW_TCA_OF_SLICE,
    WINDOW_UPPER,
    recorded,
)
from tailgate_dashboards.tables import Column, rows
from tailgate_dashboards.targets import Query

UID = "tailgate-tail"
_WINDOW, _UPPER = recorded(WINDOW_TCA), recorded(WINDOW_UPPER)
_AGAINST_ZERO = ((None, RED), (0.0, GREEN))
_SERIES = "{{model}} {{version}} {{slice}}"
_WHOLE = (
    "Windows are of whole models over all replicas; the variables version, slice, job and instance do not narrow them. "
)

# Windows of one minute begin every 5 s and overlap: their minimum is about that of three a minute that do not, in one
# range of twenty as low as that of four (found by simulation, and held by a test).
_WINDOWS = "$__range_s / 20"
_MEDIAN_OF_WORST = f"0.693 / ({_WINDOWS})"
_SURELY_CHANCE = "0.0513 / ($__range_s / 15)"


def dashboard() -> build.Dashboard:
    """The page on which a low minute is judged."""
    page = frame(UID, "Tailgate / Tail", "How bad are the worst minutes, is it more than chance, and what causes it?")
    _figures(page)
    _windows(page)
    _deadlines(page)
    _detector(page)
    return page


def _figures(page: build.Dashboard) -> None:
    usual = f"quantile_over_time(0.5, {recorded(WINDOW_LABELLED)}[$__range]) * 60"
    worst = figure(
        "Worst window",
        f"The lowest time-critical accuracy of any minute of the range shown. {_WHOLE}",
        "percentunit",
        Query(f"min_over_time({_WINDOW}[$__range])", "{{model}}"),
        decimals=1,
    )
    null = figure(
        "Worst window by chance",
        "What the worst window of so many would show by sampling alone (median), had every window the score of the "
        "median window and its number of labels. An approximation of the binomial in PromQL: arcsine transformation, "
        "Shore's normal quantile. With under 60 labels a window, and in nights with fewer, chance goes lower: see "
        "the dots below.",
        "percentunit",
        Query(q.chance(_MEDIAN_OF_WORST, q.typical_window(), usual), "{{model}}"),
        decimals=1,
    )
    low = figure(
        "1 % of windows are below",
        f"The 1 % quantile of all one-minute windows of the range shown. {_WHOLE}",
        "percentunit",
        Query(f"quantile_over_time(0.01, {_WINDOW}[$__range])", "{{model}}"),
        decimals=1,
    )
    low_null = figure(
        "The same by chance",
        "The 1 % quantile of windows that sampling alone would show, by the same approximation.",
        "percentunit",
        Query(q.chance("0.01", q.typical_window(), usual), "{{model}}"),
        decimals=1,
    )
    bad = figure(
        "Bad windows",
        "Minutes of the range shown in which a window was surely under the floor: even its upper Wilson bound (z = "
        "3.29).",
        "m",
        Query(f"avg_over_time({recorded(BAD_WINDOW)}[$__range]) * $__range_s / 60", "{{model}}"),
        steps=((None, GREEN), (1e-9, AMBER), (2.0, RED)),
        decimals=1,
    )
    labels = figure(
        "Labels a window",
        "The median number of labelled requests in a window of one minute: what all of this rests on.",
        "locale",
        Query(usual, "{{model}}"),
        decimals=0,
    )
    link(bad, ("Runbook: window surely under the floor", runbook("TailgateBadWindow")))
    section(
        page,
        "The worst of the windows, and what chance would make of them",
        *((panel, 4, 4) for panel in (worst, null, low, low_null, bad, labels)),
    )


def _windows(page: build.Dashboard) -> None:
    least = graph(
        "Lowest window of each step",
        "Solid: the lowest one-minute window in each step. Dotted: the lowest that chance would show anywhere in the "
        "range (in 95 of 100 ranges), given the labels of that minute; below it, chance is no explanation. Dashed: "
        f"the floor and the objective. Grey ground: labelled requests a minute, at the right. {_WHOLE}",
        "percentunit",
        Query(f"min_over_time({_WINDOW}[$__interval])", "{{model}}"),
        Query(q.chance(_SURELY_CHANCE, q.typical_window(), q.window_labels()), "chance {{model}}"),
        Query(q.floor(), "floor {{model}}"),
        Query(q.objective(), "objective {{model}}"),
        Query(f"sum({q.window_labels()})", "labelled a minute"),
        high=1.0,
        decimals=1,
    )
    volume(least, "labelled a minute", "short")
    bound(least, "/^objective /", "#8E8E8E")
    bound(least, "/^floor /", RED)
    dotted(least, "/^chance /")
    causes = graph(
        "Lost in each window, by cause",
        "What time-critical accuracy lacks to 100 % in each step, by cause; the parts add up to it.",
        "percentunit",
        *(Query(q.lost(cause, (), q.RATE), cause) for cause in CAUSE_COLOURS),
        stacked=True,
        bars=True,
        low=0.0,
        decimals=1,
        totals=(),
    )
    colour(causes, CAUSE_COLOURS)
    slices = recorded(WINDOW_TCA_OF_SLICE, OF_SLICES)
    usual = f"quantile_over_time(0.5, {recorded(WINDOW_LABELLED_OF_SLICE, OF_SLICES)}[$__range]) * 60"
    by_chance = q.chance(_MEDIAN_OF_WORST, q.typical_window(by_slice=True), usual)
    upper = graph(
        "Surely at most",
        "The upper Wilson bound (z = 3.29) of each one-minute window, the lowest in each step, against the floor: "
        "under it the window is bad whatever chance does. This is what pages.",
        "percentunit",
        Query(f"min_over_time({_UPPER}[$__interval])", "{{model}}"),
        Query(q.floor(), "floor {{model}}"),
        high=1.0,
        decimals=1,
    )
    bound(upper, "/^floor /", RED)
    link(least, ("Runbook: window surely under the floor", runbook("TailgateBadWindow")))
    link(causes, ("Proxy and upstreams", link_to("tailgate-proxy")))
    link(upper, ("Runbook: window surely under the floor", runbook("TailgateBadWindow")))
    worst = rows(
        "Worst windows by model, version and slice",
        "The worst one-minute window of the range shown, what the worst would be by chance (median), and the 1 % "
        "quantile. A difference below zero is more than chance; with a handful of labels a window, hardly anything "
        "is.",
        {"model": "Model", "version": "Version", "slice": "Slice"},
        [
            Column("Worst", f"min_over_time({slices}[$__range])", "percentunit", decimals=1),
            Column("By chance", by_chance, "percentunit", decimals=1),
            Column("Difference", f"min_over_time({slices}[$__range]) - {by_chance}", "percentunit", _AGAINST_ZERO, 1),
            Column("1 % are below", f"quantile_over_time(0.01, {slices}[$__range])", "percentunit", decimals=1),
            Column("Labels a window", usual, "locale", decimals=0),
        ],
        sort="Difference",
    )
    section(page, "Window by window", (least, 24, 12), (causes, 14, 9), (upper, 10, 9), (worst, 24, 7))


def _deadlines(page: build.Dashboard) -> None:
    curve = bars(
        "What if the deadline were ... seconds",
        "Of all labelled requests of the range shown, the share that was answered right within so many seconds: what "
        "time-critical accuracy would be with that deadline. Exact at these bounds, for they are the histogram's. "
        "Answers that the proxy cut off at the deadline (enforce) are not known, and are missing in the bars beyond "
        "it.",
        "percentunit",
        Query(q.within("tailgate_right_latency_seconds", q.SHOWN, ()), instant=True),
        name="le",
        name_unit="string",
        high=1.0,
    )
    multiples = graph(
        "What if deadlines were k times as long",
        "The share of labelled requests that was right within k times the deadline each of them had. At 1 it is "
        "time-critical accuracy. A wide gap between 1 and 2: the answers come, too late. Grey ground: labelled "
        "requests each second.",
        "percentunit",
        Query(q.within("tailgate_right_deadline_ratio", q.RATE, (), '=~"0.5|1.0|1.5|2.0|4.0"'), "{{le}} × deadline"),
        Query(q.labelled((), q.RATE), "labelled requests"),
        high=1.0,
        decimals=1,
    )
    volume(multiples, "labelled requests")
    latency = graph(
        "Latency against the deadline",
        "Of every request however it ended, and of right answers: interpolated in the histogram's buckets, so good "
        "for a look and not for a verdict. Dashed: the deadline a model has where the client sets none.",
        "s",
        *(
            Query(q.quantile(p, "tailgate_latency_seconds", q.MODEL, q.RATE), f"{n} {{{{model}}}}")
            for p, n in _QUANTILES
        ),
        Query(q.quantile(0.99, "tailgate_right_latency_seconds", q.MODEL, q.RATE), "99 % of right ones {{model}}"),
        Query(q.deadline(), "deadline {{model}}"),
        low=0.0,
        totals=(),
    )
    bound(latency, "/^deadline /", RED)
    link(curve, ("Runbook: deadline misconfigured", runbook("TailgateDeadlineMisconfigured")))
    section(page, "What another deadline would do", (curve, 8, 12), (multiples, 8, 12), (latency, 8, 12))


_QUANTILES = ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))


def _detector(page: build.Dashboard) -> None:
    statistic = graph(
        "Evidence of a regression",
        "The detector's largest statistic (e-CUSUM), by powers of ten; 1 is no evidence. Dashed: the value at which it "
        "alarms. It rises with evidence, not with time, and sees small drops as well as large ones.",
        "short",
        Query(f"max by (model, version, slice) (tailgate_detector_statistic{{{q.SERIES}}})", _SERIES),
        Query(f"max(tailgate_detector_threshold{{{q.SERIES}}})", "alarms at"),
        logarithmic=True,
        totals=(),
    )
    bound(statistic, "/^alarms at$/", RED)
    alarms = graph(
        "Alarms of the detector",
        "How many, in each step.",
        "short",
        Query(
            f"sum by (model, version, slice) (increase(tailgate_detector_alarms_total{{{q.SERIES}}}[{q.RATE}]))",
            _SERIES,
        ),
        bars=True,
        low=0.0,
        totals=("sum",),
    )
    for panel in (statistic, alarms):
        link(panel, ("Runbook: regression", runbook("TailgateRegression")))
    section(page, "The detector", (statistic, 16, 8), (alarms, 8, 8))
