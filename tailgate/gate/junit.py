"""A verdict as JUnit XML, as Jenkins, GitLab, GitHub's actions and Azure read it: a test case for each check."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from tailgate.gate.judge import Verdict

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def junit(verdict: Verdict) -> str:
    """The document: what does not hold is a failure, what cannot be said an error."""
    failures = sum(check.holds is False for check in verdict.checks)
    errors = sum(check.holds is None for check in verdict.checks)
    counts = {"tests": str(len(verdict.checks)), "failures": str(failures), "errors": str(errors), "time": "0"}
    root = ET.Element("testsuites", {"name": "tailgate gate", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": _clean(verdict.run), **counts, "skipped": "0"})
    for check in verdict.checks:
        name = {"classname": f"tailgate.gate.{_clean(verdict.run)}", "name": _clean(check.name), "time": "0"}
        case = ET.SubElement(suite, "testcase", name)
        if check.holds is True:
            ET.SubElement(case, "system-out").text = _clean(check.why)
            continue
        kind = "error" if check.holds is None else "failure"
        told = ET.SubElement(case, kind, {"message": _clean(check.why), "type": "tailgate.gate"})
        told.text = _clean(check.why)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold, however they got into a name."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
