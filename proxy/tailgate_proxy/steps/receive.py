"""Receive: the message behind the headers, and what it says: which model, and with it the deadline."""

from __future__ import annotations

from tailgate.errors import Overloaded, RequestError, TooLarge
from tailgate.outcome import Ending
from tailgate_proxy.call import Reply
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.exchange import Exchange, read_body
from tailgate_proxy.steps import Inner


class Receive:
    """Waits for the message; what is no request goes no further."""

    def __init__(self, config: ProxyConfig) -> None:
        """Read with this configuration."""
        self._config = config

    async def __call__(self, exchange: Exchange, inner: Inner) -> Reply:
        """The inner reply, or what is wrong with the message."""
        try:
            read_body(exchange, await exchange.call.receive(), self._config)
        except TooLarge as error:
            return Reply(Ending.TOO_LARGE, error.status, f"{error} (--max-message-mib)")
        except Overloaded as error:
            return Reply(Ending.SHED, error.status, f"{error} (--max-held-mib)")
        except RequestError as error:
            return Reply(Ending.INVALID, error.status, str(error))
        return await inner(exchange)
