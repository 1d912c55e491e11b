"""Pictures of the dashboards, drawn by Grafana's own components in a headless Chromium from answers already there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "render"
WIDTH = 1792
_SHRINK = "--loader:.ttf=empty"


def bundle(work: Path) -> Path:
    """Install Grafana's components beside the answers, not in the repository, and bundle our page with them."""
    folder = work / "render"
    folder.mkdir(parents=True, exist_ok=True)
    for source in SOURCES.iterdir():
        shutil.copy(source, folder / source.name)
    if not (folder / "node_modules").is_dir():
        _run(folder, "npm", "install", "--no-audit", "--no-fund")
    _run(
        *(folder, "node_modules/.bin/esbuild", "app.jsx", "--bundle", "--outfile=bundle.js", "--jsx=automatic"),
        *('--define:process.env.NODE_ENV="production"', "--minify", _SHRINK, "--log-level=error"),
    )
    return folder


def draw(folder: Path, answers: Path, picture: Path) -> list[str]:
    """Write the picture of one dashboard; returns a line for each panel that could not be drawn."""
    page = json.loads(answers.read_text())
    frozen = f"window.NOW_MS = {page['to_s'] * 1000:.0f};"
    (folder / "page.js").write_text(f"{frozen}\nwindow.PAGE = {json.dumps(page)};\n")
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in page["dashboard"]["panels"]) * 38 + 60
    chromium = (
        *(
            "chromium",
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-dev-shm-usage",
        ),
        *(f"--user-data-dir={folder / 'profile'}", f"--window-size={WIDTH},{height}", "--virtual-time-budget=15000"),
        *("--allow-file-access-from-files", "--force-device-scale-factor=1", (folder / "index.html").as_uri()),
    )
    drawn = _run(folder, *chromium[:-1], "--dump-dom", chromium[-1])
    picture.parent.mkdir(parents=True, exist_ok=True)
    _run(folder, *chromium[:-1], f"--screenshot={picture.resolve()}", chromium[-1])
    return [f"NOT DRAWN {page['dashboard']['title']}: {text}" for text in re.findall(r'class="failed">([^<]*)<', drawn)]


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(  # noqa: S603  # our own words
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-3000:]}")
    return done.stdout
