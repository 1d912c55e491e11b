"""V2 over HTTP as users have it: the real server behind the real proxy, with clients this project did not write."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tailgate.trace.files import read_folder

pytestmark = pytest.mark.beside_others  # a few hundred calls, one after another, with minutes for each

SERVES = r"proxy serves V2 over HTTP on (\S+)"
PIXELS = bytes(range(256)) * 12


def http_address(proxy: Any) -> str:
    found = re.search(SERVES, proxy.log.read_text())
    assert found is not None
    return found[1]


def status_of(proxy: Any) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{proxy.ready[1]}/status.json", timeout=120) as response:
        found: dict[str, Any] = json.load(response)
        return found


def test_tritonclient_gets_the_same_bytes_over_http_as_over_grpc(
    start_server: Any, start_proxy: Any, tmp_path: Path
) -> None:
    server = start_server()
    traces = tmp_path / "proxy"
    proxy = start_proxy(server.ready[0], "--deadline", "120s", "--rest", "127.0.0.1:0", "--trace", str(traces))
    script = Path(__file__).with_name("with_tritonclient_http.py")
    done = subprocess.run(
        [sys.executable, str(script), proxy.ready[0], http_address(proxy)],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "144 answers, all the same"
    found = status_of(proxy)
    assert {name: count for name, count in found["outcomes"].items() if count} == {"ok": 169, "expired_on_arrival": 1}
    assert found["received"] == 170
    proxy.stop()
    (trace,) = read_folder(traces)
    assert (trace.damaged, trace.torn_bytes, trace.missing) == (0, 0, 0)
    ids = {row["request_id"].decode() for row in trace.records}
    assert len(trace.records) == 170
    assert {f"h{number}{binary_in}{outputs}" for number in range(24) for binary_in in (False, True)
            for outputs in (None, False, True)} < ids  # fmt: skip


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_answers_in_json_and_in_bytes(start_server: Any, start_proxy: Any, tmp_path: Path) -> None:
    server = start_server()
    proxy = start_proxy(server.ready[0], "--deadline", "120s", "--rest", "127.0.0.1:0")
    url = f"http://{http_address(proxy)}/v2/models/digits"

    def curl(*arguments: str) -> bytes:
        done = subprocess.run(["curl", "-sS", "--max-time", "60", *arguments], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert json.loads(curl(url))["name"] == "digits"
    assert curl("-o", "/dev/null", "-w", "%{http_code}", f"{url}/ready") == b"200"

    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 3, 32, 32]}
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"inputs": [tensor | {"data": list(PIXELS)}]}))
    in_json = json.loads(curl(f"{url}/infer", "-d", f"@{request}"))
    scores = in_json["outputs"][0]["data"]
    assert len(scores) == 10

    text = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(PIXELS)}}]}).encode()
    binary = tmp_path / "request.bin"
    binary.write_bytes(text + PIXELS)
    length = f"Inference-Header-Content-Length: {len(text)}"
    answer = json.loads(curl(f"{url}/infer", "--data-binary", f"@{binary}", "-H", length))
    assert answer["outputs"][0]["data"] == scores

    shown = curl("-i", f"{url}/infer", "-d", "{}").decode()
    assert shown.startswith("HTTP/1.1 400 Bad Request\r\n")
    assert "\r\ntailgate-outcome: rejected_invalid\r\n" in shown
    assert shown.endswith('{"error": "inputs is missing"}')
    assert status_of(proxy)["outcomes"]["ok"] == 2


@pytest.mark.alone  # workers have a minute to start
def test_workers_share_the_port_for_http_too(start: Any, start_server: Any) -> None:
    server = start_server()
    command = (
        sys.executable, "-m", "tailgate", "proxy", "--upstream", server.ready[0], "--listen", "127.0.0.1:0",
        "--admin", "127.0.0.1:0", "--rest", "127.0.0.1:0", "--deadline", "120s", "--workers", "2",
    )  # fmt: skip
    proxy = start(*command, ready=r"proxy listening on (\S+), admin on (\S+), (\S+)\n")
    url = f"http://{http_address(proxy)}/v2/models/digits/infer"
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 3, 32, 32], "data": list(PIXELS)}
    body = json.dumps({"inputs": [tensor]}).encode()
    counts: list[int] = []
    for _ in range(200):  # each over a connection of its own, which the kernel gives to either
        with urllib.request.urlopen(url, body, timeout=120) as response:
            assert json.load(response)["model_name"] == "digits"
        counts = []
        for admin in proxy.ready[1:]:
            with urllib.request.urlopen(f"http://{admin}/status.json", timeout=120) as response:
                counts.append(json.load(response)["outcomes"]["ok"])
        if all(counts):
            break
    assert all(counts), counts
    assert proxy.stop() == 0
