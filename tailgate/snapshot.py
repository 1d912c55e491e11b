"""Every metric's value at one instant.

A `Snapshot` copies the books, so that every count of a scrape is of one instant: in each scrape
``tailgate_received_total`` equals the sum of ``tailgate_requests_total`` and ``tailgate_in_flight``.

Must not live here: what a metric means (`metrics.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from tailgate import __version__
from tailgate.ledger import Histogram, Ledger, Series
from tailgate.metrics import (
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
    REQUESTS,
    RIGHT_LATENCY,
    RIGHT_RATIO,
    STAGES,
    TLS_EXPIRY,
    TLS_HANDSHAKE_FAILURES,
    TLS_RELOAD_FAILURES,
    TLS_RELOADS,
    TRACE_RECORDS,
    UPSTREAM_UP,
    Definition,
)


@dataclass(frozen=True)
class TlsCounts:
    """What has happened on one side of TLS.

    Attributes:
        reloads: Times that new certificate files were put to use.
        reload_failures: Looks that found new ones unusable.
        handshake_failures: Handshakes that failed.
    """

    reloads: int
    reload_failures: int
    handshake_failures: int


@dataclass(frozen=True)
class LabelCounts:
    """What has happened to labels.

    Attributes:
        results: Labels by what became of them; every result is there from the start.
        pending: Labels whose request is not known yet.
        delays: From a request's arrival to its label, by model.
        predictions_pending: Requests that may still be labelled.
        unlabelled: Requests that were given up waiting for a label, by reason.
    """

    results: Mapping[str, int]
    pending: int
    delays: Mapping[str, Histogram]
    predictions_pending: int
    unlabelled: Mapping[str, int]


@dataclass(frozen=True)
class PastErrorCounts:
    """How wrong the expectations of a model version were.

    Attributes:
        answers: That were reconciled with their labels, by weight.
        expected: How many of these had been expected to be right.
        right: How many were.
        sizes: Of the errors, minute by minute.
    """

    answers: float
    expected: float
    right: float
    sizes: Histogram


@dataclass(frozen=True)
class DetectorState:
    """How a detector stands: its evidence, the evidence at which it alarms, how often it has."""

    statistic: float
    threshold: float
    alarms: int


@dataclass(frozen=True)
class Gauges:
    """What a scrape shows beside the books.

    Attributes:
        deadlines_s: By model.
        upstreams: Whether each answers that it is ready, by address.
        trace_written: Observations in the trace.
        trace_dropped: Observations lost to the disk.
        loop_lag: Of the event loop.
        connections: Clients that are connected.
        connection_ends: How connections ended, by reason.
        held_bytes: What waits in the proxy.
        certificate_expiries_s: When what is in use for TLS expires, in seconds since the epoch, by role.
        tls: What has happened to TLS, by side; those without it are missing.
        objectives: By model.
        floors: By model.
        roles: By model and version.
        labels: What has happened to labels; None where none are taken.
        past_errors: By model and version; those without labels are missing.
        detectors: By series; those without an objective are missing.
        gc_pauses: Of the garbage collector.
        trace_labels_dropped: Labels that came after their observations and were lost to the disk.
    """

    deadlines_s: Mapping[str, float] = field(default_factory=dict)
    upstreams: Mapping[str, bool] = field(default_factory=dict)
    trace_written: int = 0
    trace_dropped: int = 0
    loop_lag: Histogram | None = None
    connections: int = 0
    connection_ends: Mapping[str, int] = field(default_factory=dict)
    held_bytes: int = 0
    certificate_expiries_s: Mapping[str, float] = field(default_factory=dict)
    tls: Mapping[str, TlsCounts] = field(default_factory=dict)
    objectives: Mapping[str, float] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)
    roles: Mapping[tuple[str, str], str] = field(default_factory=dict)
    labels: LabelCounts | None = None
    past_errors: Mapping[tuple[str, str], PastErrorCounts] = field(default_factory=dict)
    detectors: Mapping[Series, DetectorState] = field(default_factory=dict)
    gc_pauses: Histogram | None = None
    trace_labels_dropped: int = 0


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
        yield from _of_requests(self._ledger)
        yield from _of_labels(self._gauges.labels)
        yield from _of_expectations(self._ledger, self._gauges)
        yield from _of_objectives(self._gauges)
        yield from _of_proxy(self._gauges)


def _of_requests(ledger: Ledger) -> Iterator[Metric]:
    series = ledger.series.items()
    yield _with(BUILD, ((), {"version": __version__}))
    yield _with(RECEIVED, ((), ledger.received))
    yield _with(IN_FLIGHT, ((), ledger.in_flight))
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


def _of_proxy(gauges: Gauges) -> Iterator[Metric]:
    yield _with(UPSTREAM_UP, *(((address,), int(up)) for address, up in gauges.upstreams.items()))
    yield _with(
        TRACE_RECORDS,
        (("written",), gauges.trace_written),
        (("dropped",), gauges.trace_dropped),
        (("label_dropped",), gauges.trace_labels_dropped),
    )
    for definition, histogram in ((LOOP_LAG, gauges.loop_lag), (GC_PAUSE, gauges.gc_pauses)):
        yield _with_histograms(definition, *(() if histogram is None else (((), histogram),)))
    yield _with(CONNECTIONS, ((), gauges.connections))
    yield _with(CONNECTION_ENDS, *(((reason,), count) for reason, count in gauges.connection_ends.items()))
    yield _with(HELD, ((), gauges.held_bytes))
    yield _with(TLS_EXPIRY, *(((role,), expiry_s) for role, expiry_s in gauges.certificate_expiries_s.items()))
    yield _with(TLS_RELOADS, *(((side,), counts.reloads) for side, counts in gauges.tls.items()))
    yield _with(TLS_RELOAD_FAILURES, *(((side,), counts.reload_failures) for side, counts in gauges.tls.items()))
    yield _with(TLS_HANDSHAKE_FAILURES, *(((side,), counts.handshake_failures) for side, counts in gauges.tls.items()))


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
