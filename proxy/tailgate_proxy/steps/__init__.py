"""What happens to a request, step by step; `tailgate_proxy.pipeline` puts the steps in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from tailgate_proxy.call import Reply
from tailgate_proxy.exchange import Exchange

Inner = Callable[[Exchange], Awaitable[Reply]]
"""Everything that comes after a step."""


class Step(Protocol):
    """One step around all that come after it."""

    async def __call__(self, exchange: Exchange, inner: Inner, /) -> Reply:
        """Reply, by asking what comes after it or without."""
        ...
