"""The Proxy dashboard's upstreams: which are ready, and how each of them fares."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from tailgate_dashboards import queries as q
from tailgate_dashboards.frame import section
from tailgate_dashboards.marks import colour
from tailgate_dashboards.outcomes import OUTCOME_COLOURS
from tailgate_dashboards.panels import graph
from tailgate_dashboards.targets import Query


def upstreams(page: build.Dashboard) -> None:
    """Each upstream: its answers, their times, its connections."""
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
    share = graph(
        "Calls to each upstream",
        "Calls that ended each second, by where they went; a request that was tried again has several. One that gets "
        "much less than the others is slower than they, or left out.",
        "reqps",
        Query(f"sum by (upstream) (rate(tailgate_upstream_attempts_total{{{q.REPLICAS}}}[{q.RATE}]))", "{{upstream}}"),
        low=0.0,
    )
    ends = graph(
        "Calls to upstreams that were not answered",
        "Each second, by how they ended and where. Shed and refused: busy. Unreachable, lost, error, invalid: broken; "
        "for these it is left out.",
        "reqps",
        Query(
            f'sum by (upstream, result) (rate(tailgate_upstream_attempts_total{{{q.REPLICAS},result!="answered"}}'
            f"[{q.RATE}])) > 0",
            "{{result}} {{upstream}}",
        ),
        low=0.0,
        totals=(),
    )
    outstanding = graph(
        "Calls outstanding",
        "Calls that have not ended, by upstream, over all replicas; those that nobody waits for any more and that may "
        "not be cancelled are among them.",
        "short",
        Query(f"sum by (upstream) (tailgate_upstream_outstanding{{{q.REPLICAS}}})", "{{upstream}}"),
        low=0.0,
    )
    ejected = graph(
        "Left out",
        "Share of the replicas that leave an upstream out because its calls fail, and how often that began, each "
        "minute.",
        "short",
        Query(f"avg by (upstream) (tailgate_upstream_ejected{{{q.REPLICAS}}})", "{{upstream}}"),
        Query(
            f"sum by (upstream) (rate(tailgate_upstream_ejections_total{{{q.REPLICAS}}}[{q.RATE}])) * 60 > 0",
            "begun {{upstream}}",
        ),
        low=0.0,
    )
    again = graph(
        "Tried again",
        "Calls made each second because another had failed, by where they went, and requests that were not tried "
        "again for want of a budget.",
        "reqps",
        Query(f"sum by (upstream) (rate(tailgate_upstream_repeats_total{{{q.REPLICAS}}}[{q.RATE}]))", "{{upstream}}"),
        Query(
            f"sum by (pool) (rate(tailgate_retries_refused_total{{{q.REPLICAS}}}[{q.RATE}])) > 0", "refused {{pool}}"
        ),
        low=0.0,
    )
    hedged = graph(
        "Hedged",
        "Calls made each second because another upstream had not answered the same request yet, by where they went; "
        "those of them that were answered first; and slow requests that were given to nobody else, by why.",
        "reqps",
        Query(f"sum by (upstream) (rate(tailgate_upstream_hedges_total{{{q.REPLICAS}}}[{q.RATE}]))", "{{upstream}}"),
        Query(f"sum(rate(tailgate_upstream_hedges_won_total{{{q.REPLICAS}}}[{q.RATE}]))", "won"),
        Query(f"sum by (reason) (rate(tailgate_unhedged_total{{{q.REPLICAS}}}[{q.RATE}])) > 0", "not: {{reason}}"),
        low=0.0,
    )
    section(
        page,
        "Upstreams",
        *((up, 12, 7), (failures, 12, 7)),
        *((share, 12, 7), (ends, 12, 7)),
        *((panel, 6, 7) for panel in (outstanding, ejected, again, hedged)),
    )
