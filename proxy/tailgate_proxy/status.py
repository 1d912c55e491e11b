"""The proxy's state as a document: what `/status.json` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailgate import __version__
from tailgate.build_info import compiled
from tailgate.gauges import AdmissionCounts, MemberCounts
from tailgate.ledger import Ledger
from tailgate.observation import Verdict
from tailgate.outcome import PROXY_OUTCOMES, Outcome
from tailgate_proxy.config import ProxyConfig

SCHEMA_VERSION = 1


def status_document(
    config: ProxyConfig,
    ledger: Ledger,
    *,
    members: Mapping[tuple[str, str], MemberCounts],
    admission: Mapping[str, AdmissionCounts],
    draining: bool,
    connections: int,
    connection_ends: Mapping[str, int],
) -> dict[str, Any]:
    """Everything a person or a script asks first. Times are in seconds."""
    counts, judgements = ledger.outcomes(), ledger.judgements()
    answers = [outcome for outcome in PROXY_OUTCOMES if outcome.answered]
    right = sum(judgements[outcome, Verdict.RIGHT] for outcome in answers)
    right_in_time = judgements[Outcome.OK, Verdict.RIGHT]
    return {
        "schema_version": SCHEMA_VERSION,
        "version": __version__,
        "compiled": compiled(),
        "mode": config.mode.value,
        "deadline_s": config.deadline,
        "upstream": {
            "address": ", ".join(address for _, address in members),
            "ready": any(counts.ready for counts in members.values()),
        },
        "upstreams": [
            {
                "name": name,
                "address": address,
                "ready": counts.ready,
                "ejected": counts.ejected,
                "outstanding": counts.outstanding,
                "attempts": dict(counts.results),
                "repeats": counts.repeats,
                "ejections": counts.ejections,
                "hedges": counts.hedges,
                "hedges_won": counts.hedges_won,
            }
            for (name, address), counts in members.items()
        ],
        "admission": [
            {
                "name": name,
                "limit": counts.limit,
                "in_flight": counts.in_flight,
                "waiting": counts.waiting,
                "line_bound": counts.line_bound,
                "tried_in_time": counts.tried_in_time,
                "tried_in_vain": counts.tried_in_vain,
                "would_refuse": counts.would_refuse,
                "strictness": counts.strictness,
            }
            for name, counts in admission.items()
        ],
        "draining": draining,
        "received": ledger.received,
        "in_flight": ledger.in_flight,
        "connections": connections,
        "connection_ends": dict(connection_ends),
        "outcomes": {outcome.label: counts[outcome] for outcome in PROXY_OUTCOMES},
        "labelled": ledger.labelled,
        "answered_labelled": ledger.answered_labelled,
        "right": right,
        "right_in_time": right_in_time,
        "accuracy_of_answers": right / ledger.answered_labelled if ledger.answered_labelled else None,
        "time_critical_accuracy": right_in_time / ledger.labelled if ledger.labelled else None,
        "models": [
            {"model": model, "version": version, "slice": part, "requests": sum(books.outcomes.values())}
            for (model, version, part), books in sorted(ledger.series.items())
        ],
    }
