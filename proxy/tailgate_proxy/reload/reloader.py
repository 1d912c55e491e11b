"""Reads the configuration again whenever it is asked to; a bad one never replaces a good one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from tailgate.errors import UsageError
from tailgate.gauges import ReloadCounts
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.reload.changes import changed
from tailgate_proxy.reload.source import Source

_log = logging.getLogger(__name__)


class Reloads:
    """What became of reloads."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """There was none; what the proxy started with is good."""
        self._now = now
        self._counts = ReloadCounts(success=True, success_unix_s=now(), successes=0, failures=0)

    def succeeded(self) -> None:
        """What is in use is what was asked for."""
        self._counts = replace(
            self._counts, success=True, success_unix_s=self._now(), successes=self._counts.successes + 1
        )

    def failed(self) -> None:
        """It is what was asked for before."""
        self._counts = replace(self._counts, success=False, failures=self._counts.failures + 1)

    @property
    def counts(self) -> ReloadCounts:
        """For a scrape."""
        return self._counts


class Reloader:
    """Reloads for one proxy."""

    def __init__(self, source: Source, change: Callable[[ProxyConfig], Awaitable[None]], reloads: Reloads) -> None:
        """Nothing happens before `ask`.

        Args:
            source: Where the configuration comes from.
            change: Puts another one to use, or raises `UsageError` and changes nothing.
            reloads: Told of what became of it.
        """
        self._source = source
        self._change = change
        self._reloads = reloads
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Read it again; asked for several times while that goes on, it is read once more after."""
        self._asked.set()

    async def keep_reloading(self) -> None:
        """Do what was asked for, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._reload()

    async def _reload(self) -> None:
        source = self._source
        try:
            config = await asyncio.to_thread(source.read)
            await self._change(config)
        except UsageError as error:
            self._reloads.failed()
            _log.error("the configuration in use stays in use: %s", error)
            return
        except Exception:  # noqa: BLE001 — whatever it was, requests go on, and it may be asked for again
            self._reloads.failed()
            _log.exception("the configuration in use may stay in use: the proxy failed to change it")
            return
        fields = changed(source.config, config)
        self._source = replace(source, config=config)
        self._reloads.succeeded()
        _log.info("%s was read again; what has changed: %s", source.file, ", ".join(fields) or "nothing")
