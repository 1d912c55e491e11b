"""What the documents say is there, is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tailgate.errors import UsageError
from tailgate.outcome import PROXY_OUTCOMES

ROOT = Path(__file__).resolve().parents[2]
_SKIPPED = {".venv", "runs", "build", "dist", ".git", ".pytest_cache", ".hypothesis"}
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not _SKIPPED.intersection(path.relative_to(ROOT).parts))
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    targets = [target for target in _LINK.findall(document.read_text()) if "://" not in target]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize(
    ("command", "document"),
    [
        ("proxy", "proxy/README.md"),
        ("load", "loadgen/README.md"),
        ("server", "server/README.md"),
        ("up", "docs/up.md"),
        ("probe", "docs/probe.md"),
        ("gate", "docs/gate.md"),
        ("audit", "docs/audit.md"),
        ("compare", "docs/compare.md"),
        ("predict", "docs/prediction.md"),
        ("report", "docs/report.md"),
    ],
)
def test_every_option_a_command_has_stands_in_its_readme_and_the_other_way_round(command: str, document: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tailgate", command, "--help"], capture_output=True, text=True, check=True, timeout=300
    ).stdout
    offered = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", shown)) - {"--help", "--log-level"}
    text = (ROOT / document).read_text()
    table = "\n".join(line for line in text.splitlines() if line.startswith("| `--"))
    described = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", table)) - {"--log-level"}
    assert offered <= described
    assert {row.split("`")[1].split()[0] for row in table.splitlines()} - {"--log-level"} <= offered


def test_every_outcome_of_the_proxy_stands_in_its_readme() -> None:
    text = (ROOT / "proxy" / "README.md").read_text()
    assert [outcome.label for outcome in PROXY_OUTCOMES if f"| `{outcome.label}` |" not in text] == []


def test_every_dependency_has_its_line() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *(r for rs in project["optional-dependencies"].values() for r in rs)]
    names = {re.split(r"[^A-Za-z0-9_.-]", requirement)[0] for requirement in required} - {"tailgate"}
    text = (ROOT / "docs" / "dependencies.md").read_text()
    missing = [name for name in names if name not in text and not name.startswith("types-")]
    assert not missing


def test_the_makefile_lists_every_target_it_has() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.M)[1].split())  # type: ignore[index]  # it is there
    described = set(re.findall(r"^([a-z]+):.*## ", text, re.M))
    assert phony == described


def test_every_mistake_a_user_can_make_is_a_usage_error() -> None:
    names = {cls.__name__ for cls in UsageError.__subclasses__()}
    assert names == {"ConfigError", "DatasetError", "WeightsError", "TraceError"}
