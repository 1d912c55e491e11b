"""Clients this project did not write, through the proxy and directly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.beside_others  # a few calls, with a minute for each


def test_tritonclient_gets_the_same_bytes_through_the_proxy_as_directly(start_server: Any, start_proxy: Any) -> None:
    server = start_server()
    proxy = start_proxy(server.ready[0], "--deadline", "60s")
    script = Path(__file__).with_name("with_tritonclient.py")
    done = subprocess.run(
        [sys.executable, str(script), server.ready[0], proxy.ready[0]],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "16 answers, all the same"
