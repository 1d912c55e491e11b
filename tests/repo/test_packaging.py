"""What a user installs: the wheel holds everything, and works without the source beside it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "tailgate": ROOT / "tailgate",
    "tailgate_server": ROOT / "server" / "tailgate_server",
    "tailgate_proxy": ROOT / "proxy" / "tailgate_proxy",
    "tailgate_loadgen": ROOT / "loadgen" / "tailgate_loadgen",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT, check=True, capture_output=True, timeout=900,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_four_packages(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(Path(package) / path.relative_to(base))
        for package, base in PACKAGES.items()
        for path in base.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in inside if ".dist-info/" not in name} == expected
    assert all(f"{package}/py.typed" in inside for package in PACKAGES)


def test_the_wheel_works_without_the_source(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(installed)
    check = (
        "import sys, tailgate, tailgate.report.command, tailgate_proxy.app, tailgate_loadgen.command;"
        f"assert all(m.__file__.startswith({str(installed)!r}) for n, m in sys.modules.items()"
        " if n.partition('.')[0].startswith('tailgate') and m.__file__);"
        "from tailgate.cli import main; main(['--help'])"
    )
    # -P and a path in front of the environment's: the checkout is not found, this copy is.
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(installed)!r}); {check}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for command in ("server", "proxy", "load", "report", "demo"):
        assert command in done.stdout
