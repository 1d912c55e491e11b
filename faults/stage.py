"""One run of one fault: upstream, toxic, proxy and load; then the books, which `tailgate audit` alone judges."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench._raw_client import Asked, records
from faults.load import Load
from faults.processes import Running, Upstream, start_proxy
from faults.recovery import CALLS, recovery_s
from faults.toxic import Toxic
from tailgate.audit.everything import audit
from tailgate.audit.evidence import Evidence
from tailgate.audit.finding import Finding
from tailgate.audit.reading import read_executed, read_scrape
from tailgate.errors import Status
from tailgate.trace.files import read_folder
from tailgate.trace.format import Contents

GRACE_S = 5.0
"""The machine's own pauses are nobody's lateness: what is late for the proxy's own clock is never excused."""
REST_S = 30.0
SPARE_FILES = 8
"""Descriptors that a proxy may have more of than before a fault: connections to the upstream, which it keeps."""


@dataclass(frozen=True)
class Plan:
    """How long what takes.

    Attributes:
        before_s: Load before the fault.
        lasts_s: What strikes take as their measure.
        after_s: Longest wait for calls to be answered again.
    """

    before_s: float = 1.5
    lasts_s: float = 2.0
    after_s: float = 15.0


QUICK = Plan(before_s=0.8, lasts_s=1.0, after_s=60.0)


@dataclass
class Stage:
    """What a strike can harm.

    Attributes:
        upstream, toxic, proxy, load: What runs, in the order in which calls meet it from behind.
        generator: Of everything that is drawn.
        plan: How long what takes.
        details: What a strike found out beside the books.
    """

    folder: Path
    upstream: Upstream
    toxic: Toxic
    proxy: Running
    load: Load
    generator: random.Random
    plan: Plan
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def listen(self) -> tuple[str, int]:
        """Where the proxy serves."""
        host, _, port = self.proxy.ready[0].rpartition(":")
        return host, int(port)

    async def status(self) -> dict[str, Any]:
        """The proxy's /status.json."""
        return json.loads(await self.fetch("/status.json"))  # type: ignore[no-any-return]  # an object, by its making

    async def fetch(self, path: str) -> str:
        """A page of the proxy's admin port."""

        def read() -> str:
            with urllib.request.urlopen(f"http://{self.proxy.ready[1]}{path}", timeout=20) as response:
                text: str = response.read().decode()
                return text

        return await asyncio.to_thread(read)


@dataclass(frozen=True)
class Ended:
    """What became of it.

    Attributes:
        findings: Of the audit, all of them.
        log: Of the client.
        outcomes: How many requests ended how, by the proxy's counters.
        crossed: Answers that were not those of their request.
        files_more: Descriptors that the proxy has at the end beyond those before.
        recovery_s: From the fault's end until calls were answered as before; None: never within the plan.
        latest_s: The longest that any call ended after its deadline, by the client's clock.
        exit_status: Of the proxy.
        details: See `Stage`.
    """

    findings: Sequence[Finding]
    log: Sequence[Asked]
    outcomes: Mapping[str, int]
    crossed: int
    files_more: int
    recovery_s: float | None
    latest_s: float
    exit_status: int
    details: Mapping[str, Any]

    @property
    def breaches(self) -> list[str]:
        """All that is wrong, in words; empty where every promise that all faults have in common holds."""
        said = [f"{one.code}: {b.count} {b.what} ({', '.join(b.first)})" for one in self.findings for b in one.breaches]
        said += [f"not checked, {one.code}: {one.unchecked}" for one in self.findings if one.unchecked]
        if self.crossed:
            said.append(f"{self.crossed} answers were those of other requests")
        if self.files_more > SPARE_FILES:
            said.append(f"{self.files_more} more files are open than before")
        if self.exit_status:
            said.append(f"the proxy ended with {self.exit_status}")
        return said

    @property
    def statuses(self) -> Counter[Status]:
        """How calls ended for the client."""
        return Counter(asked.status for asked in self.log if asked.status is not None)


Strike = Callable[[Stage], Awaitable[None]]
"""Brings a fault about and ends it; it returns when it has ended."""


@dataclass(frozen=True)
class Setting:
    """What a fault needs around it.

    Attributes:
        options: Of the proxy.
        upstream: Options of the echo upstream.
        within: Command that starts the upstream elsewhere.
        direct: Whether the proxy calls the upstream itself, and not by way of the toxic.
        environment: More variables of the proxy's.
        clock_file: Name of the file in the run's folder that tells the proxy the time, as libfaketime reads it.
        trace_mib: Size of a disk for the trace alone; None: it is on the same as all else.
    """

    options: Sequence[str] = ()
    upstream: Sequence[str] = ()
    within: Sequence[str] = ()
    direct: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    clock_file: str | None = None
    trace_mib: int | None = None


