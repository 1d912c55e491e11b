"""`tailgate up` as a user runs it: everything comes up, is looked at, and is gone afterwards."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tailgate_loadgen.up.monitoring import find_programs

pytestmark = pytest.mark.skipif(
    find_programs().missing != [], reason="prometheus or prometheus-alertmanager is not installed"
)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as response:
        return json.load(response)


def until(seen: Any, wanted: Any, seconds: float) -> None:
    give_up_s = time.monotonic() + seconds
    while True:
        try:
            found = seen()
        except OSError as error:
            found = error
        if found == wanted:
            return
        assert time.monotonic() < give_up_s, found
        time.sleep(0.5)


def value(prometheus: str, query: str) -> float | None:
    found = get(f"{prometheus}/api/v1/query?query={quote(query)}")["data"]["result"]
    return float(found[0]["value"][1]) if found else None


@pytest.fixture(scope="module", autouse=True)
def trained(cache: Path) -> None:
    """So that nothing is trained while something is waited for."""
    command = ("tailgate", "train-digits", "--out", str(cache / "digits.safetensors"), "--if-missing")
    subprocess.run([sys.executable, "-m", *command], check=True, timeout=1800)


def start_up(folder: Path, cache: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """The command, and what it says."""
    log = folder / "said"
    ports = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    command = (sys.executable, "-m", "tailgate", "up", *ports, "--out", str(folder / "up"), "--rate", "50")
    with log.open("wb") as output:
        up = subprocess.Popen([*command, "--deadline-ms", "500", "--cache", str(cache)], stdout=output, stderr=output)
    return up, log


def running(marked: str) -> dict[int, str]:
    """Processes with this text in their environment, and their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if marked.encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
    return found


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_server_proxy_load_and_prometheus_come_up_and_are_gone_in_the_end(
    tmp_path: Path, cache: Path, number: signal.Signals, status: int
) -> None:
    up, log = start_up(tmp_path, cache)
    try:
        until(lambda: bool(re.search(r"Alertmanager +http", log.read_text())), True, 300)
        prometheus = re.search(r"Prometheus +(http\S+)/", log.read_text())
        admin = re.search(r"metrics +http://(\S+)/metrics", log.read_text())
        assert prometheus is not None
        assert admin is not None
        until(lambda: value(prometheus[1], 'up{job="tailgate"}'), 1.0, 300)
        until(lambda: (value(prometheus[1], 'sum(tailgate_requests_total{outcome="ok"})') or 0) > 100, True, 300)
        assert value(prometheus[1], 'tailgate_objective_ratio{model="digits"}') == 0.95
        groups = get(f"{prometheus[1]}/api/v1/rules")["data"]["groups"]
        assert sum(len(group["rules"]) for group in groups) > 20
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        assert get(f"http://{admin[1]}/status.json")["time_critical_accuracy"] > 0.5
        up.send_signal(number)
        assert up.wait(180) == status, log.read_text()
    finally:
        up.terminate()  # it ends what it started, which a kill would leave behind
        up.wait(180)
    with pytest.raises(OSError, match="refused"):
        get(f"{prometheus[1]}/-/ready")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells processes that their parent is gone")
def test_killed_it_leaves_nothing_running(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"started-by={tmp_path}"
    monkeypatch.setenv("TAILGATE_TEST", mark)
    up, log = start_up(tmp_path, cache)
    try:
        parts = ("tailgate server", "tailgate proxy", "tailgate load", "prometheus ", "alertmanager ")
        until(lambda: [part for part in parts if not any(part in line for line in running(mark).values())], [], 600)
        assert up.poll() is None, log.read_text()
    finally:
        up.kill()
        up.wait(180)
    until(lambda: running(mark), {}, 180)
