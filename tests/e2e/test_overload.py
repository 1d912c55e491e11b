"""Far too much load, and a proxy whose loop stands still: every call that reached the socket is counted, exactly once.

The client speaks HTTP/2 through python-h2 and keeps its own log, so nothing of what it sent can be lost in a library;
its log and the proxy's trace are joined by request id.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bench._echo_upstream import is_answer_to, request
from bench._raw_client import Asked, connect, records
from tailgate.books import reconcile
from tailgate.config import read_config
from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.trace.files import read_folder
from tailgate.trace.format import Records, request_key
from tailgate_proxy.app import Proxy
from tailgate_proxy.config import ProxyConfig
from tests.e2e.tempo import TEMPOS, kept_pace

ECHO = Path(__file__).parents[2] / "bench" / "_echo_upstream.py"
READY = r"echo listening on (\S+)"
STALL_S, BUDGET_S = 1.5, 0.3


@pytest.fixture
def start_echo(start: Any) -> Callable[..., Any]:
    """An upstream that takes as long for each call as the call says."""

    def start_it(*options: str) -> Any:
        return start(sys.executable, str(ECHO), *options, ready=READY)

    return start_it


class Load:
    """Calls at a steady rate over four connections; those on every second one wait past their deadline."""

    def __init__(self, address: str, seed: int) -> None:
        self.log: list[Asked] = []
        self.longest_lag_s = 0.0
        self._bodies: dict[str, tuple[bytes, bytes]] = {}
        self._address, self._random = address, random.Random(seed)

    async def run(self, rate: float, seconds: float, take_s: float, budgets_s: tuple[float, float]) -> None:
        clients = [await connect(self._address, self.log) for _ in range(4)]
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        try:
            for number in range(round(rate * seconds)):
                await asyncio.sleep(start_s + number / rate - loop.time())
                self.longest_lag_s = max(self.longest_lag_s, loop.time() - start_s - number / rate)
                name, nonce = f"call-{number}", self._random.randbytes(16)
                body = request(name, nonce, take_s)
                self._bodies[name] = nonce, body
                budget_s = round(self._random.uniform(*budgets_s), 6)
                clients[number % 4].call(name, body, budget_s, gives_up=bool(number % 2))
            for client in clients:
                await client.idle()
        finally:
            for client in clients:
                client.vanish(politely=True)

    def assert_answers_are_their_own(self) -> None:
        for asked in self.log:
            if asked.status is Status.OK:
                assert is_answer_to(asked.answer, asked.request_id, *self._bodies[asked.request_id])


def proxy_rows(folder: Path) -> Records:
    (contents,) = read_folder(folder)
    assert (contents.damaged, contents.torn_bytes, contents.missing, contents.closed) == (0, 0, 0, True)
    return contents.records


def assert_counted_exactly_once(log: list[Asked], rows: Records) -> None:
    assert all(asked.reached for asked in log)
    assert sorted(rows["request_id"].tolist()) == sorted(request_key(asked.request_id) for asked in log)
    books = reconcile(records(log), rows)
    assert books.breaches == ()
    assert books.matched == books.client == books.proxy == len(log)
    answered = rows[rows["outcome"] == Outcome.OK]
    assert (answered["latency_s"] <= answered["budget_s"]).all()
    assert Outcome.OK_LATE not in rows["outcome"]


def outcomes(rows: Records) -> Counter[Outcome]:
    return Counter(Outcome(code) for code in rows["outcome"].tolist())


Shown = Callable[[Load, Records], bool]


@dataclass(frozen=True)
class Overload:
    """Far too much for an upstream that works on one call at a time, on a machine that keeps up with it.

    Attributes:
        seed: Of what is random in it.
        seconds: Of a thousand calls each.
        take_s: That each call keeps the upstream at work.
        budgets_s: The least and the most of what the calls give themselves.
        options: Of the proxy.
        shown: What is made of the overload: a client that is slow itself is none.
    """

    seed: int
    seconds: float
    take_s: float
    budgets_s: tuple[float, float]
    options: Sequence[str]
    shown: Shown

    async def load(self, address: str, slower: int) -> Load:
        """The same calls at a tempo of which the machine is capable."""
        load, (least_s, most_s) = Load(address, self.seed), self.budgets_s
        budgets_s = (least_s * slower, most_s * slower)
        await load.run(1000 / slower, self.seconds * slower, self.take_s * slower, budgets_s)
        return load


Counted = Callable[[Overload], Awaitable[Counter[Outcome]]]


@pytest.fixture
def counted(start_echo: Any, start_proxy: Any, tmp_path: Path) -> Counted:
    """How the calls of an overload ended: each counted once, at any tempo, until the overload was one."""

    async def count(overload: Overload) -> Counter[Outcome]:
        found = []
        for attempt, slower in enumerate(TEMPOS):
            folder = tmp_path / f"trace-{attempt}"
            upstream = start_echo("--capacity", "1")
            options = ("--deadline", f"{slower}s", "--trace", str(folder), *overload.options)
            proxy = start_proxy(upstream.ready[0], *options)
            load = await overload.load(proxy.ready[0], slower)
            assert await asyncio.to_thread(proxy.stop) == 0
            rows = proxy_rows(folder)
            assert_counted_exactly_once(load.log, rows)
            load.assert_answers_are_their_own()
            if overload.shown(load, rows):
                return outcomes(rows)
            assert not kept_pace(load.longest_lag_s, overload.budgets_s[1] * slower), f"no overload: {outcomes(rows)}"
            found.append(outcomes(rows))
        raise AssertionError(f"no overload at any tempo: {found}")

    return count


async def test_at_ten_times_what_the_upstream_can_do_every_call_is_counted_once_and_no_late_answer_delivered(
    counted: Counted,
) -> None:
    def few_answered(_: Load, rows: Records) -> bool:
        return outcomes(rows)[Outcome.OK] < len(rows) / 5

    # At 10 ms a call: 100 a second.
    ended = await counted(Overload(1, 3, 0.01, (0.02, 0.1), ("--admission", "off"), few_answered))
    # Some of those who gave up may be booked as having changed their mind: their packets were late on their way to us.
    # Of others the time was up before the proxy could look at them.
    late = (
        Outcome.OK_LATE_DISCARDED,
        Outcome.DEADLINE_IN_FLIGHT,
        Outcome.EXPIRED_ON_ARRIVAL,
        Outcome.CLIENT_CANCELLED,
    )
    assert set(ended) <= {Outcome.OK, *late}


async def test_with_admission_the_overload_is_refused_or_waits_and_every_call_is_counted_once(counted: Counted) -> None:
    refusals = (Outcome.SHED_PREDICTED_LATE, Outcome.EXPIRED_IN_QUEUE, Outcome.SHED_QUEUE_FULL)

    def refused(_: Load, rows: Records) -> bool:
        return any(outcomes(rows)[one] for one in refusals)

    ended = await counted(Overload(4, 3, 0.01, (0.05, 0.2), ("--admission", "adaptive"), refused))
    assert ended[Outcome.OK] > 0


async def test_with_few_places_the_overload_is_refused_and_each_refusal_counted_once(counted: Counted) -> None:
    def most_refused(load: Load, rows: Records) -> bool:
        refused = sum(asked.status is Status.RESOURCE_EXHAUSTED for asked in load.log)
        assert refused <= outcomes(rows)[Outcome.SHED_QUEUE_FULL]
        return refused > len(rows) / 2

    options = ("--max-in-flight", "4", "--admission", "off")
    # An upstream so slow that also a client that is slow itself is too much.
    await counted(Overload(2, 2, 0.03, (0.02, 0.1), options, most_refused))


async def load_with_a_standstill(
    address: str, stand_still: Callable[[], None], take_s: float, *, budgets_s: tuple[float, float]
) -> Load:
    """Load from a thread of its own, and in the midst of it the standstill, on the caller's loop."""
    load = Load(address, 3)
    loading = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(load.run(200, 4, take_s, budgets_s))))
    await asyncio.sleep(0.6)
    stand_still()
    await loading
    return load


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stalled(start_once: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Load, Records]:
    """Log and trace of a run in which the proxy's loop stood still for five times the budget of every call."""
    folder = tmp_path_factory.mktemp("stalled")
    settings: dict[str, object] = {
        "upstream": start_once(sys.executable, str(ECHO), ready=READY).ready[0], "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0", "deadline": "20s", "trace": str(folder / "trace"),
    }  # fmt: skip
    proxy = Proxy(read_config(ProxyConfig, None, settings))
    address, _ = await proxy.start()
    try:
        budgets_s = (BUDGET_S, BUDGET_S)
        load = await load_with_a_standstill(str(address), lambda: time.sleep(STALL_S), 0.005, budgets_s=budgets_s)
    finally:
        await proxy.stop()
    return load, proxy_rows(folder / "trace")


