"""All invariants, in their order."""

from __future__ import annotations

from tailgate.audit.counters import counters
from tailgate.audit.evidence import Evidence
from tailgate.audit.executions import executions
from tailgate.audit.finding import Finding
from tailgate.audit.requests import requests
from tailgate.audit.traces import traces


def audit(evidence: Evidence, grace_s: float) -> list[Finding]:
    """Hold every invariant against the evidence.

    Args:
        evidence: What each side wrote down.
        grace_s: As for `tailgate.audit.requests.requests`.
    """
    findings = [*requests(evidence, grace_s), *traces(evidence), *counters(evidence), executions(evidence)]
    return sorted(findings, key=lambda finding: int(finding.code[1:]))
