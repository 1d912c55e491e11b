"""What a request costs in the proxy: `python bench/proxy.py [--quick]`.

CPU seconds of the proxy's process for each request, with observation, metrics and trace on, against the shortest proxy
grpc.aio allows and, where it is installed, nginx; all in front of the same upstream, driven the same way: 64 requests
in flight over 4 connections, headers that differ from call to call. Rounds go through all proxies in turn, so that a
machine that drifts drifts for all; the figure is the median of the ratios round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._common import Claim, finish, machine, markdown_table
from bench._processes import started, started_command
from tailgate.http2.limits import Limits
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import LABEL, MODEL_INFER, REQUEST_ID
from tailgate_proxy.wire.outbound import Outbound

SIZES = {"1 KB": 800, "150 KB": 150_528, "602 KB": 602_112}
IN_FLIGHT, CONNECTIONS, ROUNDS = 64, 4, 5
REQUESTS = {"1 KB": 4000, "150 KB": 1500, "602 KB": 600}
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Peer:
    """A proxy under test: its address and its processes."""

    name: str
    address: str
    pids: tuple[int, ...]

    def cpu_s(self) -> float:
        total = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS_PER_S


async def drive(address: str, size: int, requests: int) -> None:
    """Send so many requests, `IN_FLIGHT` at a time; every one must be answered."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    links = []
    for _ in range(CONNECTIONS):
        _, link = await loop.create_connection(lambda: Outbound(address, Limits(), 1 << 26), host, int(port))
        links.append(link)
    frame, payload = RequestFrame("m", "image", "UINT8", (1, size)), bytes(size)
    numbers = iter(range(requests))

    async def one_after_another(link: Outbound) -> None:
        for number in numbers:
            name = f"request-{number}"
            metadata = ((REQUEST_ID, name), (LABEL, str(number % 1000)))
            await link.call(MODEL_INFER, frame.build(name, payload), 20.0 + number * 1e-6, metadata)

    await asyncio.gather(*(one_after_another(links[n % CONNECTIONS]) for n in range(IN_FLIGHT)))
    for link in links:
        link.close()


def start_nginx(folder: Path, upstream: str) -> tuple[subprocess.Popen[bytes], str]:
    """nginx as a gRPC proxy with one worker, on a free port."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; client_max_body_size 64m;
  client_body_buffer_size 1m; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream u {{ server {upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port} http2; location / {{ grpc_pass grpc://u; }} }}
}}
""")
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    return process, f"127.0.0.1:{port}"


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of a quarter of the requests")
    quick: bool = parser.parse_args().quick
    rounds, share = (1, 4) if quick else (ROUNDS, 1)
    cost_us: dict[str, dict[str, list[float]]] = {size: {} for size in SIZES}
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder, here = Path(name), Path(__file__).parent
        canned = (sys.executable, str(here / "_canned_upstream.py"))
        (upstream,), _ = stack.enter_context(started_command(folder, "canned", canned, r"canned listening on (\S+)"))
        command = ("proxy", "--upstream", upstream, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        options = ("--deadline", "30s", "--trace", str(folder / "trace"), "--max-message-mib", "64")
        pattern = r"proxy listening on (\S+), admin on (\S+)"
        (address, _), pid = stack.enter_context(started(folder, *command, *options, ready=pattern))
        naive = (sys.executable, str(here / "_naive_proxy.py"), upstream)
        (other,), other_pid = stack.enter_context(started_command(folder, "naive", naive, r"naive listening on (\S+)"))
        peers = [Peer("tailgate", address, (pid,)), Peer("grpc.aio", other, (other_pid,))]
        if shutil.which("nginx"):
            process, where = start_nginx(folder, upstream)
            stack.callback(process.terminate)
            peers.append(Peer("nginx", where, (process.pid,)))
        for size, count in SIZES.items():
            requests = REQUESTS[size] // share
            for peer in peers:
                asyncio.run(drive(peer.address, count, max(requests // 10, IN_FLIGHT)))  # warm
            for _ in range(rounds):
                for peer in peers:
                    before = peer.cpu_s()
                    asyncio.run(drive(peer.address, count, requests))
                    spent_us = (peer.cpu_s() - before) / requests * 1e6
                    cost_us[size].setdefault(peer.name, []).append(spent_us)
    print(f"CPU of the proxy for a request, µs: median of {rounds} rounds; {IN_FLIGHT} in flight\n")
    names = [peer.name for peer in peers]
    rows = [(size, *(round(statistics.median(costs[n])) for n in names)) for size, costs in cost_us.items()]
    print(markdown_table(("body", *names), rows))
    claims = [
        Claim(f"CPU for a request of {size}, times that of grpc.aio", ratio(costs, "grpc.aio"), 1.0)
        for size, costs in cost_us.items()
    ]
    return finish("proxy", claims, quick=quick, machine=machine("grpcio", "hpack"), cpu_us=cost_us)


def ratio(costs: dict[str, list[float]], peer: str) -> float:
    """Ours over the peer's, the median of all rounds."""
    return statistics.median(ours / theirs for ours, theirs in zip(costs["tailgate"], costs[peer], strict=True))


if __name__ == "__main__":
    sys.exit(main())
