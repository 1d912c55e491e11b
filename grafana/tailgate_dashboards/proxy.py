"""Proxy: what comes in, how it ends, and what of the process runs short."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from tailgate_dashboards import proxy_process, proxy_requests, proxy_upstreams
from tailgate_dashboards import queries as q
from tailgate_dashboards.frame import frame, link_to, runbook, section
from tailgate_dashboards.marks import link
from tailgate_dashboards.panels import AMBER, GREEN, RED, figure
from tailgate_dashboards.proxy_process import DAYS, EXPIRY
from tailgate_dashboards.targets import Query

UID = "tailgate-proxy"


def dashboard() -> build.Dashboard:
    """The page for whoever has to find out why."""
    page = frame(UID, "Tailgate / Proxy", "What comes in, how does it end, and what runs short?")
    _state(page)
    proxy_requests.requests(page)
    proxy_requests.room(page)
    proxy_requests.admission(page)
    proxy_upstreams.upstreams(page)
    proxy_process.itself(page)
    proxy_process.tls(page)
    proxy_process.access(page)
    proxy_process.configuration(page)
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
        DAYS,
        Query(EXPIRY, "{{role}}"),
        steps=((None, RED), (7.0, AMBER), (21.0, GREEN)),
        nothing="No TLS",
        decimals=0,
    )
    link(scraped, ("Runbook: target down", runbook("TailgateTargetDown")))
    link(in_time, ("Is it good?", link_to("tailgate-overview")))
    section(page, "State", *((panel, 4, 4) for panel in (scraped, upstreams, arrivals, in_time, lag, expiry)))
