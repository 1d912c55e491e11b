"""Every metric's value at one instant.

A `Snapshot` copies the books, so that every count of a scrape is of one instant: in each scrape
``tailgate_received_total`` equals the sum of ``tailgate_requests_total`` and ``tailgate_in_flight``.

Must not live here: what a metric means (`metrics/`).
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
    admission,
    configuration,
    labels,
    process,
    quality,
    requests,
    security,
    shadows,
    upstreams,
)
from tailgate.metrics.definition import Definition


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
    yield _with(requests.BUILD, ((), {"version": __version__}))
    yield _with(requests.RECEIVED, ((), ledger.received))
    yield _with(requests.IN_FLIGHT, ((), ledger.in_flight if in_flight is None else in_flight))
    yield _with(
        requests.REQUESTS,
        *(((*key, outcome.label), count) for key, books in series for outcome, count in books.outcomes.items()),
    )
    yield _with(requests.DUE, *((key, books.due) for key, books in series))
    for definition, name in ((requests.LABELLED, "labelled"), (requests.LABELLED_WEIGHT, "weight")):
        yield _with(
            definition,
            *(
                ((*key, outcome.label, verdict.value), count)
                for key, books in series
                for (outcome, verdict), count in getattr(books, name).items()
            ),
        )
    yield _with(requests.LABELLED_SQUARES, *((key, books.weight_squares) for key, books in series))
    yield _with_histograms(requests.LATENCY, *((key, books.latency) for key, books in series))
    yield _with_histograms(requests.RIGHT_LATENCY, *((key, books.right_latency) for key, books in series))
    yield _with_histograms(requests.RIGHT_RATIO, *((key, books.right_ratio) for key, books in series))
    stages = (("forward", ledger.forward), ("upstream", ledger.upstream), ("reply", ledger.reply))
    yield _with_histograms(requests.STAGES, *(((stage,), histogram) for stage, histogram in stages))


def _of_labels(given: LabelCounts | None) -> Iterator[Metric]:
    counts = given or LabelCounts({}, 0, {}, 0, {})
    yield _with(labels.LABELS, *(((result,), count) for result, count in counts.results.items()))
    yield _with(labels.LABELS_PENDING, ((), counts.pending))
    yield _with_histograms(labels.LABEL_DELAY, *(((model,), delays) for model, delays in counts.delays.items()))
    yield _with(labels.PREDICTIONS_PENDING, ((), counts.predictions_pending))
    yield _with(labels.PREDICTIONS_UNLABELLED, *(((reason,), count) for reason, count in counts.unlabelled.items()))


def _of_expectations(ledger: Ledger, gauges: Gauges) -> Iterator[Metric]:
    series = [(key, books.expected) for key, books in ledger.series.items()]
    yield _with(quality.EXPECTED_LOOKED_AT, *((key, expected.looked_at) for key, expected in series))
    yield _with(quality.EXPECTED_ANSWERS, *((key, expected.answers) for key, expected in series))
    yield _with(quality.EXPECTED_RIGHT, *((key, expected.right) for key, expected in series))
    yield _with(quality.EXPECTED_SPREAD, *((key, expected.spread) for key, expected in series))
    past = gauges.past_errors.items()
    yield _with(quality.RECONCILED_ANSWERS, *((key, counts.answers) for key, counts in past))
    yield _with(quality.RECONCILED_EXPECTED, *((key, counts.expected) for key, counts in past))
    yield _with(quality.RECONCILED_RIGHT, *((key, counts.right) for key, counts in past))
    yield _with_histograms(quality.EXPECTED_ERROR, *((key, counts.sizes) for key, counts in past))


def _of_objectives(gauges: Gauges) -> Iterator[Metric]:
    yield _with(quality.MODEL_INFO, *(((*key, role), 1) for key, role in gauges.roles.items()))
    yield _with(quality.DEADLINE, *(((model,), deadline_s) for model, deadline_s in gauges.deadlines_s.items()))
    yield _with(quality.OBJECTIVE, *(((model,), objective) for model, objective in gauges.objectives.items()))
    yield _with(quality.FLOOR, *(((model,), floor) for model, floor in gauges.floors.items()))
    detectors = gauges.detectors.items()
    yield _with(quality.DETECTOR_STATISTIC, *((key, state.statistic) for key, state in detectors))
    yield _with(quality.DETECTOR_THRESHOLD, *((key, state.threshold) for key, state in detectors))
    yield _with(quality.DETECTOR_ALARMS, *((key, state.alarms) for key, state in detectors))


def _of_admission(gauges: Gauges) -> Iterator[Metric]:
    pools = gauges.admission.items()
    yield _with(admission.LIMIT, *(((name,), counts.limit) for name, counts in pools))
    yield _with(admission.IN_FLIGHT, *(((name,), counts.in_flight) for name, counts in pools))
    yield _with(admission.WAITING, *(((name,), counts.waiting) for name, counts in pools))
    bounds = [(name, counts.line_bound) for name, counts in pools if counts.line_bound is not None]
    yield _with(admission.BOUND, *(((name,), bound) for name, bound in bounds))
    yield _with_histograms(admission.WAIT, *(((name,), counts.waits) for name, counts in pools))
    yield _with(
        admission.TRIED,
        *(
            ((name, result), count)
            for name, counts in pools
            for result, count in (("in_time", counts.tried_in_time), ("in_vain", counts.tried_in_vain))
        ),
    )
    yield _with(admission.WOULD_REFUSE, *(((name,), counts.would_refuse) for name, counts in pools))
    yield _with(admission.STRICTNESS, *(((name,), counts.strictness) for name, counts in pools))


def _of_upstreams(gauges: Gauges) -> Iterator[Metric]:
    members = gauges.members.items()
    up: dict[str, bool] = {}
    for (_, address), counts in members:  # one that belongs to several upstreams is one server all the same
        up[address] = up.get(address, True) and counts.ready
    yield _with(upstreams.UP, *(((address,), int(ready)) for address, ready in up.items()))
    yield _with(upstreams.EJECTED, *((key, int(counts.ejected)) for key, counts in members))
    yield _with(upstreams.EJECTIONS, *((key, counts.ejections) for key, counts in members))
    yield _with(upstreams.OUTSTANDING, *((key, counts.outstanding) for key, counts in members))
    yield _with(
        upstreams.ATTEMPTS,
        *(((*key, result), count) for key, counts in members for result, count in counts.results.items()),
    )
    yield _with(upstreams.REPEATS, *((key, counts.repeats) for key, counts in members))
    yield _with(upstreams.HEDGES, *((key, counts.hedges) for key, counts in members))
    yield _with(upstreams.HEDGES_WON, *((key, counts.hedges_won) for key, counts in members))
    yield _with(upstreams.UNHEDGED, *gauges.unhedged.items())
    yield _with(upstreams.RETRIES_REFUSED, *(((name,), count) for name, count in gauges.retries_refused.items()))


def _of_proxy(gauges: Gauges) -> Iterator[Metric]:
    yield from _of_upstreams(gauges)
    yield from _of_admission(gauges)
    yield _with(
        process.TRACE_RECORDS,
        (("written",), gauges.trace_written),
        (("dropped",), gauges.trace_dropped),
        (("label_dropped",), gauges.trace_labels_dropped),
    )
    for definition, histogram in ((process.LOOP_LAG, gauges.loop_lag), (process.GC_PAUSE, gauges.gc_pauses)):
        yield _with_histograms(definition, *(() if histogram is None else (((), histogram),)))
    yield _with(process.RESERVE, ((), gauges.reserve_s))
    yield _with(process.CONNECTIONS, ((), gauges.connections))
    yield _with(process.CONNECTION_ENDS, *(((reason,), count) for reason, count in gauges.connection_ends.items()))
    yield _with(process.HELD, ((), gauges.held_bytes))
    yield _with(security.TLS_EXPIRY, *(((role,), expiry_s) for role, expiry_s in gauges.certificate_expiries_s.items()))
    yield _with(security.TLS_RELOADS, *(((side,), counts.reloads) for side, counts in gauges.tls.items()))
    yield _with(
        security.TLS_RELOAD_FAILURES, *(((side,), counts.reload_failures) for side, counts in gauges.tls.items())
    )
    yield _with(
        security.TLS_HANDSHAKE_FAILURES, *(((side,), counts.handshake_failures) for side, counts in gauges.tls.items())
    )


def _of_access(access: AccessCounts | None) -> Iterator[Metric]:
    refusals = {} if access is None else access.refusals
    yield _with(security.ACCESS_REFUSALS, *(((scope, reason), count) for (scope, reason), count in refusals.items()))
    yield _with(security.TOKEN_RELOADS, *(() if access is None else (((), access.reloads),)))
    yield _with(security.TOKEN_RELOAD_FAILURES, *(() if access is None else (((), access.reload_failures),)))


def _of_reloads(reloads: ReloadCounts | None) -> Iterator[Metric]:
    there = [] if reloads is None else [reloads]
    yield _with(configuration.RELOAD_SUCCESS, *(((), int(one.success)) for one in there))
    yield _with(configuration.RELOAD_TIME, *(((), one.success_unix_s) for one in there))
    results = [(("success",), one.successes) for one in there] + [(("failure",), one.failures) for one in there]
    yield _with(configuration.RELOADS, *results)


def _of_shadows(copies: ShadowCounts | None) -> Iterator[Metric]:
    there = [] if copies is None else [copies]
    series = [one for counts in there for one in counts.ledger.series.items()]
    yield _with(shadows.IN_FLIGHT, *(((), counts.ledger.in_flight) for counts in there))
    yield _with(
        shadows.REQUESTS,
        *(((*key, outcome.label), count) for key, books in series for outcome, count in books.outcomes.items()),
    )
    yield _with(
        shadows.LABELLED,
        *(
            ((*key, outcome.label, verdict.value), count)
            for key, books in series
            for (outcome, verdict), count in books.labelled.items()
        ),
    )
    yield _with(
        shadows.UNLABELLED,
        *(((reason,), count) for counts in there for reason, count in counts.unlabelled.items()),
    )
    yield _with_histograms(shadows.LATENCY, *((key, books.latency) for key, books in series))
    yield _with(
        shadows.AGREEMENTS,
        *(
            ((model, version, "same" if same else "other"), count)
            for counts in there
            for (model, version, same), count in counts.agreements.items()
        ),
    )
    yield _with(shadows.DROPPED, *(((reason,), count) for counts in there for reason, count in counts.dropped.items()))
    yield _with(shadows.HELD, *(((), counts.held_bytes) for counts in there))


def _with(definition: Definition, *samples: tuple[tuple[str, ...], Any]) -> Metric:
    family = definition.family()
    for names, value in samples:
        family.add_metric(names, value)
    metric: Metric = family
    return metric


def _with_histograms(definition: Definition, *samples: tuple[tuple[str, ...], Histogram]) -> Metric:
    family = definition.family()
    for names, histogram in samples:
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        family.add_metric(names, list(zip(bounds, histogram.cumulative(), strict=True)), histogram.sum)
    metric: Metric = family
    return metric
