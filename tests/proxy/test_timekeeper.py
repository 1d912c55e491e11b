"""One timer for all limits, on a virtual clock: each call is told once, never before its instant, hardly after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailgate.deadline import Deadline
from tailgate_proxy.timekeeper import EARLY_S, Timekeeper

OnVirtualTime = Callable[[Any], Any]
LATEST_S = 2 * EARLY_S + 1e-9


class Call:
    """Something with a limit; ends when that has passed, unless it is to go on for some seconds more."""

    def __init__(self, limit: Deadline, *, goes_on_s: float = 0.0) -> None:
        self.limit = limit
        self.ended = False
        self.known_s = limit.start_s  # since when its limit is what it is
        self.told_s: list[float] = []
        self.stopped = 0
        self.goes_on_s = goes_on_s
        self.keeper: Timekeeper | None = None

    def stop(self) -> None:
        self.stopped += not self.ended
        self.ended = True

    def time_up(self) -> None:
        now_s = asyncio.get_running_loop().time()
        assert not self.ended
        assert self.limit.passed(now_s)
        self.told_s.append(now_s)
        self.ended = not self.goes_on_s
        if self.goes_on_s and self.keeper is not None:
            self.limit = Deadline(self.limit.start_s, self.limit.budget_s + self.goes_on_s)
            self.goes_on_s = 0.0
            self.keeper.watch(self)


def watched(keeper: Timekeeper, budget_s: float, *, goes_on_s: float = 0.0) -> Call:
    call = Call(Deadline(asyncio.get_running_loop().time(), budget_s), goes_on_s=goes_on_s)
    call.keeper = keeper
    keeper.watch(call)
    return call


def move(keeper: Timekeeper, call: Call, budget_s: float) -> None:
    call.limit = Deadline(call.limit.start_s, budget_s)
    call.known_s = asyncio.get_running_loop().time()
    keeper.watch(call)


budgets_s = st.integers(1, 400).map(lambda number: number / 1000)
plans = st.lists(
    st.tuples(
        st.sampled_from(["watch", "end", "earlier", "later", "stand still", "wait"]), st.integers(0, 50), budgets_s
    ),
    max_size=40,
)


@given(plans)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_whatever_is_watched_is_told_once_at_its_limit_wherever_that_has_moved(
    on_virtual_time: OnVirtualTime, plan: list[tuple[str, int, float]]
) -> None:
    async def scenario() -> tuple[list[Call], list[tuple[float, float]]]:
        loop = asyncio.get_running_loop()
        keeper, calls, stood_still = Timekeeper(loop), list[Call](), list[tuple[float, float]]()
        for step, choice, seconds in plan:
            call = calls[choice % len(calls)] if calls else None
            if step == "watch":
                calls.append(watched(keeper, seconds))
            elif step == "wait":
                await asyncio.sleep(seconds / 5)
            elif step == "stand still":  # the process is stopped, or the loop has much to do
                stood_still.append((loop.time(), loop.time() + seconds))
                loop._now_s += seconds  # type: ignore[attr-defined]  # the virtual loop's own
            elif call is not None and not call.ended:
                if step == "end":
                    call.ended = True
                elif step == "earlier":
                    move(keeper, call, min(call.limit.budget_s, seconds))
                else:
                    move(keeper, call, max(call.limit.budget_s, seconds))
        await asyncio.sleep(2.0)
        return calls, stood_still

    calls, stood_still = on_virtual_time(scenario())
    for call in calls:
        assert call.ended
        assert len(call.told_s) <= 1  # none for one that was ended before
        due_s = max(call.limit.at_s, call.known_s)
        for began_s, ended_s in stood_still:
            if began_s <= due_s + LATEST_S:
                due_s = max(due_s, ended_s)
        assert all(told_s <= due_s + LATEST_S for told_s in call.told_s)


def test_a_limit_that_moves_is_kept_where_it_is_now(on_virtual_time: OnVirtualTime) -> None:
    async def scenario() -> list[list[float]]:
        keeper = Timekeeper(asyncio.get_running_loop())
        plain, earlier, later, both, on = (watched(keeper, 0.1, goes_on_s=0.2 * (n == 4)) for n in range(5))
        move(keeper, earlier, 0.04)
        move(keeper, later, 0.2)
        move(keeper, both, 0.3)
        await asyncio.sleep(0.01)
        move(keeper, both, 0.05)
        await asyncio.sleep(1.0)
        return [call.told_s for call in (plain, earlier, later, both, on)]

    for told_s, expected_s in zip(on_virtual_time(scenario()), [[0.1], [0.04], [0.2], [0.05], [0.1, 0.3]], strict=True):
        assert len(told_s) == len(expected_s)
        assert all(0 < told - expected <= LATEST_S for told, expected in zip(told_s, expected_s, strict=True))


def test_a_loop_that_has_no_time_for_its_timers_is_caught_up_with_between_its_doings(
    on_virtual_time: OnVirtualTime,
) -> None:
    async def scenario() -> list[list[float]]:
        loop = asyncio.get_running_loop()
        keeper = Timekeeper(loop)
        calls = [watched(keeper, budget_s) for budget_s in (0.1, 0.2, 0.3)]
        for _ in range(25):  # doings of 10 ms each, between which the loop has no turn
            loop._now_s += 0.01  # type: ignore[attr-defined]  # the virtual loop's own
            keeper.catch_up(loop.time())
        await asyncio.sleep(1.0)
        return [call.told_s for call in calls]

    first, second, third = on_virtual_time(scenario())
    assert [len(first), len(second), len(third)] == [1, 1, 1]
    assert 0.1 < first[0] <= 0.1101
    assert 0.2 < second[0] <= 0.2101
    assert 0.3 < third[0] <= 0.3 + LATEST_S


class EarlyTimers(asyncio.SelectorEventLoop):
    """A virtual loop whose timers fire a millisecond early, as uvloop's may."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.fired = 0

    def time(self) -> float:
        return self.now_s

    def call_at(  # type: ignore[override]  # the stubs tie the arguments to the callback's
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        def fire() -> None:
            self.fired += 1
            callback(*args)

        return super().call_at(when - 0.001, fire, context=context)

    def _run_once(self) -> None:
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]  # asyncio's own, untyped
        next_s = min((timer._when for timer in timers if not timer.cancelled()), default=None)
        if not self._ready and next_s is not None:  # type: ignore[attr-defined]  # as above
            self.now_s = max(self.now_s, next_s) + 1e-5
        super()._run_once()  # type: ignore[misc]  # as above


