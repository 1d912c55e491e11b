"""Rollout: is the canary worse than what it is to replace, in which slice, and since which change."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from tailgate_dashboards import queries as q
from tailgate_dashboards.frame import frame, link_to, runbook, section
from tailgate_dashboards.marks import bound, colour, link, volume
from tailgate_dashboards.outcomes import CAUSE_COLOURS, ROLE_COLOURS
from tailgate_dashboards.panels import GREEN, RED, figure, graph
from tailgate_dashboards.recorded import CANARY_Z, recorded
from tailgate_dashboards.tables import Column, rows
from tailgate_dashboards.targets import Query

UID = "tailgate-rollout"
_ROLES = f"topk by (model, version) (1, max by (model, version, role) (tailgate_model_info{{{q.MODELS}}}))"
"""While replicas disagree about a version's role, one of the roles is taken."""
_HOUR = "1h"
_SURE = 4.2
"""Standard errors beyond which the alert fires."""


def dashboard() -> build.Dashboard:
    """The page beside which a version is let in."""
    page = frame(UID, "Tailgate / Rollout", "Is the canary worse than what it is to replace, and for whom?", hours=3)
    _verdict(page)
    _course(page)
    _causes(page)
    _shadow(page)
    return page


def _by_role(metric: str, window: str, by: tuple[str, ...], *matchers: str, role: str = "") -> str:
    """A counter's events, summed over the versions that have a role."""
    roles = _ROLES.replace("}", f',role="{role}"}}') if role else _ROLES
    inner = f"{q.per_second(metric, window, *matchers)} * on (model, version) group_left (role) {roles}"
    return q.total(by, inner)


def _right(window: str, by: tuple[str, ...], role: str = "") -> str:
    return _by_role("tailgate_labelled_requests_total", window, by, 'outcome="ok"', 'verdict="right"', role=role)


def _labelled(window: str, by: tuple[str, ...], role: str = "") -> str:
    return _by_role("tailgate_labelled_requests_total", window, by, role=role)


def _tca(window: str, by: tuple[str, ...], role: str = "") -> str:
    return q.ratio(_right(window, by, role), _labelled(window, by, role))


def _difference(window: str) -> str:
    slices = ("model", "slice")
    return f"({_tca(window, slices, 'canary')}) - ({_tca(window, slices, 'stable')})"


def _z() -> str:
    return recorded(CANARY_Z, 'model=~"$model",slice=~"$slice"')


def _verdict(page: build.Dashboard) -> None:
    table = rows(
        "Canary against stable, by slice, last hour",
        "Time-critical accuracy of labelled requests over the last hour, as the rules compare it, for the versions "
        "that are canary and stable now. In a canary's first hour stable's share reaches back before it; z does not, "
        "for it compares minute by minute: by how many standard errors the canary differs, and below -4.2 chance does "
        "not explain it, however often one looks. A rare slice can be hurt badly while the whole hardly moves.",
        {"model": "Model", "slice": "Slice"},
        [
            Column("Canary requests", _labelled(_HOUR, ("model", "slice"), "canary"), "locale", decimals=0),
            Column("Stable requests", _labelled(_HOUR, ("model", "slice"), "stable"), "locale", decimals=0),
            Column("Canary", _tca(_HOUR, ("model", "slice"), "canary"), "percentunit", decimals=1),
            Column("Stable", _tca(_HOUR, ("model", "slice"), "stable"), "percentunit", decimals=1),
            Column("Difference", _difference(_HOUR), "percentunit", decimals=1),
            Column("z", f"max by (model, slice) ({_z()})", "short", ((None, RED), (-_SURE, "text"), (_SURE, GREEN)), 1),
        ],
        sort="z",
        nothing="No canary",
    )
    share = figure(
        "Traffic of the canary",
        "Of the requests of the last 5 minutes, the share that a canary version answered.",
        "percentunit",
        Query(
            f"({_by_role('tailgate_requests_total', q.JUST_NOW, q.MODEL, role='canary')})"
            f" / ({_by_role('tailgate_requests_total', q.JUST_NOW, q.MODEL)} > 0)",
            "{{model}}",
        ),
        nothing="No canary",
        decimals=1,
    )
    versions = rows(
        "Versions",
        "Which version has which role now, at how many requests each second over the last 5 minutes.",
        {"model": "Model", "version": "Version", "role": "Role"},
        [
            Column(
                "Requests/s",
                f"{_by_role('tailgate_requests_total', q.JUST_NOW, ('model', 'version', 'role'))} / 300",
                "reqps",
                decimals=1,
            )
        ],
    )
    for panel in (table, share):
        link(panel, ("Runbook: canary worse", runbook("TailgateCanaryWorse")))
    section(page, "Is it worse, and for whom?", (table, 14, 7), (versions, 6, 7), (share, 4, 7))


