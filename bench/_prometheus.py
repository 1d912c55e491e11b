"""A real Prometheus over a history: backfilled from lines, with our recording rules evaluated over all of it.

Lives here: what both the known-truth simulation (`days.py`) and the check of the dashboards (`grafana/verify`) need of
Prometheus. Needs `prometheus` and `promtool`.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tailgate.config import read_config
from tailgate.slo.config import SloConfig

SHIPPED = Path(__file__).resolve().parent.parent / "prometheus"
SCRAPE_S = read_config(SloConfig, SHIPPED / "slo.toml", {}).scrape_interval
"""Between scrapes, as the checked-in rules have it."""
_POINTS = 5_000
"""Of a series in one answer; Prometheus refuses more than 11,000."""
_PATIENCE_S = 1800
"""With one answer: those about days, on a machine that has much else to do, take minutes."""
_BLOCKS = "54h"
"""promtool reads its whole input once for every block that it makes of it."""


@dataclass(frozen=True)
class Rule:
    """A rule as Prometheus has read it.

    Attributes:
        name: Of the series it records, or of the alert.
        expr: PromQL.
        group: Whose rules are evaluated at the same instants.
        interval_s: Between these.
        labels: That it gives to what it makes.
        pending_s: How long an alert must hold before it fires (``for``).
        keep_s: How long it goes on firing after it last held (``keep_firing_for``).
    """

    name: str
    expr: str
    group: str
    interval_s: float
    labels: Mapping[str, str]
    pending_s: float = 0.0
    keep_s: float = 0.0

    def instants(self, from_s: float, to_s: float) -> NDArray[np.float64]:
        """When it is evaluated. Prometheus gives each group a phase of its own; ours follows from the name."""
        phase_s = zlib.crc32(self.group.encode()) % round(self.interval_s)
        first = np.ceil((from_s - phase_s) / self.interval_s) * self.interval_s + phase_s
        return np.arange(first, to_s, self.interval_s)


@dataclass(frozen=True)
class Sampled:
    """One series of an answer: its labels, and its values by time."""

    labels: Mapping[str, str]
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]


def missing_binaries() -> str | None:
    """What to install, if anything."""
    absent = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)}: not found; on Debian: apt-get install prometheus (it holds both)"
    return None


class Prometheus:
    """A server on the loopback interface over a folder of blocks, from entering to leaving."""

    def __init__(self, data: Path, rules: Iterable[Path] = (), lookback_s: float = 300.0) -> None:
        """Serve what lies in `data`, and know these rules; a sample is seen for so long as nothing follows it."""
        self._data, self._rules = data, [str(path.resolve()) for path in rules]
        self._lookback_s = lookback_s
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start, and wait until it is ready."""
        config = self._data.parent / "prometheus.yml"
        config.write_text(json.dumps({"rule_files": self._rules}))  # JSON is YAML
        command = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={self._data}",
            "--storage.tsdb.retention.time=100y",
            f"--query.lookback-delta={round(self._lookback_s * 1e3)}ms",
            f"--query.timeout={_PATIENCE_S}s",
            f"--web.listen-address={self.address}",
        ]
        with (self._data.parent / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=1):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.__exit__()
        raise TimeoutError(f"prometheus is not ready; see {log.name}")

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End the process that was started."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def ask(self, expr: str, at_s: float) -> list[dict[str, Any]]:
        """The result of an instant query; raises ValueError with Prometheus's words where it refuses."""
        return self._get("query", query=expr, time=at_s)

    def ask_range(self, expr: str, from_s: float, to_s: float, step_s: float) -> list[dict[str, Any]]:
        """The result of a range query."""
        return self._get("query_range", query=expr, start=from_s, end=to_s, step=step_s)

    def ask_at(self, expr: str, instants: NDArray[np.float64]) -> list[Sampled]:
        """The result at evenly spaced instants, as many as they may be, without names.

        What had a name at one instant and none at another (``a * b or c``) is one series, as it is to a rule.
        """
        parts: dict[tuple[tuple[str, str], ...], list[NDArray[np.float64]]] = {}
        for start in range(0, len(instants), _POINTS):
            part = instants[start : start + _POINTS]
            step_s = instants[1] - instants[0] if len(instants) > 1 else 1.0
            for one in self.ask_range(expr, part[0], part[-1], step_s):
                values = np.array(one["values"], np.float64)
                parts.setdefault(tuple(sorted(_unnamed(one["metric"]).items())), []).append(values)
        found = {key: np.concatenate(values) for key, values in parts.items()}
        ordered = {key: values[np.argsort(values[:, 0])] for key, values in found.items()}
        return [Sampled(dict(key), values[:, 0], values[:, 1]) for key, values in ordered.items()]

    def samples(self, selector: str, from_s: float, to_s: float) -> list[Sampled]:
        """The samples of series themselves, each at its own time."""
        found = []
        for one in self.ask(f"{selector}[{round((to_s - from_s) * 1e3)}ms]", to_s):
            values = np.array(one["values"], np.float64)
            found.append(Sampled(_unnamed(one["metric"]), values[:, 0], values[:, 1]))
        return found

    def recordings(self) -> dict[str, Rule]:
        """The recording rules that it knows, by name."""
        return {rule.name: rule for rule in self._known("record")}

    def alerts(self) -> list[Rule]:
        """The alerts that it knows; one name may stand for several."""
        return list(self._known("alert"))

    def _known(self, kind: str) -> Iterator[Rule]:
        with urllib.request.urlopen(f"http://{self.address}/api/v1/rules?type={kind}", timeout=60) as answer:
            groups = json.load(answer)["data"]["groups"]
        for group in groups:
            for rule in group["rules"]:
                labels, pending_s, keep_s = (
                    rule.get("labels", {}),
                    rule.get("duration", 0),
                    rule.get("keepFiringFor", 0),
                )
                yield Rule(rule["name"], rule["query"], group["name"], group["interval"], labels, pending_s, keep_s)

    def _get(self, what: str, **parameters: object) -> list[dict[str, Any]]:
        body = urllib.parse.urlencode(parameters).encode()
        try:
            url = f"http://{self.address}/api/v1/{what}"
            with urllib.request.urlopen(url, data=body, timeout=_PATIENCE_S) as answer:
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", error.reason)) from error
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        result: list[dict[str, Any]] = data["result"]
        return result


