"""Runs one proxy in this process, from its start until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable

from tailgate.config import Address
from tailgate_proxy.app import Proxy
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.event_loop import loop_factory
from tailgate_proxy.feedback.visiting import Siblings
from tailgate_proxy.reload.reloader import Reloader
from tailgate_proxy.reload.source import Source

SWITCH_INTERVAL_S = 0.0001
"""For so long a thread that writes a trace, or puts metrics into text, may keep the event loop from going on. Python's
own 5 ms would be felt by requests: `bench/scrape.py`."""

Ready = Callable[[Address, Address, Address | None], None]
"""Takes the addresses of the gRPC, the admin and, if there is one, the HTTP port, as they really are, once the proxy
serves."""

_log = logging.getLogger(__name__)


def run_proxy(
    config: ProxyConfig,
    ready: Ready,
    *,
    reuse_port: bool = False,
    lifeline: int | None = None,
    siblings: Siblings | None = None,
    source: Source | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. SIGHUP has the configuration read again.

    Args:
        config: What to do.
        ready: Called once.
        reuse_port: Share the port for clients with other processes.
        lifeline: A descriptor whose end of file tells to stop, too: whoever held its other end is gone.
        siblings: The workers that share the port, to ask about labels; None: there are none.
        source: Where the configuration comes from; None: it is not read again, and SIGHUP ends the process.

    Raises:
        ConfigError: An address cannot be bound, or the event loop asked for is not there.
        TraceError: The trace cannot be created.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=loop_factory(config.loop)) as runner:
        runner.run(_serve(config, ready, reuse_port=reuse_port, lifeline=lifeline, siblings=siblings, source=source))


async def _serve(
    config: ProxyConfig,
    ready: Ready,
    *,
    reuse_port: bool,
    lifeline: int | None,
    siblings: Siblings | None,
    source: Source | None,
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    _log.info("the event loop is a %s", type(loop).__name__)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if lifeline is not None:
        loop.add_reader(lifeline, _stop_at_end_of_file, lifeline, stopped)
    proxy = Proxy(config, reuse_port=reuse_port, siblings=siblings)
    reloader = None if source is None else Reloader(source, proxy.change, proxy.reloads)
    reloading: asyncio.Task[None] | None = None
    if reloader is not None:
        loop.add_signal_handler(signal.SIGHUP, reloader.ask)
    try:
        ready(*await proxy.start(), proxy.rest)
        if reloader is not None:
            reloading = loop.create_task(reloader.keep_reloading())
        await stopped.wait()
    finally:
        if reloading is not None:
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)
        await proxy.stop()


def _stop_at_end_of_file(lifeline: int, stopped: asyncio.Event) -> None:
    try:
        ended = not os.read(lifeline, 4096)
    except OSError:
        ended = True
    if ended:
        asyncio.get_running_loop().remove_reader(lifeline)
        if not stopped.is_set():
            _log.warning("the process that started this one is gone; stopping")
        stopped.set()
