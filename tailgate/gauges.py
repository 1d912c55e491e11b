"""What a scrape shows beside the books: counts and states of the proxy's parts at one instant, as they hand them over.

Must not live here: what a metric means (`metrics/`), and how it becomes one (`snapshot.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tailgate.ledger import Histogram, Ledger, Series


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
class AccessCounts:
    """What has happened where tokens are asked for.

    Attributes:
        refusals: Requests that were not let in, by scope and reason; all are there from the start.
        reloads: Times that a new file of tokens was put to use.
        reload_failures: Looks that found a new one unusable.
    """

    refusals: Mapping[tuple[str, str], int]
    reloads: int
    reload_failures: int


@dataclass(frozen=True)
class ReloadCounts:
    """What has become of other configurations.

    Attributes:
        success: Whether what is in use is what was asked for last.
        success_unix_s: When it was put to use.
        successes: Times that one was put to use, after the first.
        failures: Times that one could not be.
    """

    success: bool
    success_unix_s: float
    successes: int
    failures: int


@dataclass(frozen=True)
class ShadowCounts:
    """What has become of copies of requests.

    Attributes:
        ledger: Their books.
        dropped: Requests that were to be copied and were not, by reason; all are there from the start.
        agreements: Copies and originals that were both answered, by the model and version of the copy, and by whether
            both name the same class.
        held_bytes: What copies hold.
        unlabelled: Copies that were given up waiting for a label, by reason; all are there from the start.
    """

    ledger: Ledger
    dropped: Mapping[str, int]
    agreements: Mapping[tuple[str, str, bool], int]
    held_bytes: int
    unlabelled: Mapping[str, int]


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
class AdmissionCounts:
    """How the admission to an upstream stands.

    Attributes:
        limit: Requests that may be there at once.
        in_flight: That are.
        waiting: That wait for their turn.
        line_bound: That may wait; None while nobody knows.
        waits: How long those waited who had their turn.
        tried_in_time: Would-be refusals that were tried, and answered in time.
        tried_in_vain: The same that were not.
        would_refuse: Would-be refusals in mode observe.
        strictness: Of refusing what would be late, from 0 to 1.
    """

    limit: int
    in_flight: int
    waiting: int
    line_bound: int | None
    waits: Histogram
    tried_in_time: int
    tried_in_vain: int
    would_refuse: int
    strictness: float


@dataclass(frozen=True)
class MemberCounts:
    """How a server behind the proxy is.

    Attributes:
        ready: By its probes.
        ejected: Whether it is left out for a while because its calls fail.
        outstanding: Calls that have not ended.
        results: Calls that have ended, by how.
        repeats: Calls that were made because another had failed.
        ejections: How often it was ejected.
        hedges: Calls that were made because another member had not answered yet.
        hedges_won: Those of them that were answered first.
    """

    ready: bool
    ejected: bool
    outstanding: int
    results: Mapping[str, int]
    repeats: int
    ejections: int
    hedges: int = 0
    hedges_won: int = 0


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
        members: The servers behind the proxy, by the name of the upstream and their address.
        admission: How the admission to each upstream stands, by its name; those without a limit are missing.
        retries_refused: Requests that were not tried again for want of a budget, by the name of the upstream.
        unhedged: Requests that were given to nobody else although their call was slow, by the name of the upstream and
            by why.
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
        reserve_s: How much less upstreams are told than requests have left.
        trace_labels_dropped: Labels that came after their observations and were lost to the disk.
        access: What has happened to those who had to be let in; None where everybody is.
        reloads: What has become of other configurations; None where there can be none.
        shadows: What has become of copies of requests; None where none are made.
        in_flight: Requests that have a place among those in flight, counted where places are given: held against what
            was received and has ended. None: what the books leave open.
    """

    deadlines_s: Mapping[str, float] = field(default_factory=dict)
    members: Mapping[tuple[str, str], MemberCounts] = field(default_factory=dict)
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
    reserve_s: float = 0.0
    trace_labels_dropped: int = 0
    retries_refused: Mapping[str, int] = field(default_factory=dict)
    unhedged: Mapping[tuple[str, str], int] = field(default_factory=dict)
    admission: Mapping[str, AdmissionCounts] = field(default_factory=dict)
    access: AccessCounts | None = None
    reloads: ReloadCounts | None = None
    shadows: ShadowCounts | None = None
    in_flight: int | None = None