def _course(page: build.Dashboard) -> None:
    by = ("model", "slice", "role")
    accuracy = graph(
        "Time-critical accuracy, canary and stable",
        "Of labelled requests, over steps of 5 minutes or more, by slice. Dashed: the objective. Vertical lines: "
        "changes of versions and roles. Grey ground: labelled requests of canaries, each second.",
        "percentunit",
        Query(_tca(q.RATE, by), "{{role}} {{model}} {{slice}}"),
        Query(q.objective(), "objective {{model}}"),
        Query(_labelled(q.RATE, (), "canary"), "canary requests"),
        least="5m",
        high=1.0,
        decimals=1,
    )
    volume(accuracy, "canary requests")
    bound(accuracy, "/^objective /", "#8E8E8E")
    z = graph(
        "z of the canary",
        "By how many standard errors the canary differs from stable in the minutes of the last hour, by slice, as the "
        "rules record it; below -4.2 the alert fires. It is of all replicas.",
        "short",
        Query(_z(), "{{model}} {{slice}}"),
        Query(f"vector({-_SURE})", "alert below"),
        decimals=1,
    )
    bound(z, "/^alert below$/", RED)
    for panel in (accuracy, z):
        link(panel, ("Runbook: canary worse", runbook("TailgateCanaryWorse")))
    section(page, "Since when?", (accuracy, 14, 12), (z, 10, 12))


def _causes(page: build.Dashboard) -> None:
    roles = ("canary", "stable")
    losses = []
    for role in roles:
        panel = graph(
            f"Lost by {role} versions, by cause",
            "What time-critical accuracy of labelled requests lacks to 100 %, by cause: is the new version slower, "
            "or wrong more often? Volumes stand in the panel above and beside.",
            "percentunit",
            *(Query(_lost(cause, role), cause) for cause in CAUSE_COLOURS),
            stacked=True,
            low=0.0,
            decimals=1,
            least="5m",
            totals=(),
        )
        colour(panel, CAUSE_COLOURS)
        link(panel, ("Windows and causes", link_to("tailgate-tail")))
        losses.append(panel)
    latency = graph(
        "Latency of right answers",
        "The 95 % quantile, interpolated in the histogram's buckets, by role. Dashed: the deadline.",
        "s",
        Query(
            q.quantile_of(0.95, _by_role("tailgate_right_latency_seconds_bucket", q.RATE, ("role", "le"))),
            "{{role}}",
        ),
        Query(q.deadline(), "deadline {{model}}"),
        least="5m",
        low=0.0,
    )
    colour(latency, ROLE_COLOURS)
    bound(latency, "/^deadline /", RED)
    requests = graph(
        "Requests by role",
        "Requests that ended, each second.",
        "reqps",
        Query(_by_role("tailgate_requests_total", q.RATE, ("role",)), "{{role}}"),
        least="5m",
        stacked=True,
        low=0.0,
    )
    colour(requests, ROLE_COLOURS)
    section(page, "Why?", *((panel, 12, 9) for panel in losses), (latency, 12, 9), (requests, 12, 9))


