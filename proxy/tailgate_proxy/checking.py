"""`tailgate proxy --check`: every mistake in a configuration, or what a proxy would do by it. Nothing is bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tailgate.config import read_config
from tailgate.errors import ConfigError, ConfigMistakes
from tailgate.units import format_duration
from tailgate_proxy.access.guard import build_guard
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.event_loop import loop_factory
from tailgate_proxy.routes import build_routes
from tailgate_proxy.routing.config import RouteConfig
from tailgate_proxy.steps.enter import check_limit
from tailgate_proxy.tls.sides import Tls
from tailgate_proxy.workers.plan import worker_plans


def read_and_check(file: Path | None, given: dict[str, object]) -> ProxyConfig:
    """The configuration that a file and options make, with everything that can be known to be wrong before a start.

    Raises:
        ConfigError: Something is wrong; `ConfigMistakes` has a sentence for each.
    """
    config = read_config(ProxyConfig, file, given)
    mistakes: list[str] = []
    steps: tuple[Callable[[], object], ...] = (
        lambda: build_routes(config),
        lambda: Tls(config),
        lambda: build_guard(config),
        lambda: check_limit(config),
        lambda: loop_factory(config.loop),
        lambda: worker_plans(config, [0]) if config.workers > 1 else None,
    )
    for step in steps:
        try:
            step()
        except ConfigMistakes as error:
            mistakes += error.sentences
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigMistakes(mistakes)
    return config


def describe(config: ProxyConfig) -> str:
    """What a proxy would do, for people."""
    ports = [f"gRPC on {config.listen}", f"admin on {config.admin}"]
    if config.rest is not None:
        ports.append(f"HTTP on {config.rest}")
    upstreams = [
        f"{name}: {', '.join(map(str, upstream.addresses))} ({upstream.profile})"
        + (f", versions end in {upstream.version_suffix}" if upstream.version_suffix else "")
        for name, upstream in config.pools.items()
    ]
    routes = [f"#{number} {route} → {_targets(route)}{_copies(route)}" for number, route in enumerate(config.routes, 1)]
    rest = "all others" if routes else "all requests"
    reached = {config.default_pool, *(name for route in config.routes for name, weight in route.to.items() if weight)}
    reached |= {route.shadow for route in config.routes if route.shadow is not None}
    deadlines = [f"{config.mode} after {format_duration(config.deadline)}"]
    for name, model in config.models.items():
        if model.deadline is not None or model.mode is not None:
            deadline = format_duration(config.deadline if model.deadline is None else model.deadline)
            deadlines.append(f"{name}: {model.mode or config.mode} after {deadline}")
    sections = {
        "ports": ports,
        "upstreams": upstreams,
        "routes": [*routes, f"{rest} → {config.default_pool}"],
        "deadlines": deadlines,
        "note": [f"no request goes to {name}" for name in config.pools if name not in reached],
    }
    lines = []
    for title, entries in sections.items():
        for index, entry in enumerate(entries):
            lines.append(f"{title if index == 0 else '':11}{entry}")
    return "\n".join(lines)


def _copies(route: RouteConfig) -> str:
    return "" if route.shadow is None else f"; copies of {100 * route.shadow_share:.4g} % → {route.shadow}"


def _targets(route: RouteConfig) -> str:
    if len(route.to) == 1:
        return next(iter(route.to))
    whole = sum(route.to.values())
    return ", ".join(f"{name} {100 * weight / whole:.4g} %" for name, weight in route.to.items())
