"""Every metric's value at one instant.

A `Snapshot` copies the books, so that every count of a scrape is of one instant: in each scrape
``tailgate_received_total`` equals the sum of ``tailgate_requests_total`` and ``tailgate_in_flight``.

Must not live here: what a metric means (`metrics.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from tailgate import __version__
from tailgate.gauges import AccessCounts, Gauges, LabelCounts, ReloadCounts, ShadowCounts
from tailgate.ledger import Histogram, Ledger
from tailgate.metrics import (
    ACCESS_REFUSALS,
    ADMISSION_BOUND,
    ADMISSION_IN_FLIGHT,
    ADMISSION_LIMIT,
    ADMISSION_STRICTNESS,
    ADMISSION_TRIED,
    ADMISSION_WAIT,
    ADMISSION_WAITING,
    ADMISSION_WOULD_REFUSE,
    BUILD,
    CONNECTION_ENDS,
    CONNECTIONS,
    DEADLINE,
    DETECTOR_ALARMS,
    DETECTOR_STATISTIC,
    DETECTOR_THRESHOLD,
    DUE,
    EXPECTED_ANSWERS,
    EXPECTED_ERROR,
    EXPECTED_LOOKED_AT,
    EXPECTED_RIGHT,
    EXPECTED_SPREAD,
    FLOOR,
    GC_PAUSE,
    HELD,
    IN_FLIGHT,
    LABEL_DELAY,
    LABELLED,
    LABELLED_SQUARES,
    LABELLED_WEIGHT,
    LABELS,
    LABELS_PENDING,
    LATENCY,
    LOOP_LAG,
    MODEL_INFO,
    OBJECTIVE,
    PREDICTIONS_PENDING,
    PREDICTIONS_UNLABELLED,
    RECEIVED,
    RECONCILED_ANSWERS,
    RECONCILED_EXPECTED,
    RECONCILED_RIGHT,
    RELOAD_SUCCESS,
    RELOAD_TIME,
    RELOADS,
    REQUESTS,
    RESERVE,
    RETRIES_REFUSED,
    RIGHT_LATENCY,
    RIGHT_RATIO,
    SHADOW_AGREEMENTS,
    SHADOW_DROPPED,
    SHADOW_HELD,
    SHADOW_IN_FLIGHT,
    SHADOW_LABELLED,
    SHADOW_LATENCY,
    SHADOW_REQUESTS,
    SHADOW_UNLABELLED,
    STAGES,
    TLS_EXPIRY,
    TLS_HANDSHAKE_FAILURES,
    TLS_RELOAD_FAILURES,
    TLS_RELOADS,
    TOKEN_RELOAD_FAILURES,
    TOKEN_RELOADS,
    TRACE_RECORDS,
    UNHEDGED,
    UPSTREAM_ATTEMPTS,
    UPSTREAM_EJECTED,
    UPSTREAM_EJECTIONS,
    UPSTREAM_HEDGES,
    UPSTREAM_HEDGES_WON,
    UPSTREAM_OUTSTANDING,
    UPSTREAM_REPEATS,
    UPSTREAM_UP,
    Definition,
)


class Snapshot:
    """All counts of one instant: what a renderer takes for a registry, on any thread.

    Copying the counts takes a fraction of a millisecond; making samples of them takes many, and is done only when they
    are asked for.
    """

    def __init__(self, ledger: Ledger, gauges: Gauges) -> None:
        """Copy the counts now, on the thread that owns them; the histograms among the gauges are copied as well."""
        self._ledger = ledger.copy()
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Every metric of `DEFINITIONS`, in that order."""
        yield from _of_requests(self._ledger, self._gauges.in_flight)
        yield from _of_labels(self._gauges.labels)
        yield from _of_expectations(self._ledger, self._gauges)
        yield from _of_objectives(self._gauges)
        yield from _of_proxy(self._gauges)
        yield from _of_access(self._gauges.access)
        yield from _of_reloads(self._gauges.reloads)
        yield from _of_shadows(self._gauges.shadows)


def _of_requests(ledger: Ledger, in_flight: int | None) -> Iterator[Metric]:
    series = ledger.series.items()
    yield _with(BUILD, ((), {"version": __version__}))
    yield _with(RECEIVED, ((), ledger.received))
    yield _with(IN_FLIGHT, ((), ledger.in_flight if in_flight is None else in_flight))
    yield _with(
        REQUESTS,
        *(((*key, outcome.label), count) for key, books in series for outcome, count in books.outcomes.items()),
    )
    yield _with(DUE, *((key, books.due) for key, books in series))
    for definition, name in ((LABELLED, "labelled"), (LABELLED_WEIGHT, "weight")):
        yield _with(
            definition,
            *(
                ((*key, outcome.label, verdict.value), count)
                for key, books in series
                for (outcome, verdict), count in getattr(books, name).items()
            ),
        )
    yield _with(LABELLED_SQUARES, *((key, books.weight_squares) for key, books in series))
    yield _with_histograms(LATENCY, *((key, books.latency) for key, books in series))
    yield _with_histograms(RIGHT_LATENCY, *((key, books.right_latency) for key, books in series))
    yield _with_histograms(RIGHT_RATIO, *((key, books.right_ratio) for key, books in series))
    stages = (("forward", ledger.forward), ("upstream", ledger.upstream), ("reply", ledger.reply))
    yield _with_histograms(STAGES, *(((stage,), histogram) for stage, histogram in stages))