async def test_every_call_of_a_standstill_of_the_proxys_own_loop_is_counted_once(
    stalled: tuple[Load, Records],
) -> None:
    load, rows = stalled
    assert_counted_exactly_once(load.log, rows)
    load.assert_answers_are_their_own()
    in_vain = sum(asked.status is Status.DEADLINE_EXCEEDED for asked in load.log)
    assert in_vain > 200 * (STALL_S - BUDGET_S) / 2 * 0.5  # half the calls give up at their deadline by themselves


async def test_whoever_gave_up_at_the_deadline_during_a_standstill_is_not_booked_as_having_changed_its_mind(
    stalled: tuple[Load, Records],
) -> None:
    _, rows = stalled
    assert outcomes(rows)[Outcome.CLIENT_CANCELLED] == 0


async def test_no_answer_is_delivered_as_on_time_whose_deadline_passed_while_its_request_lay_in_the_socket(
    stalled: tuple[Load, Records],
) -> None:
    load, _ = stalled
    delivered = [asked for asked in load.log if asked.status is Status.OK]
    # Sent in the first half of the standstill: at its end their deadline had passed for longer than any timer errs.
    assert [a.request_id for a in delivered if a.ended_s - a.sent_s > a.budget_s + STALL_S / 4] == []


async def test_every_call_of_a_standstill_of_the_proxys_process_is_counted_once(
    start_echo: Any, start_proxy: Any, tmp_path: Path
) -> None:
    proxy = start_proxy(start_echo().ready[0], "--deadline", "5s", "--trace", str(tmp_path / "trace"))

    def stand_still() -> None:
        proxy.process.send_signal(signal.SIGSTOP)
        time.sleep(STALL_S)
        proxy.process.send_signal(signal.SIGCONT)

    load = await load_with_a_standstill(proxy.ready[0], stand_still, 0.005, budgets_s=(0.05, 0.4))
    assert await asyncio.to_thread(proxy.stop) == 0
    assert_counted_exactly_once(load.log, proxy_rows(tmp_path / "trace"))
    load.assert_answers_are_their_own()
