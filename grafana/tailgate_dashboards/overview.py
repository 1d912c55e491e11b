"""Overview: is it good now, was it ever bad, since when, and who is hurt."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from tailgate_dashboards import expected as e
from tailgate_dashboards import queries as q
from tailgate_dashboards.frame import frame, link_to, runbook, section
from tailgate_dashboards.labels import expectations, labels_known
from tailgate_dashboards.marks import bound, colour, link, unmeasured, volume
from tailgate_dashboards.outcomes import CAUSE_COLOURS, OUTCOME_COLOURS
from tailgate_dashboards.panels import AMBER, GREEN, RED, bars, figure, graph
from tailgate_dashboards.recorded import BAD_WINDOW, EVERY, WINDOW_TCA, recorded
from tailgate_dashboards.tables import Column, rows
from tailgate_dashboards.targets import Query

UID = "tailgate-overview"
_AGAINST_ZERO = ((None, RED), (0.0, GREEN))
_FIVE = "the last 5 minutes"
_DEFINED = (
    "Time-critical accuracy: of all requests that arrived, the share that was answered right and by the deadline. "
    "What was refused, failed or was left by its client counts as not answered. It is the share answered in time, "
    "times the accuracy of those answers whose labels are known, weighted by the labels' sampling. "
)


def dashboard() -> build.Dashboard:
    """The page that is looked at first."""
    page = frame(UID, "Tailgate / Overview", "Is it good now, was it ever bad, since when, and who is hurt?")
    _now(page)
    _ever(page)
    _course(page)
    _who(page)
    _outcomes(page)
    labels_known(page)
    expectations(page)
    return page


def _now(page: build.Dashboard) -> None:
    now = figure(
        "Time-critical accuracy now",
        f"{_DEFINED}Over {_FIVE}, for each model. No data: nothing arrived, or no label of an answer in time is known.",
        "percentunit",
        Query(q.tca(q.MODEL, q.JUST_NOW), "{{model}}"),
        decimals=1,
    )
    margin = figure(
        "Against its objective",
        f"Time-critical accuracy of {_FIVE} less the objective that the proxy was given: below zero, the error budget "
        "shrinks faster than it lasts.",
        "percentunit",
        Query(q.margin(q.MODEL, q.JUST_NOW), "{{model}}"),
        steps=_AGAINST_ZERO,
        decimals=1,
    )
    requests = figure(
        "Requests",
        f"How many requests ended each second, over {_FIVE}: what the ratios beside rest on.",
        "reqps",
        Query(f"{q.requests(q.MODEL, q.JUST_NOW)} / 300", "{{model}}"),
        decimals=1,
    )
    coverage = figure(
        "Labels known",
        f"Of the requests that ended in {_FIVE}, the share whose label is known by now. Labels that come later still "
        "count, in the moment in which they come.",
        "percentunit",
        Query(q.label_coverage(q.MODEL, q.JUST_NOW), "{{model}}"),
        decimals=0,
    )
    hurt = figure(
        "Hurt most",
        "The model, version and slice that lies lowest against its objective in the range shown, and by how much.",
        "percentunit",
        Query(f"bottomk(1, {q.margin(q.SLICE, q.SHOWN)})", "{{model}} {{version}} {{slice}}"),
        steps=_AGAINST_ZERO,
        decimals=1,
        names=True,
    )
    link(now, ("Windows and causes", link_to("tailgate-tail")))
    link(margin, ("Runbook: window surely under the floor", runbook("TailgateBadWindow")))
    link(hurt, ("Canary against stable", link_to("tailgate-rollout")))
    section(page, "Is it good now?", (now, 5, 4), (margin, 5, 4), (requests, 4, 4), (coverage, 4, 4), (hurt, 6, 4))


def _ever(page: build.Dashboard) -> None:
    surely = recorded(BAD_WINDOW)
    left = figure(
        "Error budget left",
        "Of the wrong, late and missing answers that the objective allows in the range shown, the share not used yet. "
        "Negative: more than allowed. Choose 28 days for the whole period, if Prometheus keeps as much.",
        "percentunit",
        Query(q.budget_left(q.SHOWN), "{{model}}"),
        steps=((None, RED), (0.0, AMBER), (0.25, GREEN)),
        decimals=0,
    )
    share = figure(
        "Time in bad windows",
        "Of the range shown, the share in which a one-minute window lay surely under the model's floor: its upper "
        "confidence bound (Wilson, z = 3.29) is below it, so few requests alone make no bad window.",
        "percentunit",
        Query(f"avg_over_time({surely}[$__range])", "{{model}}"),
        steps=((None, GREEN), (1e-9, AMBER), (0.001, RED)),
        decimals=2,
    )
    worst = figure(
        "Worst window",
        "The lowest time-critical accuracy of any minute in the range shown. It is low by chance alone where there are "
        "many windows of few requests: see the Tail dashboard before you worry.",
        "percentunit",
        Query(f"min_over_time({recorded(WINDOW_TCA)}[$__range])", "{{model}}"),
        decimals=1,
    )
    since = figure(
        "Last bad window",
        "When a one-minute window was last surely under the floor, in the range shown.",
        "dateTimeFromNow",
        Query(f"max_over_time(({surely} * timestamp({surely}))[$__range:{EVERY}]) * 1000", "{{model}}"),
        words={"0": "none"},
        size=28,
    )
    for panel in (share, worst, since):
        link(panel, ("Windows and causes", link_to("tailgate-tail")), ("Runbook", runbook("TailgateBadWindow")))
    link(left, ("Runbook: budget burns", runbook("TailgateBudgetBurnFast")))
    ended = figure(
        "Requests in this range",
        "How many requests ended in the range shown: what the figures beside rest on.",
        "locale",
        Query(q.requests(q.MODEL, q.SHOWN), "{{model}}"),
        decimals=0,
    )
    section(
        page, "Was it ever bad, and when?", (left, 5, 4), (share, 5, 4), (worst, 5, 4), (since, 5, 4), (ended, 4, 4)
    )


def _course(page: build.Dashboard) -> None:
    accuracy = graph(
        "Time-critical accuracy against its objective",
        f"{_DEFINED}Each point is a minute or, in long ranges, a step. Blue and dashed, with the ends of its 95 % "
        "interval: what is expected from the model's own confidence, where no label is known; it can not see a change "
        "that leaves confidences as they are. Grey ground: requests each second, at the right.",
        "percentunit",
        Query(q.tca(q.MODEL, q.RATE), "{{model}}"),
        Query(e.expected(q.MODEL, q.RATE), "expected {{model}}"),
        Query(e.expected_end("-", q.MODEL, q.RATE), "lower end of expected {{model}}"),
        Query(e.expected_end("+", q.MODEL, q.RATE), "upper end of expected {{model}}"),
        Query(q.objective(), "objective {{model}}"),
        Query(q.requests((), q.RATE), "requests"),
        high=1.0,
        decimals=1,
    )
    volume(accuracy, "requests")
    bound(accuracy, "/^objective /", "#8E8E8E")
    unmeasured(accuracy, "/^expected /", "/^(lower|upper) end of expected /")
    lost = graph(
        "Where the rest goes",
        "What time-critical accuracy lacks to 100 %, by cause; the parts add up to it. Wrong in time is the model's "
        "share; late, refused and failed are the system's, however right the answers would have been.",
        "percentunit",
        *(Query(q.lost(cause, (), q.RATE), cause) for cause in CAUSE_COLOURS),
        stacked=True,
        low=0.0,
        decimals=1,
        totals=(),
    )
    colour(lost, CAUSE_COLOURS)
    link(accuracy, ("Windows and causes", link_to("tailgate-tail")))
    link(lost, ("Proxy and upstreams", link_to("tailgate-proxy")))
    section(page, "Since when?", (accuracy, 14, 11), (lost, 10, 11))


def _who(page: build.Dashboard) -> None:
    table = rows(
        "By model, version and slice",
        "Time-critical accuracy (TCA) over the range shown, the worst against its objective first. Labelled is what "
        "the figures beside it rest on: a ratio of a few dozen says little. The last columns are what TCA lacks to "
        "100 %.",
        {"model": "Model", "version": "Version", "slice": "Slice"},
        [
            Column("Requests", q.requests(q.SLICE, q.SHOWN), "locale", decimals=0),
            Column("Labelled", q.labelled(q.SLICE, q.SHOWN), "locale", decimals=0),
            Column("TCA", q.tca(q.SLICE, q.SHOWN), "percentunit", decimals=1),
            Column("Against objective", q.margin(q.SLICE, q.SHOWN), "percentunit", _AGAINST_ZERO, 1),
            Column("In time", q.in_time_share(q.SLICE, q.SHOWN), "percentunit", decimals=1),
            Column("Right of these", q.accuracy_in_time(q.SLICE, q.SHOWN), "percentunit", decimals=1),
            *(
                Column(cause.capitalize(), q.lost(cause, q.SLICE, q.SHOWN), "percentunit", decimals=2)
                for cause in CAUSE_COLOURS
            ),
        ],
        sort="Against objective",
    )
    link(table, ("Canary against stable", link_to("tailgate-rollout")))
    alerts = rows(
        "Alerts that fire now",
        "Tailgate's alerts that fire in Prometheus. None: either all is well, or the rules are not loaded.",
        {"severity": "Severity", "alertname": "Alert", "model": "Model", "version": "Version", "slice": "Slice"},
        [Column("Firing", 'ALERTS{alertname=~"Tailgate.+",alertstate="firing"}', "short")],
        nothing="None fires",
        hidden=("Value", "__name__", "alertstate", "job", "instance"),
    )
    section(page, "Who is hurt?", (table, 24, 7), (alerts, 24, 4))


def _outcomes(page: build.Dashboard) -> None:
    rate = graph(
        "Requests by outcome",
        "How requests ended, each second. Only ok was in time.",
        "reqps",
        Query(f"{q.requests(('outcome',), q.RATE)} > 0", "{{outcome}}"),
        stacked=True,
        low=0.0,
        totals=(),
    )
    shares = bars(
        "How the requests of this range ended",
        "Counts over the range shown; outcomes that did not occur are left out.",
        "short",
        Query(f"sort_desc({q.requests(('outcome',), q.SHOWN)} > 0)", "{{outcome}}"),
    )
    for panel in (rate, shares):
        colour(panel, OUTCOME_COLOURS)
        link(panel, ("Proxy and upstreams", link_to("tailgate-proxy")))
    section(page, "How requests end", (rate, 16, 10), (shares, 8, 10))