def _of_labels(labels: LabelCounts | None) -> Iterator[Metric]:
    counts = labels or LabelCounts({}, 0, {}, 0, {})
    yield _with(LABELS, *(((result,), count) for result, count in counts.results.items()))
    yield _with(LABELS_PENDING, ((), counts.pending))
    yield _with_histograms(LABEL_DELAY, *(((model,), delays) for model, delays in counts.delays.items()))
    yield _with(PREDICTIONS_PENDING, ((), counts.predictions_pending))
    yield _with(PREDICTIONS_UNLABELLED, *(((reason,), count) for reason, count in counts.unlabelled.items()))


def _of_expectations(ledger: Ledger, gauges: Gauges) -> Iterator[Metric]:
    series = [(key, books.expected) for key, books in ledger.series.items()]
    yield _with(EXPECTED_LOOKED_AT, *((key, expected.looked_at) for key, expected in series))
    yield _with(EXPECTED_ANSWERS, *((key, expected.answers) for key, expected in series))
    yield _with(EXPECTED_RIGHT, *((key, expected.right) for key, expected in series))
    yield _with(EXPECTED_SPREAD, *((key, expected.spread) for key, expected in series))
    past = gauges.past_errors.items()
    yield _with(RECONCILED_ANSWERS, *((key, counts.answers) for key, counts in past))
    yield _with(RECONCILED_EXPECTED, *((key, counts.expected) for key, counts in past))
    yield _with(RECONCILED_RIGHT, *((key, counts.right) for key, counts in past))
    yield _with_histograms(EXPECTED_ERROR, *((key, counts.sizes) for key, counts in past))


def _of_objectives(gauges: Gauges) -> Iterator[Metric]:
    yield _with(MODEL_INFO, *(((*key, role), 1) for key, role in gauges.roles.items()))
    yield _with(DEADLINE, *(((model,), deadline_s) for model, deadline_s in gauges.deadlines_s.items()))
    yield _with(OBJECTIVE, *(((model,), objective) for model, objective in gauges.objectives.items()))
    yield _with(FLOOR, *(((model,), floor) for model, floor in gauges.floors.items()))
    detectors = gauges.detectors.items()
    yield _with(DETECTOR_STATISTIC, *((key, state.statistic) for key, state in detectors))
    yield _with(DETECTOR_THRESHOLD, *((key, state.threshold) for key, state in detectors))
    yield _with(DETECTOR_ALARMS, *((key, state.alarms) for key, state in detectors))


def _of_admission(gauges: Gauges) -> Iterator[Metric]:
    pools = gauges.admission.items()
    yield _with(ADMISSION_LIMIT, *(((name,), counts.limit) for name, counts in pools))
    yield _with(ADMISSION_IN_FLIGHT, *(((name,), counts.in_flight) for name, counts in pools))
    yield _with(ADMISSION_WAITING, *(((name,), counts.waiting) for name, counts in pools))
    bounds = [(name, counts.line_bound) for name, counts in pools if counts.line_bound is not None]
    yield _with(ADMISSION_BOUND, *(((name,), bound) for name, bound in bounds))
    yield _with_histograms(ADMISSION_WAIT, *(((name,), counts.waits) for name, counts in pools))
    yield _with(
        ADMISSION_TRIED,
        *(
            ((name, result), count)
            for name, counts in pools
            for result, count in (("in_time", counts.tried_in_time), ("in_vain", counts.tried_in_vain))
        ),
    )
    yield _with(ADMISSION_WOULD_REFUSE, *(((name,), counts.would_refuse) for name, counts in pools))
    yield _with(ADMISSION_STRICTNESS, *(((name,), counts.strictness) for name, counts in pools))