async def play(strike: Strike, folder: Path, seed: int, plan: Plan, setting: Setting) -> Ended:
    """Everything, from the start of the processes to their end.

    Raises:
        AssertionError: A process died, or a call never ended.
    """
    generator = random.Random(seed)
    upstream = Upstream(folder, setting.upstream, setting.within)
    toxic = Toxic(generator)
    proxy: Running | None = None
    with _disk(folder / "trace", setting.trace_mib):
        try:
            address = await upstream.start()
            behind = address if setting.direct else await toxic.start(address)
            options = ("--deadline", "2s", "--trace", str(folder / "trace"), *setting.options)
            environment = dict(setting.environment)
            if setting.clock_file is not None:
                (folder / setting.clock_file).write_text("+0\n")
                environment["FAKETIME_TIMESTAMP_FILE"] = str(folder / setting.clock_file)
            proxy = await start_proxy(folder / "proxy.log", behind, *options, environment=environment)
            load = Load(proxy.ready[0], generator)
            stage = Stage(folder, upstream, toxic, proxy, load, generator, plan)
            while not (await stage.status())["upstream"]["ready"]:
                await asyncio.sleep(0.02)
            await load.connect()
            sending = asyncio.create_task(load.run())
            try:
                ended = await _play(strike, stage)
                await sending
                return ended
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        finally:
            if proxy is not None:
                await proxy.end()
            await toxic.stop()
            await upstream.kill()


@contextmanager
def _disk(folder: Path, mib: int | None) -> Iterator[None]:
    """A disk of its own for a folder, if it is to have one."""
    folder.mkdir()
    if mib is None:
        yield
        return
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", folder), check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", folder), check=True)


async def _play(strike: Strike, stage: Stage) -> Ended:
    load, proxy = stage.load, stage.proxy
    await asyncio.sleep(stage.plan.before_s)
    files = proxy.open_files
    began_s = time.monotonic()
    await strike(stage)
    ended_s = time.monotonic()
    assert proxy.alive, f"the proxy died; it said:\n{proxy.log.read_text(errors='replace')[-2000:]}"
    took_s = await _recovered(stage, began_s, ended_s)
    files_more = proxy.open_files - files
    await load.end()
    await _rest(stage)
    scrape = stage.folder / "metrics.txt"
    scrape.write_text(await stage.fetch("/metrics"))
    outcomes = (await stage.status())["outcomes"]
    exit_status = await proxy.end()
    executed, unlogged = read_executed(stage.upstream.executed)
    evidence = Evidence(
        client=(_as_trace(load.log),),
        proxy=tuple(read_folder(stage.folder / "trace")),
        scrapes=(read_scrape(scrape),),
        executed=executed,
        unlogged=unlogged,
    )
    return Ended(
        findings=audit(evidence, GRACE_S),
        log=load.log,
        outcomes=outcomes,
        crossed=sum(asked.right is False for asked in load.log),
        files_more=files_more,
        recovery_s=took_s,
        latest_s=max(asked.ended_s - asked.sent_s - asked.budget_s for asked in load.log),
        exit_status=exit_status,
        details=stage.details,
    )


async def _recovered(stage: Stage, began_s: float, ended_s: float) -> float | None:
    """Wait until calls are answered as before, and enough were sent to see it."""
    while time.monotonic() < ended_s + stage.plan.after_s:
        await asyncio.sleep(0.1)
        # Of a call that has not ended nobody knows; neither of those after it, as far as this is concerned.
        known = [(a.sent_s, a.status is Status.OK and not a.late) for a in _ended(stage.load.log)]
        if len(known) >= CALLS and (took_s := recovery_s(known, began_s, ended_s)) is not None:
            return took_s
    return None


def _ended(log: Sequence[Asked]) -> Sequence[Asked]:
    """Those before the first that has not ended."""
    return log[: next((n for n, asked in enumerate(log) if asked.status is None), len(log))]


async def _rest(stage: Stage) -> None:
    """Wait until nothing is in flight."""
    give_up_s = time.monotonic() + REST_S
    while time.monotonic() < give_up_s:
        scraped = await stage.fetch("/metrics")
        if "\ntailgate_in_flight 0.0\n" in scraped and "\ntailgate_held_bytes 0.0\n" in scraped:
            return
        await asyncio.sleep(0.05)


def _as_trace(log: Sequence[Asked]) -> Contents:
    """The client's log as a trace that was written whole."""
    header = {"role": "client"}
    return Contents(header, {}, {}, records(log), damaged=0, torn_bytes=0, missing=0, closed=True)
