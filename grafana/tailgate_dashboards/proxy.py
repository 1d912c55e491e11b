"""Proxy: what comes in, how it ends, and what of the process runs short."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from tailgate_dashboards import queries as q
from tailgate_dashboards.frame import frame, link_to, runbook, section
from tailgate_dashboards.marks import bound, colour, link
from tailgate_dashboards.outcomes import OUTCOME_COLOURS
from tailgate_dashboards.panels import AMBER, GREEN, RED, figure, graph
from tailgate_dashboards.tables import Column, rows
from tailgate_dashboards.targets import Query

UID = "tailgate-proxy"
_EXPIRY = f"(min by (role) (tailgate_tls_certificate_expiry_timestamp_seconds{{{q.REPLICAS}}}) - time()) / 86400"
_DAYS = "suffix: days"
_QUANTILES = ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))


def dashboard() -> build.Dashboard:
    """The page for whoever has to find out why."""
    page = frame(UID, "Tailgate / Proxy", "What comes in, how does it end, and what runs short?")
    _state(page)
    _requests(page)
    _room(page)
    _upstreams(page)
    _itself(page)
    _tls(page)
    return page


def _state(page: build.Dashboard) -> None:
    scraped = figure(
        "Replicas scraped",
        "How many of the proxy's processes Prometheus reaches, and does not.",
        "short",
        Query(f"count(up{{{q.REPLICAS}}} == 1)", "reached"),
        Query(f"count(up{{{q.REPLICAS}}} == 0)", "not reached"),
        steps=((None, GREEN),),
    )
    upstreams = figure(
        "Upstreams ready",
        "Whether each upstream answers that it is ready; the worst that any replica says.",
        "short",
        Query(f"min by (upstream) (tailgate_upstream_up{{{q.REPLICAS}}})", "{{upstream}}"),
        steps=((None, RED), (1.0, GREEN)),
        words={"0": "not ready", "1": "ready"},
    )
    in_time = figure(
        "Answered in time",
        "Of all that arrived in the last 5 minutes, the share that was answered by its deadline.",
        "percentunit",
        Query(q.in_time_share(q.MODEL, q.JUST_NOW), "{{model}}"),
        decimals=1,
    )
    arrivals = figure(
        "Arrivals",
        "Requests that arrived each second, over the last 5 minutes: what the share beside rests on.",
        "reqps",
        Query(f"sum(increase(tailgate_received_total{{{q.REPLICAS}}}[5m])) / 300", "all"),
        decimals=1,
    )
    lag = figure(
        "Loop lag over 10 ms",
        "Of the event loop's timed wakes in the last 5 minutes, the share that was more than 10 ms late. While the "
        "loop stalls, every request of that process waits.",
        "percentunit",
        Query(
            f'1 - sum(increase(tailgate_event_loop_lag_seconds_bucket{{{q.REPLICAS},le="0.01"}}[5m]))'
            f" / (sum(increase(tailgate_event_loop_lag_seconds_count{{{q.REPLICAS}}}[5m])) > 0)",
            "all",
        ),
        steps=((None, GREEN), (0.01, AMBER), (0.05, RED)),
        decimals=2,
    )
    expiry = figure(
        "Certificates expire in",
        "The earliest of those in use, by role. No data: no TLS.",
        _DAYS,
        Query(_EXPIRY, "{{role}}"),
        steps=((None, RED), (7.0, AMBER), (21.0, GREEN)),
        nothing="No TLS",
        decimals=0,
    )
    link(scraped, ("Runbook: target down", runbook("TailgateTargetDown")))
    link(in_time, ("Is it good?", link_to("tailgate-overview")))
    section(page, "State", *((panel, 4, 4) for panel in (scraped, upstreams, arrivals, in_time, lag, expiry)))


def _requests(page: build.Dashboard) -> None:
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


def _room(page: build.Dashboard) -> None:
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


def _upstreams(page: build.Dashboard) -> None:
    up = graph(
        "Upstreams ready over time",
        "1 while an upstream answers that it is ready, else 0; the mean over replicas.",
        "short",
        Query(f"avg by (upstream) (tailgate_upstream_up{{{q.REPLICAS}}})", "{{upstream}}"),
        low=0.0,
        high=1.0,
    )
    failures = graph(
        "Failed at the upstream",
        "Of all that ended, the share that failed there: not reached, answered with an error, or with what is no "
        "answer. Requests each second stand beside it, in Arrivals.",
        "percentunit",
        Query(
            q.ratio(
                q.requests(("outcome",), q.RATE, 'outcome=~"upstream_.+"'),
                q.requests((), q.RATE),
                join=" on () group_left ()",
            ),
            "{{outcome}}",
        ),
        low=0.0,
        decimals=2,
    )
    colour(failures, {name: shade for name, shade in OUTCOME_COLOURS.items() if name.startswith("upstream")})
    section(page, "Upstreams", (up, 12, 7), (failures, 12, 7))


def _itself(page: build.Dashboard) -> None:
    lag = graph(
        "Event loop lag",
        "How much later than asked the loop woke, interpolated in the histogram's buckets, the worst replica.",
        "s",
        *(
            Query(
                f"max({q.quantile(level, 'tailgate_event_loop_lag_seconds', ('instance',), q.RATE, q.REPLICAS)})", name
            )
            for level, name in _QUANTILES
        ),
        low=0.0,
    )
    own = graph(
        "Time in the proxy itself",
        "How long half, and all but one in a hundred, of the answered requests spent before the upstream had them and "
        "after it had answered, interpolated in the histogram's buckets.",
        "s",
        *(
            Query(
                q.quantile(level, "tailgate_stage_seconds", ("stage",), q.RATE, f'{q.REPLICAS},stage!="upstream"'),
                f"{name} {{{{stage}}}}",
            )
            for level, name in ((0.5, "median"), (0.99, "99 %"))
        ),
        low=0.0,
    )
    pauses = graph(
        "Garbage collection",
        "The share of time that a replica's Python spent in collecting garbage.",
        "percentunit",
        Query(f"sum by (instance) (rate(tailgate_gc_pause_seconds_sum{{{q.REPLICAS}}}[{q.RATE}]))", "{{instance}}"),
        low=0.0,
        decimals=2,
    )
    trace = graph(
        "Trace records",
        "Observations written to the trace each second, or lost to the disk.",
        "wps",
        Query(f"sum by (result) (rate(tailgate_trace_records_total{{{q.REPLICAS}}}[{q.RATE}]))", "{{result}}"),
        low=0.0,
    )
    colour(trace, {"written": GREEN, "dropped": RED})
    versions = rows(
        "Versions of the proxy",
        "What each replica runs.",
        {"instance": "Replica", "version": "Version"},
        [Column("Running", f"tailgate_build_info{{{q.REPLICAS}}}", "short")],
        hidden=("Value", "__name__", "job"),
    )
    section(page, "The process itself", (lag, 6, 8), (own, 6, 8), (pauses, 4, 8), (trace, 4, 8), (versions, 4, 8))


def _tls(page: build.Dashboard) -> None:
    expiry = graph(
        "Time to expiry of certificates",
        "The earliest of all replicas, by role. A step upwards: a renewed one was put to use.",
        _DAYS,
        Query(_EXPIRY, "{{role}}"),
        low=0.0,
    )
    trouble = graph(
        "TLS events",
        "In each step: new certificates put to use, looks that found them unusable, and failed handshakes.",
        "short",
        *(
            Query(
                f"sum by (side) (increase(tailgate_tls_{metric}_total{{{q.REPLICAS}}}[{q.RATE}]))",
                f"{name}, {{{{side}}}}",
            )
            for metric, name in (
                ("reloads", "renewed"),
                ("reload_failures", "unusable"),
                ("handshake_failures", "failed handshakes"),
            )
        ),
        bars=True,
        low=0.0,
        totals=(),
    )
    section(page, "TLS", (expiry, 12, 7), (trouble, 12, 7))