def _of_upstreams(gauges: Gauges) -> Iterator[Metric]:
    members = gauges.members.items()
    up: dict[str, bool] = {}
    for (_, address), counts in members:  # one that belongs to several upstreams is one server all the same
        up[address] = up.get(address, True) and counts.ready
    yield _with(UPSTREAM_UP, *(((address,), int(ready)) for address, ready in up.items()))
    yield _with(UPSTREAM_EJECTED, *((key, int(counts.ejected)) for key, counts in members))
    yield _with(UPSTREAM_EJECTIONS, *((key, counts.ejections) for key, counts in members))
    yield _with(UPSTREAM_OUTSTANDING, *((key, counts.outstanding) for key, counts in members))
    yield _with(
        UPSTREAM_ATTEMPTS,
        *(((*key, result), count) for key, counts in members for result, count in counts.results.items()),
    )
    yield _with(UPSTREAM_REPEATS, *((key, counts.repeats) for key, counts in members))
    yield _with(UPSTREAM_HEDGES, *((key, counts.hedges) for key, counts in members))
    yield _with(UPSTREAM_HEDGES_WON, *((key, counts.hedges_won) for key, counts in members))
    yield _with(UNHEDGED, *gauges.unhedged.items())
    yield _with(RETRIES_REFUSED, *(((name,), count) for name, count in gauges.retries_refused.items()))


def _of_proxy(gauges: Gauges) -> Iterator[Metric]:
    yield from _of_upstreams(gauges)
    yield from _of_admission(gauges)
    yield _with(
        TRACE_RECORDS,
        (("written",), gauges.trace_written),
        (("dropped",), gauges.trace_dropped),
        (("label_dropped",), gauges.trace_labels_dropped),
    )
    for definition, histogram in ((LOOP_LAG, gauges.loop_lag), (GC_PAUSE, gauges.gc_pauses)):
        yield _with_histograms(definition, *(() if histogram is None else (((), histogram),)))
    yield _with(RESERVE, ((), gauges.reserve_s))
    yield _with(CONNECTIONS, ((), gauges.connections))
    yield _with(CONNECTION_ENDS, *(((reason,), count) for reason, count in gauges.connection_ends.items()))
    yield _with(HELD, ((), gauges.held_bytes))
    yield _with(TLS_EXPIRY, *(((role,), expiry_s) for role, expiry_s in gauges.certificate_expiries_s.items()))
    yield _with(TLS_RELOADS, *(((side,), counts.reloads) for side, counts in gauges.tls.items()))
    yield _with(TLS_RELOAD_FAILURES, *(((side,), counts.reload_failures) for side, counts in gauges.tls.items()))
    yield _with(TLS_HANDSHAKE_FAILURES, *(((side,), counts.handshake_failures) for side, counts in gauges.tls.items()))


def _of_access(access: AccessCounts | None) -> Iterator[Metric]:
    refusals = {} if access is None else access.refusals
    yield _with(ACCESS_REFUSALS, *(((scope, reason), count) for (scope, reason), count in refusals.items()))
    yield _with(TOKEN_RELOADS, *(() if access is None else (((), access.reloads),)))
    yield _with(TOKEN_RELOAD_FAILURES, *(() if access is None else (((), access.reload_failures),)))


def _of_reloads(reloads: ReloadCounts | None) -> Iterator[Metric]:
    there = [] if reloads is None else [reloads]
    yield _with(RELOAD_SUCCESS, *(((), int(one.success)) for one in there))
    yield _with(RELOAD_TIME, *(((), one.success_unix_s) for one in there))
    results = [(("success",), one.successes) for one in there] + [(("failure",), one.failures) for one in there]
    yield _with(RELOADS, *results)


def _of_shadows(shadows: ShadowCounts | None) -> Iterator[Metric]:
    there = [] if shadows is None else [shadows]
    series = [one for counts in there for one in counts.ledger.series.items()]
    yield _with(SHADOW_IN_FLIGHT, *(((), counts.ledger.in_flight) for counts in there))
    yield _with(
        SHADOW_REQUESTS,
        *(((*key, outcome.label), count) for key, books in series for outcome, count in books.outcomes.items()),
    )
    yield _with(
        SHADOW_LABELLED,
        *(
            ((*key, outcome.label, verdict.value), count)
            for key, books in series
            for (outcome, verdict), count in books.labelled.items()
        ),
    )
    yield _with(
        SHADOW_UNLABELLED, *(((reason,), count) for counts in there for reason, count in counts.unlabelled.items())
    )
    yield _with_histograms(SHADOW_LATENCY, *((key, books.latency) for key, books in series))
    yield _with(
        SHADOW_AGREEMENTS,
        *(
            ((model, version, "same" if same else "other"), count)
            for counts in there
            for (model, version, same), count in counts.agreements.items()
        ),
    )
    yield _with(SHADOW_DROPPED, *(((reason,), count) for counts in there for reason, count in counts.dropped.items()))
    yield _with(SHADOW_HELD, *(((), counts.held_bytes) for counts in there))


def _with(definition: Definition, *samples: tuple[tuple[str, ...], Any]) -> Metric:
    family = definition.family()
    for labels, value in samples:
        family.add_metric(labels, value)
    metric: Metric = family
    return metric


def _with_histograms(definition: Definition, *samples: tuple[tuple[str, ...], Histogram]) -> Metric:
    family = definition.family()
    for labels, histogram in samples:
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, histogram.cumulative(), strict=True)), histogram.sum)
    metric: Metric = family
    return metric
