"""The Proxy dashboard's processes: what of them runs short, who may come in, and what they were told."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from tailgate_dashboards import queries as q
from tailgate_dashboards.frame import section
from tailgate_dashboards.marks import colour
from tailgate_dashboards.panels import GREEN, RED, graph
from tailgate_dashboards.tables import Column, rows
from tailgate_dashboards.targets import Query

EXPIRY = f"(min by (role) (tailgate_tls_certificate_expiry_timestamp_seconds{{{q.REPLICAS}}}) - time()) / 86400"
"""Days until the certificate in use for each role ends, the soonest of all processes."""
DAYS = "suffix: days"
"""A unit."""
_QUANTILES = ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))


def itself(page: build.Dashboard) -> None:
    """The event loop, its own part of a request, pauses, the trace, and which versions run."""
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
        "after it had answered, interpolated in the histogram's buckets; and what upstreams are not told of the time "
        "left, for the way back, by the worst replica.",
        "s",
        *(
            Query(
                q.quantile(level, "tailgate_stage_seconds", ("stage",), q.RATE, f'{q.REPLICAS},stage!="upstream"'),
                f"{name} {{{{stage}}}}",
            )
            for level, name in ((0.5, "median"), (0.99, "99 %"))
        ),
        Query(f"max(tailgate_budget_reserve_seconds{{{q.REPLICAS}}})", "not told"),
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


def tls(page: build.Dashboard) -> None:
    """How long certificates are good for, and what went wrong."""
    expiry = graph(
        "Time to expiry of certificates",
        "The earliest of all replicas, by role. A step upwards: a renewed one was put to use.",
        DAYS,
        Query(EXPIRY, "{{role}}"),
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


def access(page: build.Dashboard) -> None:
    """Who was refused, and the files of tokens."""
    refused = graph(
        "Refused for want of a token",
        "Requests on any port that were not let in, each second, by the scope they needed: without a token, with one "
        "that is not known (rotated away, or a guess), or not good for this. No data: no tokens are asked for.",
        "reqps",
        Query(
            f"sum by (scope, reason) (rate(tailgate_access_refusals_total{{{q.REPLICAS}}}[{q.RATE}])) > 0",
            "{{scope}}, {{reason}}",
        ),
        low=0.0,
        totals=(),
    )
    files = graph(
        "Files of tokens",
        "In each step: new files put to use, and looks that found one unusable. Until that ends, the old tokens count.",
        "short",
        *(
            Query(f"sum(increase(tailgate_token_{metric}_total{{{q.REPLICAS}}}[{q.RATE}]))", name)
            for metric, name in (("reloads", "renewed"), ("reload_failures", "unusable"))
        ),
        bars=True,
        low=0.0,
        totals=(),
    )
    section(page, "Access", (refused, 12, 7), (files, 12, 7))


def configuration(page: build.Dashboard) -> None:
    """What is in use, and whether it could be read."""
    reloads = graph(
        "Configuration read again",
        "In each step: configurations that were put to use, and such that could not be and left the old one in use; "
        "the log says why.",
        "short",
        Query(
            f"sum by (result) (increase(tailgate_config_reloads_total{{{q.REPLICAS}}}[{q.RATE}]))",
            "{{result}}",
        ),
        bars=True,
        low=0.0,
        totals=(),
    )
    colour(reloads, {"success": GREEN, "failure": RED})
    in_use = rows(
        "Configuration in use",
        "Whether each replica goes by the configuration that was asked for last (1) or by an older one (0), and since "
        "when.",
        {"instance": "Replica"},
        [
            Column(
                "As asked for",
                f"tailgate_config_reload_success{{{q.REPLICAS}}}",
                "short",
                ((None, RED), (1.0, GREEN)),
                decimals=0,
            ),
            Column(
                "In use",
                f"1000 * tailgate_config_reload_success_timestamp_seconds{{{q.REPLICAS}}}",
                "dateTimeFromNow",
            ),
        ],
        hidden=("__name__", "job"),
    )
    section(page, "Configuration", (reloads, 12, 7), (in_use, 12, 7))
