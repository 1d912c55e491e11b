"""What the dashboards say of the history, beside what is true of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench._prometheus import SCRAPE_S, Prometheus
from tailgate.outcome import ANSWER_SEEN
from verify import history
from verify.asking import Shown
from verify.expected import LABEL_WAIT_S
from verify.history import Requests


def compare(server: Prometheus, requests: Requests, pages: list[dict[str, Any]], shown: Shown) -> list[str]:
    """Print each figure beside the truth; returns a line for each that is too far from it."""
    windows = history.windows(requests)
    windows = windows[np.isfinite(windows)]
    every = np.ones(len(requests.arrival_s), bool)
    rare = requests.slice == 1
    canary = requests.version == 1
    hour = requests.arrival_s + requests.delay_s >= history.HOURS * 3600 - 3600
    known = requests.labelled
    right = requests.right & requests.in_time

    def tca(chosen: history.Flags) -> float:
        return history.true_tca(requests, chosen)

    def came_true(chosen: history.Flags) -> float:
        """Of the answers with labels, those of the last quarter of an hour excepted, whose minutes are not complete."""
        answered = chosen & known & np.isin(requests.outcome, ANSWER_SEEN)
        answered &= requests.arrival_s < history.HOURS * 3600 - LABEL_WAIT_S
        return float(np.average(requests.right[answered], weights=requests.weight[answered]))

    def curve(bound_s: float) -> float:
        return float((requests.right & (requests.latency_s <= bound_s))[known].mean())

    def z() -> float:
        pairs = [
            (right[chosen].mean(), chosen.sum())
            for chosen in (canary & rare & known & hour, ~canary & rare & known & hour)
        ]
        (p, n), (q, m) = pairs
        pooled = (p * n + q * m) / (n + m)
        return float((p - q) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)))

    bad = float(np.mean(_upper(windows, _labelled_a_window(requests)) < history.FLOOR)) * history.HOURS * 60
    asked: tuple[tuple[str, str, str, dict[str, str], float, float], ...] = (
        # dashboard, panel, column or query, labels, truth, how far from it is near enough
        ("Overview", "Error budget left", "A", {}, 1 - (1 - tca(every)) / (1 - history.OBJECTIVE), 0.02),
        ("Overview", "By model, version and slice", "A", {"slice": "rare", "version": "7"}, (rare & ~canary).sum(), 60),
        ("Overview", "By model, version and slice", "C", {"slice": "rare", "version": "7"}, tca(rare & ~canary), 0.003),
        ("Overview", "By model, version and slice", "C", {"slice": "rare", "version": "8"}, tca(rare & canary), 0.01),
        (
            "Overview",
            "By model, version and slice",
            "C",
            {"slice": "common", "version": "7"},
            tca(~rare & ~canary),
            0.002,
        ),
        ("Overview", "Worst window", "A", {}, windows.min(), 0.02),
        ("Tail", "Worst window", "A", {}, windows.min(), 0.02),
        ("Tail", "1 % of windows are below", "A", {}, float(np.quantile(windows, 0.01)), 0.01),
        ("Tail", "Bad windows", "A", {}, bad, 1.0),
        ("Tail", "What if the deadline were ... seconds", "A", {"le": "0.025"}, curve(0.025), 0.001),
        ("Tail", "What if the deadline were ... seconds", "A", {"le": "0.05"}, curve(0.05), 0.001),
        (
            "Rollout",
            "Canary against stable, by slice, last hour",
            "C",
            {"slice": "rare"},
            float(right[canary & rare & known & hour].mean()),
            0.01,
        ),
        ("Rollout", "Canary against stable, by slice, last hour", "F", {"slice": "rare"}, z(), 1.0),
        ("Rollout", "Traffic of the canary", "A", {}, 0.1, 0.02),
        ("Overview", "Expectations against what came true", "C", {"version": "7"}, came_true(~canary), 0.001),
        ("Overview", "Expectations against what came true", "C", {"version": "8"}, came_true(canary), 0.003),
        ("Overview", "Expectations against what came true", "D", {"version": "7"}, 0.0, 0.001),
        ("Overview", "Expectations against what came true", "D", {"version": "8"}, 0.0, 0.003),
    )
    wrong = [*_adds_up(server, pages, shown), *_while_missing(server, requests, pages, shown)]
    for page_name, title, ref, labels, truth, near in asked:
        page = next(page for page in pages if page["title"] == f"Tailgate / {page_name}")
        panel = next(panel for panel in page["panels"] if panel["title"] == title)
        target = next(target for target in panel["targets"] if target["refId"] == ref)
        result = server.ask(shown.fill(target["expr"], 60.0), shown.to_s)
        chosen = [one for one in result if labels.items() <= one["metric"].items()]
        said = float(chosen[0]["value"][1]) if len(chosen) == 1 else float("nan")
        good = abs(said - truth) <= near
        what = " ".join([page_name, title, *labels.values()])
        line = f"{'ok   ' if good else 'WRONG'} {what}: shown {said:.5g}, true {truth:.5g} (within {near:g})"
        print(line)
        if not good:
            wrong.append(line)
    return wrong


def _adds_up(server: Prometheus, pages: list[dict[str, Any]], shown: Shown) -> list[str]:
    """In each row of the Overview's table, accuracy and losses are all there is."""
    page = next(page for page in pages if page["title"] == "Tailgate / Overview")
    panel = next(panel for panel in page["panels"] if panel["title"] == "By model, version and slice")
    sums: dict[str, float] = {}
    for target in panel["targets"]:
        if target["refId"] == "C" or target["refId"] >= "G":
            for one in server.ask(shown.fill(target["expr"], 60.0), shown.to_s):
                row = " ".join(one["metric"].values())
                sums[row] = sums.get(row, 0.0) + float(one["value"][1])
    for row, total in sums.items():
        print(f"{'ok   ' if abs(total - 1) < 1e-9 else 'WRONG'} {row}: accuracy and losses add up to {total:.12g}")
    return [f"WRONG {row}: {total}" for row, total in sums.items() if abs(total - 1) >= 1e-9]


