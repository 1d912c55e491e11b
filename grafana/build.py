"""Write dashboards/*.json from tailgate_dashboards, or with --check say whether they are what it gives."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tailgate_dashboards import overview, proxy, rollout, tail

FOLDER = Path(__file__).resolve().parent / "dashboards"


def generate() -> dict[str, str]:
    """Each dashboard's file name and text."""
    texts = {}
    for page in (overview, tail, proxy, rollout):
        built = page.dashboard().build()
        for number, panel in enumerate(built.panels or [], start=1):
            panel.id_val = number  # else Grafana counts anew each time, and addresses of single panels change
        name = page.UID.removeprefix("tailgate-")
        texts[f"{name}.json"] = json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return texts


def main() -> int:
    """Generate, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a dashboard is stale")
    options = parser.parse_args()
    texts = generate()
    if not options.check:
        FOLDER.mkdir(exist_ok=True)
        for name, text in texts.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
        return 0
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    stale = sorted(name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name))
    for name in stale:
        sys.stderr.write(f"grafana/dashboards/{name} is stale; run `python grafana/build.py`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
