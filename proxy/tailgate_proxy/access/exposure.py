"""What may be bound: an admin port that asks for no token stays on this machine, unless that is said outright."""

from __future__ import annotations

import ipaddress
import logging

from tailgate.config import Address
from tailgate.errors import ConfigError
from tailgate_proxy.config import ProxyConfig

_log = logging.getLogger(__name__)


def check_exposure(config: ProxyConfig) -> None:
    """Refuse an admin port that strangers could read, and warn of tokens that travel in the clear.

    Raises:
        ConfigError: It could be reached from elsewhere, and would ask nobody for a token.
    """
    if config.tokens is None and not config.admin_open and not is_loopback(config.admin):
        raise ConfigError(
            f"--admin {config.admin} can be reached from other machines and would ask nobody for a token; give "
            "--tokens, bind it to 127.0.0.1, or say --admin-open where something else keeps strangers out"
        )
    if config.tokens is None or config.tls_cert is not None:
        return
    for option, address in (("--listen", config.listen), ("--rest", config.rest)):
        if address is not None and not is_loopback(address):
            _log.warning(
                "--tokens is given and --tls-cert is not: on %s %s tokens travel in the clear, unless TLS ends before "
                "this proxy",
                option,
                address,
            )


def is_loopback(address: Address) -> bool:
    """Whether only this machine can reach it. Of names only ``localhost`` is known to be so."""
    try:
        return ipaddress.ip_address(address.bare_host).is_loopback
    except ValueError:
        return address.host == "localhost"
