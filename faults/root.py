"""The faults that need root, or more than a suite may ask for: network namespaces, control groups, mounts, clocks."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from bench._echo_upstream import request
from bench._raw_client import connect
from faults.cases import Case, all_answered, cut_at_the_deadline, unavailable
from faults.machine import CGROUPS, MANY_FILES, faketime
from faults.sockets import connections
from faults.stage import Ended, Setting, Stage
from fuzz._wire import PREFACE

NEAR, FAR = "192.0.2.1", "192.0.2.2"
"""Addresses for documentation (RFC 5737): of nobody, in a namespace that nobody else is in."""
IDLE, MOST_LEFT = 10_000, 10
WANTS_MORE = 600.0
"""Calls a second that a fifth of a processor is not enough for: a hundred take the proxy less than a tenth."""
_HUNGRY, _LARGE_MIB, _SPARE_MIB = 8, 16, 64
"""So many calls with bodies of so many MiB, and what the upstream may take for them: half of it."""
SETTINGS = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0"
"""None of our own, and the other side's are acknowledged."""


class Elsewhere:
    """Another host, as far as the network is concerned: a namespace at the other end of a cable.

    The process that asks for one has to be in a namespace of its own already (`faults.one`).
    """

    def __init__(self) -> None:
        # It ends with us, whichever way: its standard input does.
        self._holder = subprocess.Popen(("unshare", "--net", "--", "cat"), stdin=subprocess.PIPE)
        self.within = ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net")
        ours = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{self._holder.pid}/ns/net").readlink() == ours:  # until it has moved
            time.sleep(0.01)
        self.near("ip", "link", "set", "lo", "up")
        self.near("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(self._holder.pid))
        self.near("ip", "addr", "add", f"{NEAR}/24", "dev", "near")
        self.near("ip", "link", "set", "near", "up")
        self.far("ip", "addr", "add", f"{FAR}/24", "dev", "far")
        self.far("ip", "link", "set", "far", "up")

    def near(self, *command: str) -> str:
        """Run a command at our end; returns what it says."""
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def far(self, *command: str) -> None:
        """Run a command at the other end."""
        self.near(*self.within, *command)


@cache
def elsewhere() -> Elsewhere:
    """The other host of this process."""
    return Elsewhere()


def across_a_cable() -> Setting:
    """The upstream is on the other host, and the proxy calls it there, without a toxic between them."""
    return Setting(upstream=("--host", FAR), within=elsewhere().within, direct=True)


async def take_the_link_down(stage: Stage) -> None:
    elsewhere().far("ip", "link", "set", "far", "down")
    await asyncio.sleep(stage.generator.uniform(0.7, 1.5) * stage.plan.lasts_s)
    elsewhere().far("ip", "link", "set", "far", "up")


async def lose_packets(stage: Stage) -> None:
    rule = ("INPUT", "-i", "near", "-m", "statistic", "--mode", "random", "--probability", "0.1", "-j", "DROP")
    elsewhere().near("iptables", "-A", *rule)
    await asyncio.sleep(2 * stage.plan.lasts_s)
    listed = elsewhere().near("iptables", "-L", "INPUT", "-v", "-x", "-n")
    stage.details["packets_dropped"] = int(listed.splitlines()[-1].split()[0])
    elsewhere().near("iptables", "-D", *rule)


async def narrow_the_link(stage: Stage) -> None:
    shape = ("tc", "qdisc", "add", "dev", "near", "root", "tbf", "rate", "2mbit", "burst", "16kb", "latency", "100ms")
    elsewhere().near(*shape)
    await asyncio.sleep(stage.plan.lasts_s)
    elsewhere().near("tc", "qdisc", "del", "dev", "near", "root")


async def jump_in_time(stage: Stage) -> None:
    """The proxy's wall clock goes an hour forward, two back, and comes home."""
    for offset in ("+1h", "-1h", "+0"):
        (stage.folder / _CLOCK).write_text(f"{offset}\n")
        await asyncio.sleep(_CLOCK_READ_S + 0.5)


async def fill_the_disk(stage: Stage) -> None:
    """What is left of the disk is used up by somebody else, and given back."""
    ballast = stage.folder / "trace" / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    await asyncio.sleep(stage.plan.lasts_s)
    ballast.unlink()


async def run_the_upstream_out_of_memory(stage: Stage) -> None:
    assert stage.upstream.running is not None
    pid = stage.upstream.running.pid
    with _group("memory", pid) as folder:
        # What it took before it came into the group is not the group's: its size says nothing here.
        used = int((folder / "memory.usage_in_bytes").read_text())
        (folder / "memory.limit_in_bytes").write_text(str(used + (_SPARE_MIB << 20)))
        hungry = await connect(stage.proxy.ready[0], stage.load.log)
        asked, give_up_s = 0, time.monotonic() + 60
        while stage.upstream.running.alive and time.monotonic() < give_up_s:
            if not hungry.in_flight:  # at first, and where all were given up before the last of them was there
                for _ in range(_HUNGRY):
                    asked += 1
                    body = request(f"hungry-{asked}", bytes(16), 2.0, bytes(_LARGE_MIB << 20))
                    hungry.call(f"hungry-{asked}", body, 60.0)
            await asyncio.sleep(0.02)
        how = {call.request_id: call.status for call in stage.load.log if call.request_id.startswith("hungry")}
        assert not stage.upstream.running.alive, f"the upstream was not killed for its memory: {how}"
        await hungry.idle()
        hungry.vanish(politely=True)
    await stage.upstream.start()


async def ration_the_processor(stage: Stage) -> None:
    """A fifth of one processor, under a load that wants more."""
    before = stage.load.rate
    with _group("cpu", stage.proxy.pid) as folder:
        (folder / "cpu.cfs_period_us").write_text("50000")
        (folder / "cpu.cfs_quota_us").write_text("10000")
        stage.load.rate = WANTS_MORE
        await asyncio.sleep(stage.plan.lasts_s)
        stage.load.rate = before
        counts = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
        stage.details["times_throttled"] = int(counts["nr_throttled"])


async def keep_idle_connections(stage: Stage) -> None:
    before_mib = stage.proxy.rss_mib
    async with connections(stage.listen, IDLE, PREFACE + SETTINGS):
        await asyncio.sleep(stage.plan.lasts_s)
        stage.details["connections"] = (await stage.status())["connections"]
        stage.details["mib_for_10000_connections"] = round(stage.proxy.rss_mib - before_mib, 1)
    while (await stage.status())["connections"] > MOST_LEFT:
        await asyncio.sleep(0.05)


_CLOCK, _CLOCK_READ_S = "clock", 1
"""The file with the proxy's time, and how often libfaketime looks into it."""


@contextmanager
def _group(controller: str, pid: int) -> Iterator[Path]:
    """A control group with this process in it; afterwards it is where it was, if it lives."""
    folder = CGROUPS / controller / f"tailgate-faults-{pid}"
    folder.mkdir()
    try:
        (folder / "cgroup.procs").write_text(str(pid))
        yield folder
    finally:
        for left in (folder / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (CGROUPS / controller / "cgroup.procs").write_text(left)
        give_up_s = time.monotonic() + 5
        while folder.exists() and time.monotonic() < give_up_s:
            with suppress(OSError):
                folder.rmdir()
            time.sleep(0.02)


def _another_clock() -> Setting:
    library = faketime()
    assert library is not None
    # Only the wall clock: whoever jumps with the monotonic one as well has not understood it.
    environment = {"LD_PRELOAD": library, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    environment["FAKETIME_CACHE_DURATION"] = str(_CLOCK_READ_S)
    return Setting(environment=environment, clock_file=_CLOCK)


def _time_for_large_bodies() -> Setting:
    """All of them have to be there at once, on a slow machine as well."""
    return Setting(options=("--deadline", "60s"))


def _small_disk() -> Setting:
    return Setting(trace_mib=1)


def _many_connections() -> Setting:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < MANY_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (MANY_FILES, hard))  # which the proxy inherits
    most = str(IDLE + 1_000)
    return Setting(options=("--max-connections", most, "--max-connections-per-peer", most))


def repaired(ended: Ended) -> None:
    """Packets were lost, and no call with them."""
    assert ended.details["packets_dropped"] > 0
    all_answered(ended)


def throttled(ended: Ended) -> None:
    """The proxy had to stand still now and then, and nobody was told of it."""
    assert ended.details["times_throttled"] > 0
    all_answered(ended)


def jumped(ended: Ended) -> None:
    """The proxy's wall clock did, by the audit's word, and nobody was told of it."""
    assert any(_THE_CLOCK[0] in breach for breach in ended.breaches), "the clock has not moved"
    all_answered(ended)


def some_dropped(ended: Ended) -> None:
    """The disk was full for some of them, and each was counted: I9 holds rows and counter against the calls."""
    (i9,) = (finding for finding in ended.findings if finding.code == "I9")
    assert "were not written" in i9.note, i9


def all_kept(ended: Ended) -> None:
    assert ended.details["connections"] >= IDLE
    assert ended.details["mib_for_10000_connections"] <= 200


_THE_CLOCK = ("requests came to the proxy before they were sent, or after they were answered",)
_THE_DISK = (
    "observations are missing",
    "requests were answered without a row at the proxy",
    "were computed that no row of the proxy knows",
)
"""What the audit says of these faults themselves."""

ROOT_CASES: Sequence[Case] = (
    Case("link down", 10, take_the_link_down, cut_at_the_deadline, across_a_cable, ("network namespaces",)),
    Case("packets lost", 12, lose_packets, repaired, across_a_cable, ("packet loss",)),
    Case("narrow link", 13, narrow_the_link, cut_at_the_deadline, across_a_cable, ("traffic shaping",)),
    Case("clock jumps", 20, jump_in_time, jumped, _another_clock, ("another clock",), fault=_THE_CLOCK),
    Case("idle connections", 28, keep_idle_connections, all_kept, _many_connections, ("many files",)),
    Case("disk full", 44, fill_the_disk, some_dropped, _small_disk, ("root",), fault=_THE_DISK),
    Case(
        "upstream out of memory",
        47,
        run_the_upstream_out_of_memory,
        unavailable,
        _time_for_large_bodies,
        ("a memory cgroup",),
    ),
    Case("processor quota", 54, ration_the_processor, throttled, needs=("a processor cgroup",)),
)
