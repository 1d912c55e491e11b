"""Calls made together, of which one leaves: by cancel or by deadline, at many moments. A shell; it judges nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tailgate_loadgen.probe.judge_mates import proved
from tailgate_loadgen.probe.seen import Group, Groups
from tailgate_loadgen.probe.trials import Trials

SIZE = 4
_GOLDEN = 0.6180339887498949
_SPAN = 2.0
"""Members leave within this many service times: while they wait for the call before them, and while they run."""
_LEAST_S = 0.001


def leaving(number: int, service_s: float) -> tuple[int, str, float]:
    """Who leaves in a group of this number, how and when: all moments come up evenly, whatever the number of groups."""
    after_s = max(_LEAST_S, (number * _GOLDEN % 1.0) * _SPAN * service_s)
    return number % SIZE, ("cancel", "deadline")[number // SIZE % 2], after_s


async def make_groups(trials: Trials, number: int, on_group: Callable[[], None]) -> Groups:
    """Groups with a leaver and without, in turn, until there are so many or the matter is settled."""
    service_s = trials.service_s
    patience_s = 2.0 + 6 * (SIZE + 1) * service_s
    left: list[Group] = []
    stayed: list[Group] = []
    for place in range(number):
        stayed.append(await _group(trials, patience_s, None))
        await trials.settle(patience_s)
        left.append(await _group(trials, patience_s, leaving(place, service_s)))
        await trials.settle(patience_s)
        on_group()
        if proved(left, stayed):
            break
    afterwards = await trials.caller.ask(trials.body, patience_s)
    return Groups(tuple(left), tuple(stayed), service_s, patience_s, afterwards.ok)


async def _group(trials: Trials, patience_s: float, leaver: tuple[int, str, float] | None) -> Group:
    """One call that keeps the server busy, so that the group behind it becomes a batch where there are batches."""
    start, body = trials.caller.start, trials.body
    calls = [start(body, patience_s)]
    who, how, after_s = leaver or (-1, "", 0.0)
    for member in range(SIZE):
        if member != who:
            calls.append(start(body, patience_s))
        elif how == "cancel":
            calls.append(start(body, patience_s, cancel_after_s=after_s))
        else:
            calls.append(start(body, patience_s, deadline_s=after_s))
    ended = await asyncio.gather(*calls)
    if leaver is None:
        return Group(None, "", 0.0, tuple(ended))
    return Group(ended.pop(1 + who), how, after_s, tuple(ended))
