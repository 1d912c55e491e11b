"""What docs/rest.md shows, done as it is shown there."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

StartRest = Any  # defined in conftest.py, which tests do not import
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "rest.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_commands_of_the_document_get_answers(start_rest: StartRest, echo: str, tmp_path: Path) -> None:
    proxy = await start_rest(upstream=echo, deadline="30s")
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.S)
    answers = []
    for block in blocks:
        script = block.replace("127.0.0.1:9002", str(proxy.address)).replace("x-request-timeout-ms: 50'", "a: b'")
        done = await asyncio.to_thread(
            subprocess.run,
            ["sh", "-ec", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers.append(json.JSONDecoder().raw_decode(done.stdout[done.stdout.index('{"model_name"') :])[0])
    assert [answer["outputs"][0]["data"] for answer in answers] == [[1.5, 2.0], [0.0, 0.0]]
    assert answers[0]["id"] == "order-17"
