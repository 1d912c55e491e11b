"""The faults that need no root, each a strike against a whole stage. What holds of all is in `Ended.breaches`."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from faults.sockets import connections
from faults.stage import Ended, Setting, Stage, Strike

CONNECT_S = 2.0
"""For so long the proxy tries to connect; until then it tells nobody that the host is away."""


@dataclass(frozen=True)
class Case:
    """A fault to be brought about.

    Attributes:
        name: In one word or two.
        row: Of the matrix.
        strike: Brings it about.
        expects: Asserts what has to be seen of this fault, beyond what holds of all.
        setting: What it needs around it.
        needs: What the machine has to allow: words of `faults.machine`.
        fault: Breaches that are this fault itself, as the audit words them.
        bound_s: Longest recovery.
    """

    name: str
    row: int
    strike: Strike
    expects: Callable[[Ended], None]
    setting: Callable[[], Setting] = Setting
    needs: Sequence[str] = ()
    fault: Sequence[str] = ()
    bound_s: float = 5.0

    def judge(self, ended: Ended) -> list[str]:
        """All that is wrong with a run, in words."""
        wrong = [breach for breach in ended.breaches if not any(said in breach for said in self.fault)]
        try:
            self.expects(ended)
        except AssertionError as surprise:
            wrong.append(f"not seen, {self.expects.__name__}: {surprise}; outcomes {dict(ended.outcomes)}")
        if ended.recovery_s is None:
            wrong.append("calls were never answered again as before")
        return wrong


async def kill_the_upstream(stage: Stage) -> None:
    await stage.upstream.kill()
    await asyncio.sleep(stage.generator.uniform(0.2, 1.0) * stage.plan.lasts_s)
    await stage.upstream.start()


async def freeze_the_upstream(stage: Stage) -> None:
    stage.upstream.send(signal.SIGSTOP)
    await asyncio.sleep(stage.generator.uniform(0.7, 1.5) * stage.plan.lasts_s)
    stage.upstream.send(signal.SIGCONT)


async def slow_the_way(stage: Stage) -> None:
    stage.toxic.latency_s, stage.toxic.jitter_s = 0.1, 0.6
    await asyncio.sleep(stage.plan.lasts_s)
    stage.toxic.latency_s = stage.toxic.jitter_s = 0.0


async def answer_at_the_deadline(stage: Stage) -> None:
    budget_s, distance_s = 0.1, 0.005
    for _ in range(round(100 * stage.plan.lasts_s)):
        stage.load.call(budget_s + stage.generator.uniform(-2 * distance_s, distance_s), budget_s)
        await asyncio.sleep(0.01)


async def reset_connections(stage: Stage) -> None:
    for _ in range(round(5 * stage.plan.lasts_s)):
        stage.toxic.reset()
        await asyncio.sleep(0.2)


async def hold_everything_back(stage: Stage) -> None:
    stage.toxic.hold()
    await asyncio.sleep(stage.generator.uniform(0.7, 1.5) * stage.plan.lasts_s)
    stage.toxic.release()


async def take_the_host_away(stage: Stage) -> None:
    await stage.toxic.vanish()
    await asyncio.sleep(CONNECT_S + stage.generator.uniform(0.7, 1.5) * stage.plan.lasts_s)
    await stage.toxic.come_back()


async def narrow_the_way(stage: Stage) -> None:
    stage.toxic.bytes_per_s = 100_000.0
    await asyncio.sleep(stage.plan.lasts_s)
    stage.toxic.bytes_per_s = None


async def strand_the_connections(stage: Stage) -> None:
    stage.toxic.strand()
    await asyncio.sleep(0)


async def cancel_many(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(round(150 * stage.plan.lasts_s)):
        client, asked = stage.load.call(stage.generator.uniform(0.0, 0.05))
        if client is not None:
            loop.call_later(stage.generator.uniform(0.0, 0.05), client.cancel, asked)
        await asyncio.sleep(stage.generator.expovariate(300))


async def freeze_the_proxy(stage: Stage) -> None:
    for stall_s in (0.05, 0.5, 0.05, stage.generator.uniform(0.05, 1.0)):
        stage.proxy.send(signal.SIGSTOP)
        await asyncio.sleep(stall_s)
        stage.proxy.send(signal.SIGCONT)
        await asyncio.sleep(0.2)


async def starve_the_proxy(stage: Stage) -> None:
    """It has every fifth of twentieths of a second, as under a quota of 20 %."""
    for _ in range(round(20 * stage.plan.lasts_s)):
        stage.proxy.send(signal.SIGSTOP)
        await asyncio.sleep(0.04)
        stage.proxy.send(signal.SIGCONT)
        await asyncio.sleep(0.01)


async def use_up_the_files(stage: Stage) -> None:
    """Leave the proxy room for four descriptors, and want sixty-four."""
    pid, files = stage.proxy.pid, stage.proxy.open_files
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (files + 4, before[1]))
        async with connections(stage.listen, 64):
            await asyncio.sleep(stage.plan.lasts_s)
            assert stage.proxy.open_files < files + 64, "there were files enough for all"
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


async def scrape_and_never_read(stage: Stage) -> None:
    host, _, port = stage.proxy.ready[1].rpartition(":")
    async with connections((host, int(port)), 30, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 20):
        await asyncio.sleep(stage.plan.lasts_s)


def unavailable(ended: Ended) -> None:
    """Those that were there meanwhile were told that the upstream was away."""
    assert ended.outcomes["upstream_unavailable"] > 0


def cut_at_the_deadline(ended: Ended) -> None:
    """Those that were there meanwhile were answered at their deadline."""
    assert ended.outcomes["deadline_in_flight"] + ended.outcomes["ok_late_discarded"] > 0


def cancelled(ended: Ended) -> None:
    assert ended.outcomes["client_cancelled"] > 0


def all_answered(ended: Ended) -> None:
    """Nobody but the machine's own pauses made any call fail."""
    assert ended.outcomes["upstream_unavailable"] + ended.outcomes["internal"] + ended.outcomes["draining"] == 0


def stands_still(ended: Ended) -> None:
    """The upstream is not blamed for what the proxy itself did not do."""
    assert ended.outcomes["internal"] == 0


CASES: Sequence[Case] = (
    Case("upstream killed", 1, kill_the_upstream, unavailable),
    Case("upstream frozen", 2, freeze_the_upstream, cut_at_the_deadline),
    Case("upstream slow", 3, slow_the_way, cut_at_the_deadline),
    Case("answers at the deadline", 8, answer_at_the_deadline, cut_at_the_deadline),
    Case("connections reset", 9, reset_connections, unavailable),
    Case("everything held back", 10, hold_everything_back, cut_at_the_deadline),
    Case("host away", 11, take_the_host_away, unavailable),
    Case("narrow way", 13, narrow_the_way, cut_at_the_deadline),
    Case("connections stranded", 14, strand_the_connections, cut_at_the_deadline),
    Case("cancels", 19, cancel_many, cancelled),
    Case("proxy stands still", 21, freeze_the_proxy, stands_still),
    Case("no more files", 29, use_up_the_files, all_answered),
    Case("scrapes never read", 43, scrape_and_never_read, all_answered),
    Case("proxy starved", 54, starve_the_proxy, stands_still),
)
