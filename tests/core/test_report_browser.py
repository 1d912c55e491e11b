"""The report in a real browser, as narrow as a phone: nothing is cut off, and the page does not scroll sideways."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")

LOOK = """
const seen = document.getElementById("seen"), inside = seen.contentDocument, wide = seen.clientWidth;
const told = {width: wide, scrolls: inside.documentElement.scrollWidth, beyond: [], cut: [], figures: 0, small: []};
const boxed = (element) => element.closest(".scroll, svg") !== null;
for (const details of inside.querySelectorAll("details")) details.open = true;
for (const element of inside.body.querySelectorAll("*")) {
  const at = element.getBoundingClientRect();
  if (!boxed(element) && at.width && (at.right > wide + 0.5 || at.left < -0.5)) beyond(element);
}
function beyond(element) { told.beyond.push(element.outerHTML.slice(0, 120)); }
for (const svg of inside.querySelectorAll("figure svg")) {
  const frame = svg.getBoundingClientRect();
  if (!frame.width) continue;
  told.figures += 1;
  for (const text of svg.querySelectorAll("text")) {
    const at = text.getBoundingClientRect();
    const aside = at.left < frame.left - 1 || at.right > frame.right + 1;
    if (aside || at.top < frame.top - 1 || at.bottom > frame.bottom + 1)
      told.cut.push(svg.getAttribute("aria-label") + ": " + text.textContent);
    if (text.textContent.trim() && at.height < 8) told.small.push(text.textContent);
  }
}
told.after = inside.documentElement.scrollWidth;
document.body.textContent = JSON.stringify(told);
"""


def seen_at(page: Path, width: int, folder: Path) -> dict[str, Any]:
    """What a browser finds of the page in a window this wide: within a frame, for a browser's own has a least width."""
    framed = html.escape(page.read_text(), quote=True)
    outer = folder / "outer.html"
    outer.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body><iframe id="seen" width="{width}" height="900" style="border: 0" '
        f'srcdoc="{framed}"></iframe><script>addEventListener("load", () => {{ {LOOK} }});</script>'
    )
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),  # its sandbox refuses to run as root
        "--dump-dom",
        outer.as_uri(),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
    body = re.search(r"<body>(.*)</body>", done.stdout, re.DOTALL)
    assert body
    found: dict[str, Any] = json.loads(html.unescape(body[1]))
    return found


@pytest.mark.parametrize("width", [375, 1200])
def test_nothing_is_cut_off_and_the_page_never_scrolls_sideways(whole_report: Path, tmp_path: Path, width: int) -> None:
    found = seen_at(whole_report / "report.html", width, tmp_path)
    assert found["width"] == width
    assert found["figures"] == 10  # of each pair one
    assert found["beyond"] == []
    assert found["cut"] == []
    assert found["small"] == []  # text that nobody could read
    assert (found["scrolls"], found["after"]) == (width, width)
