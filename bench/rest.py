"""What a request costs the proxy over HTTP, beside one over gRPC: `python bench/rest.py [--quick]`.

One proxy, one upstream that costs next to nothing, closed loop, eight requests in flight; the same tensor of bytes over
gRPC, over HTTP as bytes and over HTTP in JSON, in turns. What counts is the CPU that the proxy's process used for each
request, as a multiple of gRPC's in the same round, for that hardly depends on who else uses the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections import defaultdict
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from bench._answer import canned_answer, framed
from bench._common import Claim, finish, machine, markdown_table
from bench._cpu import cpu_of, on_core, two_cores
from bench._driver import Driver
from bench._processes import started, started_command
from bench._requests import Requests

SIZES: Final = (1_000, 150_528)
FORMS: Final = ("gRPC", "HTTP, bytes", "HTTP, JSON")
IN_FLIGHT: Final = 8
TIMEOUT_US: Final = 10_000_000
HERE: Final = Path(__file__).parent
MOST_TIMES: Final = 3.0
"""As dear as that at most, a small tensor as bytes may be."""


def http_request(size: int, *, binary: bool) -> bytes:
    """A request as it goes over the wire; the answer is wanted in the same form."""
    tensor: dict[str, object] = {"name": "image", "datatype": "UINT8", "shape": [1, size]}
    document: dict[str, object] = {"inputs": [tensor], "parameters": {"binary_data_output": binary}}
    if binary:
        tensor["parameters"] = {"binary_data_size": size}
    else:
        tensor["data"] = [number % 256 for number in range(size)]
    text = json.dumps(document, separators=(",", ":")).encode()
    body = text + (bytes(size) if binary else b"")
    length = f"Inference-Header-Content-Length: {len(text)}\r\n" if binary else ""
    head = f"POST /v2/models/resnet50/infer HTTP/1.1\r\nHost: proxy\r\nContent-Length: {len(body)}\r\n{length}\r\n"
    return head.encode() + body


async def over_http(address: str, request: bytes, seconds: float, *, binary: bool) -> tuple[int, int]:
    """Ask over several connections for so long; returns how many were answered, and how many of them wrongly."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + seconds
    scores = np.linspace(-1, 1, 1000, dtype="<f4")
    answered = wrong = 0

    async def ask() -> None:
        nonlocal answered, wrong
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        while loop.time() < until_s:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(head.lower().split(b"content-length: ")[-1].split(b"\r\n")[0]))
            answered += 1
            if not head.startswith(b"HTTP/1.1 200 "):
                wrong += 1
            elif binary:
                wrong += not body.endswith(scores.tobytes())
            elif answered % 50 == 1:  # reading JSON costs the client more than the rest
                wrong += json.loads(body)["outputs"][0]["data"] != scores.tolist()
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
    return answered, wrong


def start(running: ExitStack, folder: Path, proxy_core: int, other_core: int) -> tuple[str, str, int]:
    """Start upstream and proxy, each on its core; returns the proxy's addresses for gRPC and HTTP, and its process."""
    upstream = (sys.executable, str(HERE / "_upstream.py"), str(1 << 22))
    with on_core(other_core):
        (address,), _ = running.enter_context(
            started_command(folder, "upstream", upstream, r"upstream listening on (\S+)")
        )
    with on_core(proxy_core):
        (rest, listen), pid = running.enter_context(
            started(
                folder,
                "proxy",
                "--upstream",
                address,
                "--deadline",
                "10s",
                "--log-level",
                "error",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--rest",
                "127.0.0.1:0",
                ready=r"over HTTP on (\S+)\n[^\n]*listening on (\S+), admin on",
            )
        )
    return listen, rest, pid


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    quick = parser.parse_args().quick
    rounds, seconds = (2, 1.0) if quick else (7, 4.0)
    proxy_core, other_core = two_cores()
    times: dict[tuple[int, str], list[float]] = defaultdict(list)
    spent: dict[tuple[int, str], list[float]] = defaultdict(list)
    wrong = 0
    with ExitStack() as running:
        folder = Path(running.enter_context(TemporaryDirectory()))
        listen, rest, pid = start(running, folder, proxy_core, other_core)
        running.enter_context(on_core(other_core))
        drivers = {
            size: Driver(listen, Requests(size, listen, TIMEOUT_US), framed(canned_answer()), connections=2)
            for size in SIZES
        }
        for _ in range(rounds + 1):
            for size, form in product(SIZES, FORMS):
                before = cpu_of(pid)
                if form == FORMS[0]:
                    driven = drivers[size].closed_loop(IN_FLIGHT, seconds)
                    count, bad = len(driven.ended), len(driven.wrong)
                else:
                    binary = form == FORMS[1]
                    request = http_request(size, binary=binary)
                    count, bad = asyncio.run(over_http(rest, request, seconds, binary=binary))
                wrong += bad
                spent[size, form].append((cpu_of(pid) - before).ran_s / count)
                times[size, form].append(spent[size, form][-1] / spent[size, FORMS[0]][-1])
    rows = [
        (f"{size:,} bytes", form, statistics.median(spent[size, form][1:]) * 1e6, statistics.median(found[1:]))
        for (size, form), found in times.items()  # the first round warms up
    ]
    print(markdown_table(("tensor", "over", "CPU of a request, µs", "times gRPC"), rows))
    claims = [
        Claim("requests with a wrong answer or none", wrong, 0),
        Claim(
            "CPU of a small tensor over HTTP as bytes, times that over gRPC",
            statistics.median(times[SIZES[0], FORMS[1]][1:]),
            MOST_TIMES,
        ),
    ]
    return finish("rest", claims, quick=quick, machine=machine("aiohttp"), rows=[list(row) for row in rows])


if __name__ == "__main__":
    sys.exit(main())
