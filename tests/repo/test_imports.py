"""Who may import what: the table of docs/design.md, held against every import statement in the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The longest prefix that fits a module decides. Beside these, everything may import the standard library and numpy.
OURS = {
    "tailgate": {"tailgate"},
    "tailgate.pb": {"tailgate.pb"},
    "tailgate.protocol": {"tailgate.protocol", "tailgate.errors", "tailgate.pb"},
    "tailgate.metrics": {"tailgate.metrics"},
    "tailgate.snapshot": {"tailgate.__version__", "tailgate.gauges", "tailgate.ledger", "tailgate.metrics"},
    "tailgate_server": {"tailgate", "tailgate_server"},
    "tailgate_proxy": {"tailgate", "tailgate_proxy"},
    "tailgate_loadgen": {"tailgate", "tailgate_loadgen"},
}
THEIRS: dict[str, set[str]] = {
    "tailgate": set(),
    "tailgate.cli": set(),
    "tailgate.audit": {"prometheus_client", "rich"},
    "tailgate.comparison": {"rich"},
    "tailgate.config": {"pydantic", "pydantic_core"},
    "tailgate.digits": {"sklearn"},
    "tailgate.http2": {"hpack"},
    "tailgate.metrics": {"prometheus_client"},
    "tailgate.pb": {"google"},
    "tailgate.prediction": {"rich"},
    "tailgate.protocol": {"google"},
    "tailgate.report": {"matplotlib", "jinja2", "rich"},
    "tailgate.slo": {"jinja2", "pydantic"},
    "tailgate.snapshot": {"prometheus_client"},
    "tailgate.trace.command": {"rich"},
    "tailgate.trace.convert": {"pyarrow"},
    "tailgate.trace.parquet": {"pyarrow"},
    "tailgate_server": {
        "grpc",
        "grpc_health",
        "grpc_reflection",
        "google",
        "torch",
        "torchvision",
        "safetensors",
        "PIL",
        "rich",
    },
    "tailgate_proxy": {"aiohttp", "cryptography", "google", "pydantic", "prometheus_client", "uvloop"},
    "tailgate_loadgen": {"google", "grpc", "PIL", "rich", "scipy", "uvloop"},
    "tailgate_loadgen.probe": {"google", "grpc", "jinja2", "rich"},
}
FORBIDDEN_IN_CORE = {"asyncio", "socket", "selectors", "time", "datetime", "threading", "multiprocessing", "subprocess"}
SHELLS_IN_CORE = {"tailgate.trace.recorder": {"threading"}, "tailgate.report.render": {"datetime"}}


def modules() -> list[tuple[str, Path]]:
    found = []
    for base, package in (
        (".", "tailgate"),
        ("server", "tailgate_server"),
        ("proxy", "tailgate_proxy"),
        ("loadgen", "tailgate_loadgen"),
    ):
        for path in sorted((ROOT / base / package).rglob("*.py")):
            parts = path.relative_to(ROOT / base).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "tailgate":
                yield from ((node.lineno, f"tailgate.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def rule(table: dict[str, set[str]], module: str) -> set[str]:
    return table[max((key for key in table if module == key or module.startswith(f"{key}.")), key=len)]


def within(name: str, allowed: set[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)


@pytest.mark.parametrize(("module", "path"), modules(), ids=[module for module, _ in modules()])
def test_a_module_imports_only_what_the_table_allows(module: str, path: Path) -> None:
    wrong = []
    for line, name in imports(path):
        top = name.partition(".")[0]
        if top.startswith("tailgate"):
            allowed = within(name, rule(OURS, module))
        elif top in sys.stdlib_module_names:
            core = module.partition(".")[0] == "tailgate"
            allowed = not core or top not in FORBIDDEN_IN_CORE or top in SHELLS_IN_CORE.get(module, set())
        else:
            allowed = top == "numpy" or top in rule(THEIRS, module)
        if not allowed:
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong


def test_the_table_is_about_packages_that_exist() -> None:
    names = {module for module, _ in modules()}
    assert all(key in names for key in OURS | THEIRS)
    assert all(key in names for key in SHELLS_IN_CORE)
