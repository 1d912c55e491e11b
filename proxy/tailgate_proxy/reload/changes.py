"""What of a configuration may change while the proxy runs. Pure."""

from __future__ import annotations

from typing import Final

from tailgate_proxy.config import ProxyConfig

CHANGEABLE: Final = frozenset(
    (
        "upstreams",
        "upstream",
        "upstream_profile",
        "routes",
        "deadline",
        "forward_metadata",
        "mode",
        "default_answer",
        "late_share",
        "late_patience",
        "models",
        "objective",
        "floor",
        "confidences",
        "max_in_flight",
        "max_held_mib",
        "max_connections",
        "max_connections_per_peer",
        "handshake_timeout",
        "stall_timeout",
        "idle_timeout",
        "drain_grace",
    )
)
"""Everything else is fixed: what is bound, written to or shared between processes, and what counts began with."""


def changed(old: ProxyConfig, new: ProxyConfig) -> list[str]:
    """The fields in which two configurations differ, in the order of the code."""
    return [name for name in ProxyConfig.model_fields if getattr(old, name) != getattr(new, name)]


def refusals(old: ProxyConfig, new: ProxyConfig) -> list[str]:
    """A sentence for each change that cannot be made while the proxy runs."""
    found = [
        f"{name} cannot change while the proxy runs, from {_shown(old, name)} to {_shown(new, name)}; restart it"
        for name in changed(old, new)
        if name not in CHANGEABLE
    ]
    if new.upstream_tls and old.upstream_tls and _checked_name(old) != _checked_name(new):
        found.append(
            "the host of upstreams that are called over TLS cannot change while the proxy runs, for it is the name on "
            "their certificates; give upstream_server_name, or restart it"
        )
    return found


def with_fixed(new: ProxyConfig, running: ProxyConfig) -> ProxyConfig:
    """The new configuration with what is fixed as it really is: ports, for one, of which a file may say 0."""
    fixed = {name: getattr(running, name) for name in ProxyConfig.model_fields if name not in CHANGEABLE}
    return new.model_copy(update=fixed)


def _shown(config: ProxyConfig, name: str) -> str:
    value = getattr(config, name)
    return "none" if value is None else str(value)


def _checked_name(config: ProxyConfig) -> str | None:
    """The name that the upstream's certificate must have, where it is the same for all."""
    hosts = {address.bare_host for pool in config.pools.values() for address in pool.addresses}
    return config.upstream_server_name or (hosts.pop() if len(hosts) == 1 else None)
