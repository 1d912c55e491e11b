"""The compiled wheel: what the list in pyproject.toml names is compiled, and does what the source does."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from bench._compiled import ROOT, cannot_compile, make_environment

pytestmark = pytest.mark.skipif(cannot_compile() is not None, reason=f"{cannot_compile()}")

TESTS = ("tests/core/http2", "tests/proxy/test_front.py", "tests/proxy/test_proxy.py")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("compiled") / "environment", optimisation="0")


def run(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a folder without the source, isolated from it by Python, and from the pytest that runs this."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [python, "-I", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )


def listed_modules() -> list[str]:
    """The names of the modules that are to be compiled."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    hook, bases = wheel["hooks"]["custom"], {str(Path(package).parent) for package in wheel["packages"]}
    names = []
    for path in sorted({path.relative_to(ROOT) for glob in hook["compile"] for path in ROOT.glob(glob)}):
        if str(path) not in hook["plain"] and path.name != "__init__.py":
            inside = path.relative_to(path.parts[0]) if path.parts[0] in bases else path
            names.append(".".join(inside.with_suffix("").parts))
    return names


def test_every_listed_module_is_compiled_and_every_other_is_not(python: Path, tmp_path: Path) -> None:
    show = (
        "import sys, importlib; [importlib.import_module(name) for name in sys.argv[1:]];"
        "print(*sorted(n for n, m in sys.modules.items() if n.startswith('tailgate') and '__mypyc' not in n"
        " and (m.__file__ or '').endswith('.so')))"
    )
    names = listed_modules()
    shown = run(python, tmp_path, "-c", show, *names, "tailgate_proxy.app", "tailgate.cli")
    assert shown.stdout.split() == sorted(names), shown.stderr
    assert len(names) > 30


def test_it_says_that_it_is_compiled(python: Path, tmp_path: Path) -> None:
    assert run(python, tmp_path, "-m", "tailgate", "--version").stdout.endswith(" (compiled)\n")


def test_the_protocol_and_the_proxy_pass_their_tests_when_compiled(python: Path, tmp_path: Path) -> None:
    (tmp_path / "fuzz").symlink_to(ROOT / "fuzz")  # which tests import from beside the source
    paths = ("--override-ini", f"pythonpath={tmp_path}")
    options = ("--config-file", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), *paths)
    tests = (str(ROOT / path) for path in TESTS)
    done = run(python, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", *options, *tests)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
