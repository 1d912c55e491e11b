"""A real Prometheus over a history: backfilled from a file, with our recording rules evaluated over it."""

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
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_LEVELS = 12
"""Of rules that use each other; a pass of promtool for each."""


class Prometheus:
    """A server on the loopback interface over a folder of blocks, from entering to leaving."""

    def __init__(self, data: Path, rules: Iterable[Path] = ()) -> None:
        """Serve what lies in `data`, and know these rules."""
        self._data, self._rules = data, [str(path) for path in rules]
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
            f"--web.listen-address={self.address}",
        ]
        with (self._data.parent / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  # our own words
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=1):
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
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

    def recordings(self) -> dict[str, str]:
        """The expression of each recording rule that it knows."""
        with urllib.request.urlopen(f"http://{self.address}/api/v1/rules?type=record", timeout=60) as answer:
            groups = json.load(answer)["data"]["groups"]
        return {rule["name"]: rule["query"] for group in groups for rule in group["rules"]}

    def _get(self, what: str, **parameters: object) -> list[dict[str, Any]]:
        body = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{what}", data=body, timeout=120) as answer:
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", error.reason)) from error
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        result: list[dict[str, Any]] = data["result"]
        return result


def backfill(lines: Iterable[str], data: Path) -> None:
    """Make blocks of an OpenMetrics history."""
    source = data.parent / "history.om"
    with source.open("w") as file:
        file.writelines(lines)
    _run("promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(source), str(data))
    source.unlink()


def record(rules: Iterable[Path], wanted: set[str], data: Path, from_s: float, to_s: float) -> None:
    """Evaluate the recording rules that the wanted series need over the history: a pass for each level of them.

    A rule that uses another rule's series sees nothing of what the same pass makes.
    """
    empty = data.parent / "empty"
    with Prometheus(empty, rules) as server:
        expressions = server.recordings()
    shutil.rmtree(empty)
    uses = {name: set(re.findall(r"[\w]+:[\w:]+", expr)) & expressions.keys() for name, expr in expressions.items()}
    needed, done = set[str](), set[str]()
    queue = list(wanted)
    while queue:
        name = queue.pop()
        if name not in needed:
            needed.add(name)
            queue += uses[name]
    for _ in range(_LEVELS):
        level = sorted(name for name in needed - done if uses[name] <= done)
        if not level:
            break
        file = data.parent / "level.json"
        recordings = [{"record": name, "expr": expressions[name]} for name in level]
        file.write_text(json.dumps({"groups": [{"name": "level", "interval": "15s", "rules": recordings}]}))
        made = data.parent / "made"
        with Prometheus(data) as server:
            _run(
                *("promtool", "tsdb", "create-blocks-from", "rules", f"--start={from_s:.0f}", f"--end={to_s:.0f}"),
                *(f"--url=http://{server.address}", f"--output-dir={made}", "--eval-interval=15s", str(file)),
            )
        for block in made.iterdir():
            shutil.move(block, data / block.name)
        done |= set(level)
    if needed - done:
        raise ValueError(f"rules that use each other in a circle: {', '.join(sorted(needed - done))}")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} {command[1]}: {done.stderr.strip()[-2000:]}")
    return done.stdout
