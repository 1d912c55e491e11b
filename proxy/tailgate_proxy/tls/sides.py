"""TLS as the proxy sees it: a context for each side that is to speak it, kept new, and what metrics show of both."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import replace

from tailgate.gauges import TlsCounts
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.tls.files import Side, server_files, upstream_files
from tailgate_proxy.tls.renewal import Renewal

LOOK_INTERVAL_S = 5.0
"""How often the files are looked at. What has changed is used once two looks have seen the same."""

_ROLES = {Side.SERVER: ("server", "client_ca"), Side.UPSTREAM: ("upstream_client", "upstream_ca")}
"""What a side's certificate and its bundle of authorities are called in metrics; clients over HTTP see the server's."""


class Tls:
    """Both sides."""

    def __init__(self, config: ProxyConfig) -> None:
        """Read every file.

        Raises:
            ConfigError: Options do not go together, or a file cannot be used.
        """
        now_s = time.time()
        server, upstream = server_files(config), upstream_files(config)
        self._renewals: dict[Side, Renewal] = {}
        if server is not None:
            self._renewals[Side.SERVER] = Renewal(server, None, now_s)
            if config.rest is not None:
                self._renewals[Side.REST] = Renewal(replace(server, side=Side.REST), None, now_s)
        if upstream is not None:
            self._renewals[Side.UPSTREAM] = Renewal(upstream, config.upstream_server_name, now_s)

    @property
    def server(self) -> ssl.SSLContext | None:
        """What clients are served with; None: without TLS."""
        return self._context(Side.SERVER)

    @property
    def rest(self) -> ssl.SSLContext | None:
        """What clients are served with over HTTP; None: without TLS."""
        return self._context(Side.REST)

    @property
    def upstream(self) -> ssl.SSLContext | None:
        """What the upstream is called with; None: without TLS."""
        return self._context(Side.UPSTREAM)

    async def keep_renewing(self) -> None:
        """Look at the files for ever."""
        while self._renewals:
            await asyncio.sleep(LOOK_INTERVAL_S)
            for renewal in self._renewals.values():
                await renewal.look(time.time())

    def expiries_s(self) -> dict[str, float]:
        """When what is in use expires, in seconds since the epoch, by role."""
        expiries: dict[str, float] = {}
        for side, (own, authorities) in _ROLES.items():
            renewal = self._renewals.get(side)
            if renewal is None:
                continue
            if renewal.loaded.validity is not None:
                expiries[own] = renewal.loaded.validity.not_after_s
            if renewal.loaded.authorities_expiry_s is not None:
                expiries[authorities] = renewal.loaded.authorities_expiry_s
        return expiries

    def counts(self) -> dict[str, TlsCounts]:
        """What has happened, by side."""
        return {
            side.value: TlsCounts(renewal.reloads, renewal.failures, renewal.context.handshakes.failures)
            for side, renewal in self._renewals.items()
        }

    def _context(self, side: Side) -> ssl.SSLContext | None:
        renewal = self._renewals.get(side)
        return None if renewal is None else renewal.context
