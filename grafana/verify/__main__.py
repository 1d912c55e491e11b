"""`cd grafana && python -m verify`: backfill, ask every query, compare with the truth, draw.

Needs Debian's packages prometheus (with promtool) and, for drawing, chromium, node and npm. What it makes lies in the
folder that --work names and, of the pictures, in docs/images.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench._prometheus import Prometheus, backfill, read_rules, record
from tailgate_dashboards.recorded import (
    BAD_WINDOW,
    CANARY_Z,
    WINDOW_LABELLED,
    WINDOW_LABELLED_OF_SLICE,
    WINDOW_TCA,
    WINDOW_TCA_OF_SLICE,
    WINDOW_UPPER,
)
from verify import history
from verify.asking import Shown, answers, beside
from verify.render import bundle, draw
from verify.schema import mistakes
from verify.scraped import openmetrics
from verify.truth import compare

GRAFANA = Path(__file__).resolve().parent.parent
RECORDED = {
    BAD_WINDOW,
    CANARY_Z,
    WINDOW_LABELLED,
    WINDOW_LABELLED_OF_SLICE,
    WINDOW_TCA,
    WINDOW_TCA_OF_SLICE,
    WINDOW_UPPER,
}
EMPTY_IS_RIGHT = {
    ("Tailgate / Overview", "Alerts that fire now", "A"): "alerts are not evaluated over a backfilled history",
    ("Tailgate / Proxy", "Replicas scraped", "B"): "at the end of the history all replicas are reached",
}
_GONE = "annotation Versions gone"  # no version goes in this history


def main() -> int:
    """Verify; the exit status is 1 where a query is empty or a figure is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "tailgate" / "grafana")
    parser.add_argument("--keep", action="store_true", help="use the history that a run before has made")
    parser.add_argument("--draw", action="store_true", help="check types and draw, with Grafana's packages")
    options = parser.parse_args()
    data = options.work / "tsdb"
    requests = history.simulate()
    if not options.keep or not data.exists():
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        print(f"backfilling {len(requests.arrival_s):,} requests ...")
        backfill(openmetrics(requests), data)
        print("evaluating the recording rules over it ...")
        rules = sorted((GRAFANA.parent / "prometheus" / "rules").glob("*.yml"))
        recordings, _ = read_rules(rules, options.work)
        record(recordings, RECORDED, data, history.START_S, history.END_S)
    shown = Shown(history.START_S, history.END_S, {})
    pages = [json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))]
    empty: list[str] = []
    asked = 0
    with Prometheus(data) as server:
        for page in pages:
            found = answers(server, page, shown)
            empty += _empty(page, found)
            asked += sum(map(len, found.values()))
            returned = beside(server, page, shown)
            print(f"{page['title']}: " + ", ".join(f"{name} {number}" for name, number in returned.items()))
            empty += [f"EMPTY {page['title']} / {name}" for name in returned if not returned[name] and name != _GONE]
            (options.work / f"{page['uid']}.json").write_text(
                json.dumps({"dashboard": page, "from_s": shown.from_s, "to_s": shown.to_s, "answers": found})
            )
        wrong = compare(server, requests, pages, shown)
    undrawn: list[str] = []
    if options.draw:
        folder = bundle(options.work)
        for page in pages:
            name = page["uid"].removeprefix("tailgate-")
            picture = GRAFANA.parent / "docs" / "images" / f"grafana-{name}.png"
            undrawn += draw(folder, options.work / f"{page['uid']}.json", picture)
        undrawn += mistakes(folder, GRAFANA / "dashboards")
    print(f"{asked} queries of {len(pages)} dashboards asked, {len(empty)} of them came back empty")
    for line in (*empty, *wrong, *undrawn):
        print(line)
    return 1 if empty or wrong or undrawn else 0


def _empty(page: dict[str, Any], found: dict[int, list[dict[str, Any]]]) -> list[str]:
    lines = []
    for panel in page["panels"]:
        for answer in found.get(panel["id"], []):
            values = [
                float(value) for series in answer["result"] for _, value in series.get("values", [series.get("value")])
            ]
            if not np.isfinite(values).any() and (page["title"], panel["title"], answer["refId"]) not in EMPTY_IS_RIGHT:
                lines.append(f"EMPTY {page['title']} / {panel['title']} / {answer['refId']}: {answer['expr']}")
            elif any(math.isnan(value) for value in values):
                lines.append(f"NaN   {page['title']} / {panel['title']} / {answer['refId']}: {answer['expr']}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