def _while_missing(server: Prometheus, requests: Requests, pages: list[dict[str, Any]], shown: Shown) -> list[str]:
    """What the Overview's chart expects while no label is there: near the truth, and nothing where there are labels."""
    page = next(page for page in pages if page["title"] == "Tailgate / Overview")
    panel = next(panel for panel in page["panels"] if panel["title"] == "Time-critical accuracy against its objective")
    measured, *expected = (
        {
            round(float(at_s) - shown.from_s): float(value)
            for one in server.ask_range(shown.fill(target["expr"], 60.0), shown.from_s, shown.to_s, 60.0)
            for at_s, value in one["values"]
        }
        for target in panel["targets"][:4]
    )
    middle, low, high = expected
    from_s, to_s = history.UNLABELLED[0], sum(history.UNLABELLED)
    inside = [at_s for at_s in middle if from_s + 120 <= at_s <= to_s]
    truth = {
        at_s: history.true_tca(requests, (requests.end_s > at_s - 60 - SCRAPE_S) & (requests.end_s <= at_s))
        for at_s in inside
    }
    held = np.mean([low[at_s] <= truth[at_s] <= high[at_s] for at_s in inside])
    mean, true = np.mean([middle[at_s] for at_s in inside]), np.mean(list(truth.values()))
    lines = [
        (len(inside) == 24, f"expected in {len(inside)} minutes without labels, of 24"),  # the first still get some
        (abs(mean - true) <= 0.003, f"expected without labels: shown {mean:.5g}, true {true:.5g} (within 0.003)"),
        (held >= 0.9, f"the truth lies within the interval in {held:.0%} of these minutes (at least 90 %)"),
        (not middle.keys() & measured.keys(), "nothing is called expected where it is measured"),
        (middle.keys() == low.keys() == high.keys(), "whatever is expected has its interval"),
    ]
    for good, line in lines:
        print(f"{'ok   ' if good else 'WRONG'} Overview {line}")
    return [f"WRONG Overview {line}" for good, line in lines if not good]


def _labelled_a_window(requests: Requests) -> float:
    return float(requests.labelled.sum() / (history.HOURS * 60))


def _upper(share: history.Floats, n: float, z: float = 3.29) -> history.Floats:
    """Wilson's upper bound."""
    spread = z * np.sqrt((share * (1 - share) + z**2 / (4 * n)) / n)
    bound: history.Floats = (share + z**2 / (2 * n) + spread) / (1 + z**2 / n)
    return bound
