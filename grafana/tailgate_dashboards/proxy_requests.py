"""The Proxy dashboard's requests: what comes, how it ends, and what is held back or refused for want of room."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from tailgate_dashboards import queries as q
from tailgate_dashboards.frame import link_to, runbook, section
from tailgate_dashboards.marks import bound, colour, link
from tailgate_dashboards.outcomes import OUTCOME_COLOURS
from tailgate_dashboards.panels import RED, graph
from tailgate_dashboards.targets import Query

_UNSENT = 'outcome=~"shed_predicted_late|shed_queue_full|expired_in_queue"'
_QUANTILES = ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))


def requests(page: build.Dashboard) -> None:
    """What comes in and how it ends."""
    rate = graph(
        "Arrivals by replica",
        "Requests that arrived each second. One replica that gets much more than the others: look at the balancer.",
        "reqps",
        Query(f"sum by (instance) (rate(tailgate_received_total{{{q.REPLICAS}}}[{q.RATE}]))", "{{instance}}"),
        low=0.0,
    )
    outcomes = graph(
        "Requests by outcome",
        "How requests ended, each second. Only ok was in time.",
        "reqps",
        Query(f"{q.requests(('outcome',), q.RATE)} > 0", "{{outcome}}"),
        stacked=True,
        low=0.0,
        totals=(),
    )
    colour(outcomes, OUTCOME_COLOURS)
    duration = graph(
        "Latency",
        "From arrival to the end of a request, however it ended; interpolated in the histogram's buckets. Dashed: the "
        "models' deadlines.",
        "s",
        *(Query(q.quantile(level, "tailgate_latency_seconds", (), q.RATE), name) for level, name in _QUANTILES),
        Query(q.deadline(), "deadline {{model}}"),
        low=0.0,
        totals=(),
    )
    bound(duration, "/^deadline /", RED)
    link(outcomes, ("Windows and causes", link_to("tailgate-tail")), ("Runbook: shedding", runbook("TailgateShedding")))
    section(page, "Requests", (rate, 8, 9), (outcomes, 8, 9), (duration, 8, 9))


def room(page: build.Dashboard) -> None:
    """Who waits, and how much is under way."""
    flight = graph(
        "In flight",
        "Requests that arrived and have not ended, by replica.",
        "short",
        Query(f"sum by (instance) (tailgate_in_flight{{{q.REPLICAS}}})", "{{instance}}"),
        low=0.0,
    )
    held = graph(
        "Bytes held",
        "Of requests and answers that wait in the proxy for room elsewhere: a slow upstream or slow clients.",
        "bytes",
        Query(f"sum by (instance) (tailgate_held_bytes{{{q.REPLICAS}}})", "{{instance}}"),
        low=0.0,
    )
    connections = graph(
        "Connections",
        "Clients that are connected, by replica.",
        "short",
        Query(f"sum by (instance) (tailgate_connections{{{q.REPLICAS}}})", "{{instance}}"),
        low=0.0,
    )
    ends = graph(
        "Ends of connections",
        "Each second, by reason. What is neither client nor stopped was ended by one of the limits.",
        "cps",
        Query(f"sum by (reason) (rate(tailgate_connection_ends_total{{{q.REPLICAS}}}[{q.RATE}])) > 0", "{{reason}}"),
        low=0.0,
    )
    link(flight, ("Runbook: shedding", runbook("TailgateShedding")))
    section(page, "Room", (flight, 6, 8), (held, 6, 8), (connections, 6, 8), (ends, 6, 8))


def admission(page: build.Dashboard) -> None:
    """The limit that was found, and what it holds back or refuses."""
    limit = graph(
        "At the upstream, and its limit",
        "Requests at each upstream and how many may be there at once, on average over replicas. At the limit: the "
        "upstream is what runs short. Under load an adaptive limit goes back and forth a little.",
        "short",
        Query(f"avg by (pool) (tailgate_admission_in_flight{{{q.REPLICAS}}})", "{{pool}}"),
        Query(f"avg by (pool) (tailgate_admission_limit{{{q.REPLICAS}}})", "limit {{pool}}"),
        low=0.0,
    )
    bound(limit, "/^limit /", RED)
    waiting = graph(
        "Waiting for their turn",
        "Requests that wait, over all replicas, and how many could at most be answered within the longest deadline.",
        "short",
        Query(f"sum by (pool) (tailgate_admission_waiting{{{q.REPLICAS}}})", "{{pool}}"),
        Query(f"sum by (pool) (tailgate_admission_waiting_bound{{{q.REPLICAS}}})", "bound {{pool}}"),
        low=0.0,
    )
    bound(waiting, "/^bound /", RED)
    wait = graph(
        "Time until their turn",
        "How long half, and all but one in a hundred, of the requests that were sent had waited, interpolated in the "
        "histogram's buckets.",
        "s",
        *(
            Query(
                q.quantile(level, "tailgate_admission_wait_seconds", ("pool",), q.RATE, q.REPLICAS),
                f"{name} {{{{pool}}}}",
            )
            for level, name in ((0.5, "median"), (0.99, "99 %"))
        ),
        low=0.0,
    )
    refused = graph(
        "Refused or expired before they were sent",
        "Requests each second, by outcome; and those in mode observe that would have been refused as too late.",
        "reqps",
        Query(
            f"{q.requests(('outcome',), q.RATE, _UNSENT)} > 0",
            "{{outcome}}",
        ),
        Query(f"sum(rate(tailgate_admission_would_refuse_total{{{q.REPLICAS}}}[{q.RATE}])) > 0", "would be refused"),
        low=0.0,
        totals=(),
    )
    colour(refused, OUTCOME_COLOURS)
    false = graph(
        "False refusals",
        "Of the requests that would have been refused as too late and were tried, in nobody's place, the share that "
        "was answered in time, and how strictly requests are refused: the more prove false, the less.",
        "percentunit",
        Query(
            f'sum by (pool) (increase(tailgate_admission_tried_total{{{q.REPLICAS},result="in_time"}}[5m]))'
            f" / (sum by (pool) (increase(tailgate_admission_tried_total{{{q.REPLICAS}}}[5m])) > 0)",
            "false {{pool}}",
        ),
        Query(f"avg by (pool) (tailgate_admission_strictness{{{q.REPLICAS}}})", "strictness {{pool}}"),
        low=0.0,
        high=1.0,
    )
    link(refused, ("Runbook: shedding", runbook("TailgateShedding")))
    section(page, "Admission", (limit, 8, 7), (waiting, 8, 7), (wait, 8, 7), (refused, 12, 7), (false, 12, 7))
