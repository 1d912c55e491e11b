"""What Prometheus would have scraped of the requests that `history` makes: every series, as lines with time stamps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from bench._prometheus import SCRAPE_S
from tailgate.ledger import latency_buckets_s
from tailgate.outcome import ANSWER_SEEN, PROXY_OUTCOMES
from verify.expected import expectations
from verify.history import (
    DEADLINE_S,
    FLOOR,
    FULL,
    HOURS,
    MODEL,
    OBJECTIVE,
    OFFSETS_S,
    RESTART,
    ROLES,
    SLOW,
    START_S,
    VERSIONS,
    Flags,
    Floats,
    Requests,
)
from verify.series import Lives, cumulative, groups, histogram, series, since_known, target

RATIO_BOUNDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
DELAY_BOUNDS_S = (1.0, 5.0, 15.0, 60.0, 300.0)
LAG_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
STAGE_BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def openmetrics(requests: Requests) -> Iterator[str]:
    """The lines of an OpenMetrics file with time stamps, for ``promtool tsdb create-blocks-from openmetrics``."""
    lives = [
        (0, np.arange(OFFSETS_S[0], HOURS * 3600.0, SCRAPE_S)),
        *((1, part) for part in _around(np.arange(OFFSETS_S[1], HOURS * 3600.0, SCRAPE_S), RESTART)),
    ]
    for family in (_counts, _labels, expectations, _histograms, _gauges):
        yield from family(requests, lives)
    yield "# EOF\n"


def _around(scrapes: Floats, gap: tuple[float, float]) -> tuple[Floats, Floats]:
    return scrapes[scrapes < gap[0]], scrapes[scrapes >= sum(gap)]


def _counts(requests: Requests, lives: Lives) -> Iterator[str]:
    yield "# TYPE tailgate_received counter\n"
    for replica, scrapes in lives:
        came = requests.arrival_s[requests.replica == replica]
        yield from series("tailgate_received_total", target(replica), scrapes, cumulative(came, scrapes))
    yield "# TYPE tailgate_due_requests counter\n"
    end_s = requests.end_s
    due_s = np.minimum(end_s, requests.arrival_s + DEADLINE_S)
    for labels, scrapes, mine in groups(requests, lives):
        yield from series("tailgate_due_requests_total", labels, scrapes, cumulative(due_s[mine], scrapes))
    yield "# TYPE tailgate_requests counter\n"
    for labels, scrapes, mine in groups(requests, lives):
        for outcome in PROXY_OUTCOMES:
            counted = cumulative(end_s[mine & (requests.outcome == outcome)], scrapes)
            yield from series("tailgate_requests_total", {**labels, "outcome": outcome.label}, scrapes, counted)


def _labels(requests: Requests, lives: Lives) -> Iterator[str]:
    known_s = requests.arrival_s + requests.delay_s
    for name, weights in (("tailgate_labelled_requests", None), ("tailgate_labelled_weight", requests.weight)):
        yield f"# TYPE {name} counter\n"
        for labels, scrapes, mine in groups(requests, lives):
            for outcome in PROXY_OUTCOMES:
                seen = outcome in ANSWER_SEEN
                for verdict in ("right", "wrong", "unknown") if seen else ("unknown",):
                    chosen = mine & requests.labelled & (requests.outcome == outcome)
                    if seen:
                        chosen &= (requests.right == (verdict == "right")) & (verdict != "unknown")
                    chosen_weights = None if weights is None else weights[chosen]
                    values = cumulative(known_s[chosen], scrapes, chosen_weights)
                    yield from series(
                        f"{name}_total", {**labels, "outcome": outcome.label, "verdict": verdict}, scrapes, values
                    )
    yield "# TYPE tailgate_labelled_weight_squares counter\n"
    for labels, scrapes, mine in groups(requests, lives):
        chosen = mine & requests.labelled
        values = cumulative(known_s[chosen], scrapes, requests.weight[chosen] ** 2)
        yield from series("tailgate_labelled_weight_squares_total", labels, scrapes, values)
    yield "# TYPE tailgate_labels counter\n"
    for replica, scrapes in lives:
        mine = requests.labelled & (requests.replica == replica)
        for result, every in (("joined", 1), ("duplicate", 500), ("late", 2000), ("unknown", 3000)):
            values = cumulative(known_s[mine][::every], scrapes)
            yield from series("tailgate_labels_total", {**target(replica), "result": result}, scrapes, values)
        for result in ("correction", "conflict", "rejected", "handed_over"):
            labels = {**target(replica), "result": result}
            yield from series("tailgate_labels_total", labels, scrapes, np.zeros(len(scrapes)))


def _histograms(requests: Requests, lives: Lives) -> Iterator[str]:
    latency, end_s, known_s = requests.latency_s, requests.end_s, requests.arrival_s + requests.delay_s
    right = requests.right & requests.labelled
    bounds = latency_buckets_s([DEADLINE_S])
    kinds: tuple[tuple[str, tuple[float, ...], Flags, Floats, Floats], ...] = (
        ("tailgate_latency_seconds", bounds, np.ones(len(latency), bool), end_s, latency),
        ("tailgate_right_latency_seconds", bounds, right, known_s, latency),
        ("tailgate_right_deadline_ratio", RATIO_BOUNDS, right, known_s, latency / DEADLINE_S),
    )
    for name, edges, chosen, when_s, values in kinds:
        yield f"# TYPE {name} histogram\n"
        for labels, scrapes, mine in groups(requests, lives):
            yield from histogram(name, labels, scrapes, edges, when_s[mine & chosen], values[mine & chosen])
    yield "# TYPE tailgate_label_delay_seconds histogram\n"
    for replica, scrapes in lives:
        mine = requests.labelled & (requests.replica == replica)
        labels = {**target(replica), "model": MODEL}
        yield from histogram(
            "tailgate_label_delay_seconds", labels, scrapes, DELAY_BOUNDS_S, known_s[mine], requests.delay_s[mine]
        )
    rng = np.random.default_rng(11)
    for name, edges, usual_s, every_s in (
        ("tailgate_event_loop_lag_seconds", LAG_BOUNDS_S, 6e-4, 0.5),
        ("tailgate_gc_pause_seconds", LAG_BOUNDS_S, 2e-3, 4.0),
    ):
        yield f"# TYPE {name} histogram\n"
        for replica, scrapes in lives:
            when_s = np.arange(0.0, HOURS * 3600.0, every_s)
            values = rng.lognormal(np.log(usual_s), 0.8, len(when_s))
            values[(when_s >= SLOW[0]) & (when_s < sum(SLOW))] *= 6
            yield from histogram(name, target(replica), scrapes, edges, when_s, values)
    yield "# TYPE tailgate_stage_seconds histogram\n"
    answered = np.flatnonzero(np.isin(requests.outcome, ANSWER_SEEN))
    forward, reply = (rng.lognormal(np.log(usual_s), 0.5, len(answered)) for usual_s in (7e-5, 9e-5))
    stages = {"forward": forward, "upstream": latency[answered] - forward - reply, "reply": reply}
    for (replica, scrapes), (stage, values) in product(lives, stages.items()):
        mine = requests.replica[answered] == replica
        labels = {**target(replica), "stage": stage}
        yield from histogram(
            "tailgate_stage_seconds", labels, scrapes, STAGE_BOUNDS_S, end_s[answered][mine], values[mine]
        )


def _gauges(requests: Requests, lives: Lives) -> Iterator[str]:
    rng = np.random.default_rng(13)
    model = {"model": MODEL}

    def constant(value: float) -> Callable[[Floats], Floats]:
        return lambda scrapes: np.full(len(scrapes), value)

    def around(value: float, spell: tuple[float, float], factor: float) -> Callable[[Floats], Floats]:
        def values(scrapes: Floats) -> Floats:
            inside = (scrapes >= spell[0]) & (scrapes < sum(spell))
            drawn: Floats = np.round(rng.poisson(value, len(scrapes)) * np.where(inside, factor, 1.0)).astype(
                np.float64
            )
            return drawn

        return values

    every: tuple[tuple[str, dict[str, str], Callable[[Floats], Floats]], ...] = (
        ("up", {}, constant(1.0)),
        ("tailgate_build_info", {"version": "0.4.0"}, constant(1.0)),
        ("tailgate_objective_ratio", model, constant(OBJECTIVE)),
        ("tailgate_window_floor_ratio", model, constant(FLOOR)),
        ("tailgate_deadline_seconds", model, constant(DEADLINE_S)),
        ("tailgate_upstream_up", {"upstream": "127.0.0.1:8001"}, constant(1.0)),
        ("tailgate_upstream_up", {"upstream": "127.0.0.1:8002"}, constant(1.0)),
        ("tailgate_in_flight", {}, around(3.0, SLOW, 4.0)),
        ("tailgate_connections", {}, around(24.0, FULL, 1.5)),
        ("tailgate_held_bytes", {}, around(40_000.0, SLOW, 6.0)),
        ("tailgate_labels_pending", {}, around(1.0, SLOW, 1.0)),
        ("tailgate_predictions_pending", {}, around(60.0, SLOW, 1.0)),
        ("tailgate_budget_reserve_seconds", {}, constant(0.0012)),
    )
    for name in dict.fromkeys(one[0] for one in every):
        yield f"# TYPE {name} gauge\n"
        for replica, scrapes in lives:
            for _, labels, values in (one for one in every if one[0] == name):
                yield from series(name, {**target(replica), **labels}, scrapes, values(scrapes))
    yield "# TYPE tailgate_model_info gauge\n"
    for (replica, scrapes), version in product(lives, range(2)):
        known = since_known(version, scrapes)
        if len(known):
            labels = {**target(replica), **model, "version": VERSIONS[version], "role": ROLES[version]}
            yield from series("tailgate_model_info", labels, known, np.ones(len(known)))
    yield "# TYPE tailgate_tls_certificate_expiry_timestamp_seconds gauge\n"
    for replica, scrapes in lives:
        expiry = START_S + 86400.0 * np.where(scrapes < 7200.0, 9.0, 90.0)
        labels = {**target(replica), "role": "server"}
        yield from series("tailgate_tls_certificate_expiry_timestamp_seconds", labels, scrapes, expiry)
    yield from _other_counters(requests, lives)
    yield from _detector(requests, lives)


def _other_counters(requests: Requests, lives: Lives) -> Iterator[str]:
    trickle = np.arange(0.0, HOURS * 3600.0, 9.0)

    def ended(replica: int) -> Floats:
        times_s: Floats = requests.end_s[requests.replica == replica]
        return times_s

    def given_up(replica: int) -> Floats:
        times_s: Floats = requests.end_s[(requests.replica == replica) & ~requests.labelled] + 600.0
        return times_s

    def every(count: int) -> Callable[[int], Floats]:
        return lambda _: trickle[::count]

    def never(_: int) -> Floats:
        return trickle[:0]

    counters: tuple[tuple[str, str, dict[str, Callable[[int], Floats]]], ...] = (
        ("tailgate_trace_records", "result", {"written": ended, "dropped": never, "label_dropped": never}),
        ("tailgate_predictions_unlabelled", "reason", {"age": given_up, "count": never}),
        ("tailgate_connection_ends", "reason", {"client": every(1), "idle": every(9), "handshake": every(300)}),
        ("tailgate_tls_reloads", "side", {"server": every(800), "upstream": never}),
        ("tailgate_tls_reload_failures", "side", {"server": never, "upstream": never}),
        ("tailgate_tls_handshake_failures", "side", {"server": every(400), "upstream": never}),
    )
    for name, label, values in counters:
        yield f"# TYPE {name} counter\n"
        for (replica, scrapes), (value, events_s) in product(lives, values.items()):
            labels = {**target(replica), label: value}
            yield from series(f"{name}_total", labels, scrapes, cumulative(events_s(replica), scrapes))


def _detector(requests: Requests, lives: Lives) -> Iterator[str]:
    """Of the detector's shape, not its work: one bet against 0.95, which starts anew at an alarm."""
    threshold, baseline, bet = 1e6, OBJECTIVE, 0.5
    found: dict[str, list[str]] = {"statistic": [], "threshold": [], "alarms": []}
    for labels, scrapes, mine in groups(requests, lives):
        known_s = (requests.arrival_s + requests.delay_s)[mine & requests.labelled]
        good = (requests.right & requests.in_time)[mine & requests.labelled]
        gained = cumulative(known_s, scrapes, np.log1p(bet * (baseline - good)))
        statistic, alarms, low = np.ones(len(scrapes)), np.zeros(len(scrapes)), 0.0
        for index, value in enumerate(gained):
            low = min(low, value)
            statistic[index] = np.exp(min(value - low, 50.0))
            alarms[index] = alarms[index - 1] if index else 0.0
            if statistic[index] >= threshold:
                statistic[index], alarms[index], low = threshold, alarms[index] + 1, value
        for name, values in (
            ("statistic", statistic),
            ("threshold", np.full(len(scrapes), threshold)),
            ("alarms", alarms),
        ):
            suffix = "_total" if name == "alarms" else ""
            found[name] += series(f"tailgate_detector_{name}{suffix}", labels, scrapes, values)
    for name, history in found.items():
        yield f"# TYPE tailgate_detector_{name} {'counter' if name == 'alarms' else 'gauge'}\n"
        yield from history
