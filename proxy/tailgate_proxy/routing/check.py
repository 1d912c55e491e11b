"""What is wrong with routes that are each well-formed: whether they fit the upstreams, and one another."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from tailgate.policy.routing import unreachable
from tailgate_proxy.routing.config import RouteConfig


def mistakes_of(routes: Sequence[RouteConfig], upstreams: Collection[str]) -> list[tuple[tuple[int | str, ...], str]]:
    """Every mistake: where it is, from the list of routes on, and what to say of it.

    Args:
        routes: In their order.
        upstreams: The names there are.
    """
    found: list[tuple[tuple[int | str, ...], str]] = [
        ((at, "to"), _unknown(name, upstreams))
        for at, route in enumerate(routes)
        for name in route.to
        if name not in upstreams
    ]
    for at, route in enumerate(routes):
        if route.shadow is not None and route.shadow not in upstreams:
            found.append(((at, "shadow"), _unknown(route.shadow, upstreams)))
        elif route.shadow in route.to:
            sentence = f"is {route.shadow!r}, where the requests themselves go, too; name another upstream"
            found.append(((at, "shadow"), sentence))
        elif route.shadow is None and "shadow_share" in route.model_fields_set:
            found.append(((at, "shadow_share"), "is given without shadow; name the upstream that gets the copies"))
    for at, taker in unreachable([route.rule for route in routes]):
        sentence = (
            f"is for {str(routes[at])!r}, of which route #{taker + 1} ({str(routes[taker])!r}) takes every request "
            f"before; put it above that one, or leave it out"
        )
        found.append(((at,), sentence))
    return sorted(found, key=lambda one: (one[0][0], one[1]))


def _unknown(name: str, upstreams: Collection[str]) -> str:
    close = difflib.get_close_matches(name, upstreams, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(upstreams)) or 'none'}"
    return f"is {name!r}, which is no upstream; {hint}"