def test_a_timer_that_fires_early_ends_nothing_before_its_instant_and_does_not_spin() -> None:
    loop = EarlyTimers()

    async def scenario() -> list[Call]:
        keeper = Timekeeper(asyncio.get_running_loop())
        calls = [watched(keeper, 0.05 + number / 100) for number in range(5)]
        waits = 0
        while not all(call.ended for call in calls):
            waits += 1
            await asyncio.sleep(0.01)
            assert waits < 100
        return calls

    try:
        calls = loop.run_until_complete(scenario())
    finally:
        loop.close()
    for call in calls:  # `time_up` itself holds that its limit has passed
        assert len(call.told_s) == 1
        assert call.told_s[0] - call.limit.at_s < 0.01
    assert loop.fired < 1000


def test_thousands_of_calls_need_one_timer(on_virtual_time: OnVirtualTime) -> None:
    async def scenario() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        keeper = Timekeeper(loop)
        calls = [watched(keeper, 1.0 + number * 1e-6) for number in range(5000)]
        before = sum(not handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]  # asyncio's own
        await asyncio.sleep(2.0)
        return before, sum(len(call.told_s) for call in calls)

    assert on_virtual_time(scenario()) == (1, 5000)


def test_a_closed_timekeeper_tells_nobody(on_virtual_time: OnVirtualTime) -> None:
    async def scenario() -> list[float]:
        keeper = Timekeeper(asyncio.get_running_loop())
        call = watched(keeper, 0.1)
        keeper.close()
        await asyncio.sleep(1.0)
        return call.told_s

    assert on_virtual_time(scenario()) == []


def test_a_proxy_that_stops_ends_whatever_still_goes_on(on_virtual_time: OnVirtualTime) -> None:
    async def scenario() -> list[tuple[int, int]]:
        keeper = Timekeeper(asyncio.get_running_loop())
        over, moved, plain = (watched(keeper, seconds) for seconds in (0.01, 0.5, 100.0))
        move(keeper, moved, 50.0)
        await asyncio.sleep(0.1)
        keeper.stop_all()
        keeper.close()
        await asyncio.sleep(200.0)
        return [(len(call.told_s), call.stopped) for call in (over, moved, plain)]

    assert on_virtual_time(scenario()) == [(1, 0), (0, 1), (0, 1)]
