"""The proxy's state as a document: what `/status.json` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailgate import __version__
from tailgate.build_info import compiled
from tailgate.ledger import Ledger
from tailgate.observation import Verdict
from tailgate.outcome import PROXY_OUTCOMES, Outcome
from tailgate_proxy.config import ProxyConfig

SCHEMA_VERSION = 1


def status_document(
    config: ProxyConfig,
    ledger: Ledger,
    *,
    upstream_ready: bool,
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
        "upstream": {"address": str(config.upstream), "ready": upstream_ready},
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
