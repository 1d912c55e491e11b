"""Asks one member again and again how it is, and now and then which models it has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tailgate.policy.health import Probe
from tailgate_proxy.background import in_background
from tailgate_proxy.call import CallFailed
from tailgate_proxy.upstreams.member import Member

PROBE_INTERVAL_S: Final = 0.5
"""How often a member is asked whether it is ready."""
LIST_INTERVAL_S: Final = 10.0
"""How often one that is ready is asked which models it has; some look through their disk for that."""

Learn = Callable[[list[tuple[str, str]]], None]
"""Takes the names and versions of models that a member lists."""

_log = logging.getLogger(__name__)


class Prober:
    """Of one member."""

    def __init__(
        self, member: Member, *, learn: Learn, on_found: Callable[[Probe], None], clock: Callable[[], float]
    ) -> None:
        """Nothing is asked yet.

        Args:
            member: Whom to ask.
            learn: Told of the models that are listed.
            on_found: Told after each time what was found.
            clock: Tells the time.
        """
        self._member = member
        self._learn = learn
        self._on_found = on_found
        self._clock = clock
        self._listed_s = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def start(self, *, at_once: bool) -> None:
        """Ask from now on, for the first time at once or only after the usual while."""
        self._task = in_background(
            self._keep_looking(at_once=at_once), f"asking upstream {self._member.name} how it is"
        )

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Ask once; for the models, too, if it was not ready before or that is long ago."""
        member, health = self._member, self._member.health
        was_ready = health.ready(self._clock())
        found = await member.upstream.probe()
        if found is Probe.READY and not (was_ready and self._clock() - self._listed_s < LIST_INTERVAL_S):
            found = await self._list()
        if found is not health.last:
            _log.info("upstream %s %s", member.name, "is ready" if found is Probe.READY else found.value)
        health.probed(self._clock(), found)
        self._on_found(found)

    async def _list(self) -> Probe:
        """What is to be made of a member that is ready, by its models."""
        self._listed_s = self._clock()
        try:
            models = await self._member.upstream.models()
        except CallFailed as failure:
            _log.warning("upstream %s does not list its models: %s", self._member.name, failure)
            return Probe.READY
        self._learn(models or [])
        return Probe.READY if models is None or models else Probe.EMPTY

    async def _keep_looking(self, *, at_once: bool) -> None:
        if at_once:
            await self.look()
        while True:
            await asyncio.sleep(PROBE_INTERVAL_S)
            await self.look()
