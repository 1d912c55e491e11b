"""Malformed requests, one after another, each followed by a plain one. A shell; it judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tailgate_loadgen.probe.seen import Refusal
from tailgate_loadgen.probe.trials import Trials


async def make_refusals(
    trials: Trials, requests: Iterable[tuple[str, bytes | None]], on_refusal: Callable[[], None]
) -> tuple[Refusal, ...]:
    """The table; it ends with the first request after which the server does not answer a plain one any more."""
    patience_s = 5.0 + 10 * trials.service_s
    table: list[Refusal] = []
    for name, body in requests:
        on_refusal()
        if body is None:
            table.append(Refusal(name, None, alive=True))
            continue
        ended = await trials.caller.ask(body, patience_s)
        alive = await trials.alive()
        table.append(Refusal(name, ended, alive))
        if not alive:
            break
    return tuple(table)