def _shadow(page: build.Dashboard) -> None:
    by = ("model", "version")
    labelled = _copies("tailgate_shadow_labelled_requests_total", by)
    right = _copies("tailgate_shadow_labelled_requests_total", by, 'outcome="ok"', 'verdict="right"')
    asked = _copies("tailgate_shadow_requests_total", by)
    accuracy = graph(
        "Time-critical accuracy of shadows",
        "Of copies whose label is known: it came with their request, or was given for that afterwards. Dashed: the "
        "objective. Grey ground: copies that ended, each second. Clients get none of these answers, and none of them "
        "counts for a client.",
        "percentunit",
        Query(q.ratio(right, labelled), "{{model}} {{version}}"),
        Query(q.objective(), "objective {{model}}"),
        Query(_copies("tailgate_shadow_requests_total", ()), "copies"),
        least="5m",
        high=1.0,
        decimals=1,
    )
    volume(accuracy, "copies")
    bound(accuracy, "/^objective /", "#8E8E8E")
    shares = graph(
        "Shadows in time, and of one mind",
        "In time: of all copies, those that were answered by the deadline of their original. Same class: of the copies "
        "whose answer names a class, as that of the original does, those that name the same. How many copies there "
        "are stands beside it.",
        "percentunit",
        Query(
            q.ratio(_copies("tailgate_shadow_requests_total", by, 'outcome="ok"'), asked),
            "in time {{model}} {{version}}",
        ),
        Query(
            q.ratio(
                _copies("tailgate_shadow_agreements_total", by, 'class="same"'),
                _copies("tailgate_shadow_agreements_total", by),
            ),
            "same class {{model}} {{version}}",
        ),
        least="5m",
        high=1.0,
        decimals=1,
    )
    times = graph(
        "Latency of shadows",
        "The 95 % quantile, interpolated in the histogram's buckets, from the sending of a copy to its end.",
        "s",
        Query(
            q.quantile_of(0.95, _copies("tailgate_shadow_latency_seconds_bucket", (*by, "le"))),
            "{{model}} {{version}}",
        ),
        least="5m",
        low=0.0,
    )
    room = graph(
        "What shadows take",
        "Copies that have not ended, by replica.",
        "short",
        Query(f"sum by (instance) (tailgate_shadow_in_flight{{{q.REPLICAS}}})", "{{instance}}"),
        low=0.0,
    )
    held = graph(
        "Bytes held by shadows",
        "Of copies that wait to be whole, or for their end, by replica.",
        "bytes",
        Query(f"sum by (instance) (tailgate_shadow_held_bytes{{{q.REPLICAS}}})", "{{instance}}"),
        low=0.0,
    )
    dropped = graph(
        "Not copied",
        "Requests that were to be copied and were not, each second, by reason; they themselves went on as ever.",
        "reqps",
        Query(f"sum by (reason) (rate(tailgate_shadow_dropped_total{{{q.REPLICAS}}}[{q.RATE}])) > 0", "{{reason}}"),
        low=0.0,
    )
    unlabelled = graph(
        "Never labelled",
        "Copies that were given up waiting for a label, because they were too old or too many, each second, by reason.",
        "reqps",
        Query(f"sum by (reason) (rate(tailgate_shadow_unlabelled_total{{{q.REPLICAS}}}[{q.RATE}]))", "{{reason}}"),
        low=0.0,
    )
    section(
        page,
        "Shadows",
        *((panel, 8, 9) for panel in (accuracy, shares, times)),
        *((panel, 6, 7) for panel in (room, held, dropped, unlabelled)),
    )


def _copies(metric: str, by: tuple[str, ...], *matchers: str) -> str:
    """A counter of copies, each second. Their versions are not among those that requests have."""
    return q.total(by, q.per_second(metric, q.RATE, *matchers, where=q.MODELS))


def _lost(cause: str, role: str) -> str:
    name, window = "tailgate_labelled_requests_total", q.RATE
    matchers = q.cause_matchers(cause)
    return q.ratio(_by_role(name, window, (), *matchers, role=role), _labelled(window, (), role))
