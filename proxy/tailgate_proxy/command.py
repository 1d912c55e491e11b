"""`tailgate proxy`: options, configuration file, signals."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tailgate.cli import EXIT_OK, Command

if TYPE_CHECKING:
    from tailgate_proxy.config import ProxyConfig


def _configure(parser: argparse.ArgumentParser) -> None:
    # Defaults live in the configuration, so that an option left out never hides what a file says.
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="TOML file; options win over it")
    add("--upstream", metavar="HOST:PORT", help="the V2 gRPC server behind the proxy")
    add("--deadline", metavar="DURATION", help="of requests for which nothing else sets one, such as 50ms")
    add("--listen", metavar="HOST:PORT", help="where to serve gRPC (127.0.0.1:9001)")
    add("--admin", metavar="HOST:PORT", help="where to serve metrics, health and status (127.0.0.1:9090)")
    add("--mode", metavar="MODE", help="at the deadline: 'enforce' it, or only 'observe' (enforce)")
    add("--trace", metavar="DIR", help="folder to write the trace to (none)")
    add("--max-in-flight", type=int, metavar="N", help="refuse requests beyond so many at once (1024)")
    add("--max-message-mib", type=int, metavar="N", help="largest request or answer (64)")
    add("--max-held-mib", type=int, metavar="N", help="requests held at once, in all (1024)")
    add("--drain-grace", metavar="DURATION", help="longest wait for requests in flight when told to stop (10s)")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"), help="what to log")


def _run(options: argparse.Namespace) -> int:
    from tailgate.config import read_config
    from tailgate_proxy.config import ProxyConfig

    given = {name: value for name, value in vars(options).items() if name in ProxyConfig.model_fields}
    config = read_config(ProxyConfig, options.config, given)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return asyncio.run(_serve(config))


async def _serve(config: ProxyConfig) -> int:
    from tailgate_proxy.app import Proxy

    proxy = Proxy(config)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        listen, admin = await proxy.start()
        print(f"tailgate proxy listening on {listen}, admin on {admin}", flush=True)
        await stopped.wait()
    finally:
        await proxy.stop()
    return EXIT_OK


COMMAND = Command("enforce deadlines in front of a V2 gRPC server and observe every request", _configure, _run)
