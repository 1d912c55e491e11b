"""Tailgate from its compiled wheel, in an environment of its own beside the one that this process runs in."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
_SOURCES = ("tailgate", "server/tailgate_server", "proxy/tailgate_proxy", "loadgen/tailgate_loadgen")


def cannot_compile() -> str | None:
    """Why nothing can be compiled here, or None."""
    if shutil.which("cc") is None:
        return "there is no C compiler (cc)"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's header files are not installed"
    return None


def compiled_python() -> Path:
    """The Python of an environment with the compiled wheel of the sources as they are now; made once and kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tailgate" / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    environment = cache / f"compiled-{_state_of_sources()}"
    if not environment.exists():
        with TemporaryDirectory(dir=cache) as folder:
            make_environment(Path(folder) / "new")
            (Path(folder) / "new").rename(environment)
    return environment / "bin" / "python"


def make_environment(folder: Path, optimisation: str = "3") -> Path:
    """Build the compiled wheel and unpack it into a new environment, which has all else from this one; its Python.

    What is run in it should be run with ``-I``, so that no source is found before the wheel. Without optimisation ("0")
    a build takes a fraction of the time, and what was built does the same, but slower.
    """
    with TemporaryDirectory() as built:
        command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", built)
        enabled = os.environ | {"HATCH_BUILD_HOOK_ENABLE_CUSTOM": "1", "MYPYC_OPT_LEVEL": optimisation}
        done = subprocess.run(command, cwd=ROOT, env=enabled, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"the compiled wheel could not be built: {done.stdout[-800:]}{done.stderr[-800:]}")
        venv.create(folder, symlinks=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        (wheel,) = Path(built).glob("*.whl")
        zipfile.ZipFile(wheel).extractall(packages)
    # These paths come after the wheel's, and what makes this environment's Tailgate editable is not looked at there.
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "all-else.pth").write_text("\n".join(sorted(paths)))
    return folder / "bin" / "python"


def _state_of_sources() -> str:
    """Changes with all that a build depends on."""
    digest = hashlib.sha256(f"{sys.version} {sys.prefix}".encode())
    files = (path for folder in _SOURCES for path in (ROOT / folder).rglob("*.py"))
    for path in sorted((*files, ROOT / "pyproject.toml", ROOT / "hatch_build.py")):
        digest.update(f"{path.relative_to(ROOT)} ".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
