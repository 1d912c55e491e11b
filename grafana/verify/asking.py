"""A dashboard's queries, put to Prometheus as Grafana puts them: variables filled in, steps chosen, gaps left gaps."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from bench._prometheus import SCRAPE_S, Prometheus

PIXELS = 700
"""About as many points as a panel half as wide as the page gets."""


@dataclass(frozen=True)
class Shown:
    """The time that a dashboard shows, and what is chosen of it.

    Attributes:
        from_s: Begin, in seconds since the epoch.
        to_s: End.
        chosen: Variables that are not All, by name.
    """

    from_s: float
    to_s: float
    chosen: dict[str, str]

    def step_s(self, least_s: float) -> float:
        """The step of a range query: enough for the panel's points, of a length that people use."""
        wanted = max((self.to_s - self.from_s) / PIXELS, least_s)
        nice = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
        return float(next((step for step in nice if step >= wanted), 7200))

    def fill(self, expr: str, step_s: float) -> str:
        """The expression with its variables filled in, as Grafana 13 does."""
        range_s = round(self.to_s - self.from_s)
        rate_s = max(step_s + SCRAPE_S, 4 * SCRAPE_S)
        for name, value in (
            ("$__rate_interval", f"{rate_s:.0f}s"),
            ("$__range_s", f"{range_s}"),
            ("$__range", f"{range_s}s"),
            ("$__interval", f"{step_s:.0f}s"),
        ):
            expr = expr.replace(name, value)
        anything = {"job": ".+", "instance": ".+", "model": ".*", "version": ".*", "slice": ".*"}
        return re.sub(r"\$(\w+)", lambda found: self.chosen.get(found[1], anything[found[1]]), expr)


def seconds(interval: str | None) -> float:
    """A panel's shortest step."""
    if not interval:
        return SCRAPE_S
    return float(interval[:-1]) * {"s": 1, "m": 60, "h": 3600}[interval[-1]]


def answers(server: Prometheus, page: dict[str, Any], shown: Shown) -> dict[int, list[dict[str, Any]]]:
    """For each panel, by its number, one answer a query: its name, format, legend, step in seconds and result."""
    found: dict[int, list[dict[str, Any]]] = {}
    for panel in page["panels"]:
        for target in panel.get("targets", []):
            step_s = shown.step_s(seconds(panel.get("interval")))
            expr = shown.fill(target["expr"], step_s)
            try:
                if target.get("instant"):
                    result = server.ask(expr, shown.to_s)
                else:
                    first = math.floor(shown.from_s / step_s) * step_s
                    result = server.ask_range(expr, first, math.floor(shown.to_s / step_s) * step_s, step_s)
            except ValueError as error:
                raise ValueError(f"{page['title']} / {panel['title']} / {target['refId']}: {error}\n{expr}") from error
            found.setdefault(panel["id"], []).append(
                {
                    "refId": target["refId"],
                    "format": target["format"],
                    "legend": target.get("legendFormat", ""),
                    "instant": bool(target.get("instant")),
                    "step_s": step_s,
                    "expr": expr,
                    "result": result,
                }
            )
    return found


def beside(server: Prometheus, page: dict[str, Any], shown: Shown) -> dict[str, int]:
    """How much the queries of a dashboard's variables and annotations return, by their names."""
    found = {}
    for variable in page["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            if asked is None:
                raise ValueError(f"{page['title']}: {variable['query']['query']}")
            result = server.ask(f"count by ({asked[2]}) ({shown.fill(asked[1], SCRAPE_S)})", shown.to_s)
            found[f"variable {variable['name']}"] = sum(bool(one["metric"]) for one in result)
    for annotation in page["annotations"]["list"]:
        expr = shown.fill(annotation["target"]["expr"], 60.0)
        result = server.ask_range(expr, shown.from_s, shown.to_s, 60.0)
        found[f"annotation {annotation['name']}"] = sum(len(one["values"]) for one in result)
    return found
