"""Prometheus and Alertmanager: whether they are here, and the files that they are started with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tailgate.slo.config import SloConfig
from tailgate.slo.generate import generate

SCRAPE = "2s"
"""Between scrapes, so that something is to be seen soon."""

_PROGRAMS = {"prometheus": ("prometheus",), "alertmanager": ("alertmanager", "prometheus-alertmanager")}
_PACKAGES = {"prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}


@dataclass(frozen=True)
class Programs:
    """What is installed: paths, or None."""

    prometheus: str | None
    alertmanager: str | None

    @property
    def missing(self) -> list[str]:
        """A sentence for each that is not, with how to get it."""
        return [
            f"{name} is not installed, so it is left out; in Debian it is `apt-get install {_PACKAGES[name]}`"
            for name in _PROGRAMS
            if getattr(self, name) is None
        ]


def find_programs(which: Callable[[str], str | None] = shutil.which) -> Programs:
    """Look for them on the path, by the names they have in their own archives and in Debian."""
    found = {
        name: next((path for called in names if (path := which(called))), None) for name, names in _PROGRAMS.items()
    }
    return Programs(**found)


def slo_of(model: str, deadline_ms: float, objective: float, floor: float) -> SloConfig:
    """The promise for the one model there is."""
    return SloConfig.model_validate(
        {
            "scrape_interval": SCRAPE,
            "job": "tailgate",
            "objective": [{"model": model, "deadline": f"{deadline_ms:g}ms", "objective": objective, "floor": floor}],
        }
    )


def write_files(folder: Path, slo: SloConfig, alertmanager: str | None, webhook: str) -> None:
    """Write what Prometheus and Alertmanager read: their configurations, and the rules.

    Args:
        folder: Where.
        slo: What is promised.
        alertmanager: Its address, or None where there is none.
        webhook: Where alerts are sent.
    """
    for path, text in generate(slo).items():
        if path.parts[0] == "rules":
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    (folder / "targets").mkdir(exist_ok=True)
    # JSON is YAML, and needs no library.
    config: dict[str, object] = {
        "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
        "rule_files": ["rules/*.yml"],
        "scrape_configs": [{"job_name": slo.job, "file_sd_configs": [{"files": ["targets/*.json"]}]}],
    }
    if alertmanager is not None:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    (folder / "prometheus.yml").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    route = {
        "receiver": "up",
        "group_by": ["alertname", "model", "severity"],
        "group_wait": "1s",
        "group_interval": "5s",
    }
    receiver = {"name": "up", "webhook_configs": [{"url": webhook, "send_resolved": True}]}
    (folder / "alertmanager.yml").write_text(
        json.dumps({"route": route, "receivers": [receiver]}, indent=2) + "\n", encoding="utf-8"
    )
