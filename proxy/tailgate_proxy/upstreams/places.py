"""Where the members of a pool are: its configured addresses, with host names resolved again and again.

What answers mean is for `tailgate.policy.resolution`; here are the questions, and when they are asked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tailgate.config import Address
from tailgate.policy.resolution import Resolution
from tailgate_proxy.background import in_background

RESOLVE_INTERVAL_S: Final = 5.0
"""How often names are resolved: about as often as a name server may be asked to."""
LEAST_INTERVAL_S: Final = 1.0
"""After the loss of a member it is done at once, but not more often than so."""
RESOLVE_TIMEOUT_S: Final = 2.0
"""Longest wait for the first answer; a proxy that starts does not wait for a name server that is away."""

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where one member is.

    Attributes:
        address: As configured.
        at: Which of the addresses that its host name has; None: the one it has.
    """

    address: Address
    at: str | None

    @property
    def name(self) -> str:
        """As people and metrics name it."""
        if self.at is None:
            return str(self.address)
        return str(Address(f"[{self.at}]" if ":" in self.at else self.at, self.address.port))


class Places:
    """The places of one pool, as they change."""

    def __init__(self, addresses: Sequence[Address], on_change: Callable[[list[Place]], None]) -> None:
        """Each goes by its name until there is an answer; `on_change` is told of all that there are then."""
        self._on_change = on_change
        self._found: dict[Address, tuple[str, ...]] = {}
        self._names: dict[Address, Resolution] = {}
        self._list(addresses)
        self._failing: set[Address] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def all(self) -> list[Place]:
        """Where there is, or should be, a member."""
        return [Place(address, at) for address, found in self._found.items() for at in found or (None,)]

    def change(self, addresses: Sequence[Address]) -> None:
        """Other addresses are configured now: what is known of those that were there before stays known."""
        self._list(addresses)
        self._on_change(self.all)
        if self._names and self._task is None:
            self._task = in_background(self._keep_resolving(), "resolving names of upstreams")
        self._wake.set()

    async def start(self) -> None:
        """Resolve every name once, if that is soon done; then go on resolving."""
        if self._names:
            try:
                async with asyncio.timeout(RESOLVE_TIMEOUT_S):
                    await self._resolve()
            except TimeoutError:
                _log.warning("names of upstreams are not resolved yet: %s", ", ".join(map(str, self._names)))
            self._task = in_background(self._keep_resolving(), "resolving names of upstreams")

    def look_soon(self) -> None:
        """A member was lost: it may have another address now."""
        self._wake.set()

    async def close(self) -> None:
        """Resolve no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _list(self, addresses: Sequence[Address]) -> None:
        self._found = {address: self._found.get(address, ()) for address in addresses}
        names = (address for address in addresses if not _is_literal(address.bare_host))
        self._names = {address: self._names.get(address) or Resolution() for address in names}

    async def _keep_resolving(self) -> None:
        while True:
            await asyncio.sleep(LEAST_INTERVAL_S)
            try:
                async with asyncio.timeout(RESOLVE_INTERVAL_S - LEAST_INTERVAL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._resolve()

    async def _resolve(self) -> None:
        before = dict(self._found)
        loop = asyncio.get_running_loop()
        for address, resolution in list(self._names.items()):
            try:
                answer = await loop.getaddrinfo(address.bare_host, address.port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                if address not in self._failing:  # else it is no news
                    _log.warning("%s cannot be resolved, and is left where it was: %s", address.host, error)
                self._failing.add(address)
                continue
            self._failing.discard(address)
            if answer and self._names.get(address) is resolution:  # else it is configured no more
                self._found[address] = resolution.answered(str(info[4][0]) for info in answer)
        if self._found != before:
            self._on_change(self.all)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