def lines(name: str, labels: Mapping[str, str], times_s: NDArray[np.float64], values: NDArray[Any]) -> Iterator[str]:
    """One series as lines of an OpenMetrics file; an empty label is none."""
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items() if value)
    for time_s, value in zip(times_s.tolist(), values.tolist(), strict=True):
        yield f"{name}{{{inside}}} {value!r} {time_s:.3f}\n"


def backfill(history: Iterable[str], data: Path) -> None:
    """Make blocks of an OpenMetrics history."""
    source = data.parent / "history.om"
    with source.open("w") as file:
        file.writelines(history)
    made = data.parent / "made"
    flags = (f"--max-block-duration={_BLOCKS}", "openmetrics", "--quiet")
    _run("promtool", "tsdb", "create-blocks-from", *flags, str(source), str(made))
    for block in made.iterdir():
        shutil.move(block, data / block.name)
    source.unlink()


def read_rules(paths: Iterable[Path], folder: Path) -> tuple[dict[str, Rule], list[Rule]]:
    """The recording rules by name, and the alerts, as Prometheus reads these files."""
    empty = folder / "empty"
    with Prometheus(empty, paths) as server:
        known = server.recordings(), server.alerts()
    shutil.rmtree(empty)
    return known


def record(  # noqa: PLR0917  # a table of rules, a place, a stretch
    rules: Mapping[str, Rule],
    wanted: Iterable[str],
    data: Path,
    from_s: float,
    to_s: float,
    said: Callable[[str], None] = lambda _: None,
) -> None:
    """Evaluate the recording rules that the wanted series need over the history: a pass for each level of them."""
    for number, level in enumerate(levels(rules, wanted), 1):
        said(f"level {number}: {len(level)} rules")
        chosen = [rules[name] for name in level]
        backfill(_recorded(data, by_lookback(chosen, rules), from_s, to_s), data)


def by_lookback(chosen: Iterable[Rule], rules: Mapping[str, Rule]) -> dict[float, list[Rule]]:
    """Rules by how long a sample is to be seen where they are evaluated: until the next of its series is due.

    A running Prometheus marks a series that has ended, and then no longer sees it. A history cannot be marked so; were
    it seen for the usual five minutes, a rule that uses a rule that uses a rule would see it for fifteen.
    """
    found: dict[float, list[Rule]] = {}
    for rule in chosen:
        due_s = max([SCRAPE_S, *(rules[name].interval_s for name in recorded_in(rule.expr) & rules.keys())])
        found.setdefault(due_s - 1e-3, []).append(rule)  # what is as old as that is still seen
    return found


def _recorded(data: Path, chosen: Mapping[float, Sequence[Rule]], from_s: float, to_s: float) -> Iterator[str]:
    for lookback_s, rules in chosen.items():
        with Prometheus(data, lookback_s=lookback_s) as server:
            for rule in rules:
                yield f"# TYPE {rule.name} gauge\n"
                for series in server.ask_at(rule.expr, rule.instants(from_s, to_s)):
                    labels = {**series.labels, **rule.labels}
                    yield from lines(rule.name, labels, series.times_s, series.values)
    yield "# EOF\n"


def _unnamed(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key != "__name__"}


def levels(rules: Mapping[str, Rule], wanted: Iterable[str]) -> list[list[str]]:
    """The names of the rules that are needed, in passes: each uses only what those before it record."""
    uses = {name: recorded_in(rule.expr) & rules.keys() for name, rule in rules.items()}
    needed, queue = set[str](), list(wanted)
    while queue:
        name = queue.pop()
        if name not in needed:
            needed.add(name)
            queue += uses[name]
    passes: list[list[str]] = []
    done = set[str]()
    while done < needed:
        level = sorted(name for name in needed - done if uses[name] <= done)
        if not level:
            raise ValueError(f"rules that use each other in a circle: {', '.join(sorted(needed - done))}")
        passes.append(level)
        done |= set(level)
    return passes


def recorded_in(expr: str) -> set[str]:
    """The names in an expression that only a recording rule can have."""
    return set(re.findall(r"\w+:[\w:]+", expr))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} {command[1]}: {done.stderr.strip()[-2000:]}")
