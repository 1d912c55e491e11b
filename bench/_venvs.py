"""Virtual environments of peers that are Python packages: made in the user's cache the first time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def venv_python(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of an environment in which exactly these requirements were installed.

    A half-made environment is never used: it is made beside its place and its marker is written last.
    """
    told = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tailgate" / "bench"
    folder = cache / f"{name}-{told}"
    python, marker = folder / "bin" / "python", folder / "complete"
    if not marker.exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {', '.join(requirements)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=False)
        if done.returncode != 0:
            raise SystemExit(f"pip could not install {' '.join(requirements)}; without it, leave {name} out")
        marker.touch()
    return python


def installed_version(python: Path, package: str) -> str:
    """Of a package in another environment."""
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
