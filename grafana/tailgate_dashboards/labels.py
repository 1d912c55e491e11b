"""The Overview's last sections: how much is known of what was right, and what is expected where nothing is."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from tailgate_dashboards import expected as e
from tailgate_dashboards import queries as q
from tailgate_dashboards.frame import runbook, section
from tailgate_dashboards.marks import link, volume
from tailgate_dashboards.panels import graph
from tailgate_dashboards.tables import Column, rows
from tailgate_dashboards.targets import Query


def labels_known(page: build.Dashboard) -> None:
    """Which labels come, when, and what becomes of them."""
    known = graph(
        "Labels: known share and accuracy",
        "The share of requests whose label is known, and the accuracy of answers in time. Where labels are partial the "
        "accuracy is weighted, and they are worth fewer, if weights differ; bounds rest on what they are worth. Where "
        "their share falls to nothing, time-critical accuracy is not known at all.",
        "percentunit",
        Query(q.label_coverage(q.MODEL, q.RATE), "known {{model}}"),
        Query(q.label_worth(q.MODEL, q.RATE), "worth {{model}}"),
        Query(q.accuracy_in_time(q.MODEL, q.RATE), "accuracy in time {{model}}"),
        Query(q.labelled((), q.RATE), "labelled requests"),
        high=1.0,
    )
    volume(known, "labelled requests")
    came = graph(
        "Labels received",
        "By what became of them. Late: their request had been given up. Conflict: another label was kept. Handed over: "
        "another worker has it, and counts it too. Unlabelled are requests that were given up waiting, because they "
        "were too old or too many.",
        "cps",
        Query(f"sum by (result) (rate(tailgate_labels_total{{{q.REPLICAS}}}[{q.RATE}]))", "{{result}}"),
        Query(
            f"sum by (reason) (rate(tailgate_predictions_unlabelled_total{{{q.REPLICAS}}}[{q.RATE}]))",
            "unlabelled: {{reason}}",
        ),
        low=0.0,
        totals=(),
    )
    delay = graph(
        "Label delay",
        "From a request's arrival to its label, interpolated in the histogram's buckets.",
        "s",
        Query(q.quantile(0.5, "tailgate_label_delay_seconds", q.MODEL, q.RATE, q.MODELS), "median {{model}}"),
        Query(q.quantile(0.99, "tailgate_label_delay_seconds", q.MODEL, q.RATE, q.MODELS), "99 % {{model}}"),
    )
    waiting = graph(
        "Waiting for each other",
        "Requests that wait for their label, and labels that wait for their request.",
        "short",
        Query(f"sum(tailgate_predictions_pending{{{q.REPLICAS}}})", "requests without label"),
        Query(f"sum(tailgate_labels_pending{{{q.REPLICAS}}})", "labels without request"),
        low=0.0,
    )
    for panel in (known, came, delay, waiting):
        link(panel, ("Runbook: labels stale", runbook("TailgateLabelsStale")))
    section(page, "Do we know?", (known, 12, 10), (came, 12, 10), (delay, 12, 8), (waiting, 12, 8))


def expectations(page: build.Dashboard) -> None:
    """How far what was expected while labels were missing was from what they said when they came."""
    off = graph(
        "How far off expectations were",
        "Of answers of which something was expected before their label came, the share expected to be right less the "
        "share that was right, by version; above zero, too much was expected. Each minute is counted when all its "
        "labels can be there, so incidents stand here that much later. Grey ground: these answers each second.",
        "percentunit",
        Query(e.past_error(q.RATE), "{{model}} {{version}}"),
        Query(f"sum({e.reconciled(q.RATE)})", "reconciled answers"),
        least="5m",
        decimals=1,
        totals=("lastNotNull", "min", "max"),
    )
    volume(off, "reconciled answers", "cps")
    table = rows(
        "Expectations against what came true",
        "The same over the range shown. The last column is the size under which the error of a single minute of one "
        "process stayed in 95 of 100, whichever its sign: interpolated in the histogram's buckets. A minute of few "
        "labels is off by chance alone.",
        {"model": "Model", "version": "Version"},
        [
            Column("Answers", e.reconciled(q.SHOWN), "locale", decimals=0),
            Column("Expected right", e.had_been_expected(q.SHOWN), "percentunit", decimals=2),
            Column("Came true", e.came_true(q.SHOWN), "percentunit", decimals=2),
            Column("Off by", e.past_error(q.SHOWN), "percentunit", decimals=2),
            Column("95 % of minutes", e.error_quantile(0.95, q.SHOWN), "percentunit", decimals=2),
        ],
        nothing="Nothing was expected, or no label has come",
    )
    for panel in (off, table):
        link(panel, ("Runbook: labels stale", runbook("TailgateLabelsStale")))
    section(page, "While labels are missing", (off, 12, 9), (table, 12, 9))
