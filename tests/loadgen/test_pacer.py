"""The pacer on a real event loop. How late it fires is the machine's affair, so only "never early" is asserted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from tailgate_loadgen.alarm import Alarm, LoopAlarm, TimerfdAlarm, best_alarm
from tailgate_loadgen.head_start import FIRST_S
from tailgate_loadgen.pacer import MAX_BETWEEN, MAX_BURST, Pacer

MakeAlarm = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Alarm]
alarms = pytest.mark.parametrize("alarm", [TimerfdAlarm, LoopAlarm])


@alarms
async def test_every_instant_fires_once_in_order_and_never_early(alarm: MakeAlarm) -> None:
    loop = asyncio.get_running_loop()
    gaps = np.random.Generator(np.random.PCG64(5)).exponential(5e-4, 400)
    due_s = loop.time() + 0.01 + np.cumsum(gaps)
    fired: list[tuple[int, float]] = []
    assert await Pacer(loop, due_s, lambda index: fired.append((index, loop.time())), alarm).run() == 400
    assert [index for index, _ in fired] == list(range(400))
    assert all(at_s >= due for (_, at_s), due in zip(fired, due_s.tolist(), strict=True))


class EarlyAlarm(LoopAlarm):
    """Rings early, as some loops' timers do."""

    def set(self, at_s: float) -> None:
        """Ring a millisecond before."""
        super().set(at_s - 1e-3)


async def test_an_alarm_that_rings_early_makes_nothing_fire_early() -> None:
    loop = asyncio.get_running_loop()
    due_s = np.linspace(loop.time() + 3e-3, loop.time() + 3e-2, 10)
    fired: list[float] = []
    await Pacer(loop, due_s, lambda _: fired.append(loop.time()), EarlyAlarm).run()
    assert len(fired) == 10
    assert (np.array(fired) >= due_s).all()


class NotedAlarm(LoopAlarm):
    """Notes what it is set to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        super().__init__(loop, ring)
        self.set_to: list[float] = []

    def set(self, at_s: float) -> None:
        """Ring then."""
        self.set_to.append(at_s)
        super().set(at_s)


async def test_the_alarm_is_set_before_the_instant_by_what_waking_up_takes() -> None:
    loop = asyncio.get_running_loop()
    made: list[NotedAlarm] = []

    def make(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> NotedAlarm:
        made.append(NotedAlarm(loop, ring))
        return made[0]

    due_s = loop.time() + 3600
    fired: list[int] = []
    pacer = Pacer(loop, np.array([due_s]), fired.append, make)
    running = asyncio.create_task(pacer.run())
    await asyncio.sleep(0)
    assert made[0].set_to == [due_s - FIRST_S]
    pacer.stop()
    assert await running == len(fired) == 0


class SilentAlarm(LoopAlarm):
    """Never rings."""

    def set(self, at_s: float) -> None:
        """Do not."""


async def test_what_has_come_is_caught_up_with_in_order_a_few_at_a_time_before_the_alarm_rings() -> None:
    loop = asyncio.get_running_loop()
    fired: list[int] = []
    instants = np.concatenate([np.full(MAX_BURST + 2 * MAX_BETWEEN, loop.time() - 1.0), [loop.time() + 3600]])
    pacer = Pacer(loop, instants, fired.append, SilentAlarm)
    running = asyncio.create_task(pacer.run())
    await asyncio.sleep(0)
    assert fired == list(range(MAX_BURST))
    for times in (1, 2, 2):  # the third time there is nothing left that has come
        pacer.catch_up()
        assert fired == list(range(MAX_BURST + times * MAX_BETWEEN))
    pacer.stop()
    assert await running == MAX_BURST + 2 * MAX_BETWEEN


async def test_nothing_is_caught_up_with_after_stop() -> None:
    loop = asyncio.get_running_loop()
    fired: list[int] = []
    pacer = Pacer(loop, np.full(2 * MAX_BURST, loop.time() - 1.0), fired.append, SilentAlarm)
    running = asyncio.create_task(pacer.run())
    await asyncio.sleep(0)
    pacer.stop()
    pacer.catch_up()
    assert await running == len(fired) == MAX_BURST


@alarms
async def test_a_backlog_is_worked_off_in_bursts_that_let_the_loop_breathe(alarm: MakeAlarm) -> None:
    loop = asyncio.get_running_loop()
    fired: list[int] = []
    seen: list[int] = []

    async def breathe() -> None:
        while len(fired) < 200:
            seen.append(len(fired))
            await asyncio.sleep(0)

    watching = asyncio.create_task(breathe())
    assert await Pacer(loop, np.full(200, loop.time() - 1.0), fired.append, alarm).run() == 200
    await watching
    assert fired == list(range(200))
    assert max(np.diff([0, *seen])) <= MAX_BURST


@alarms
async def test_nothing_fires_after_stop(alarm: MakeAlarm) -> None:
    loop = asyncio.get_running_loop()
    fired: list[int] = []

    def fire(index: int) -> None:
        fired.append(index)
        if index == 4:
            pacer.stop()

    pacer = Pacer(loop, np.linspace(loop.time(), loop.time() + 0.01, 100), fire, alarm)
    assert await pacer.run() == 5
    await asyncio.sleep(0.02)
    assert fired == [0, 1, 2, 3, 4]


@alarms
async def test_what_is_behind_an_earlier_end_never_fires_and_what_is_before_it_does(alarm: MakeAlarm) -> None:
    loop = asyncio.get_running_loop()
    fired: list[int] = []

    def fire(index: int) -> None:
        fired.append(index)
        if index == 4:
            pacer.end_after(20)
        if index == 8:
            pacer.end_after(60)  # never later than it was to be

    pacer = Pacer(loop, np.linspace(loop.time(), loop.time() + 0.02, 100), fire, alarm)
    assert await pacer.run() == pacer.total == 20
    assert fired == list(range(20))


async def test_an_end_that_is_past_ends_at_once() -> None:
    loop = asyncio.get_running_loop()
    fired: list[int] = []

    def fire(index: int) -> None:
        fired.append(index)
        if index == 9:
            pacer.end_after(3)

    pacer = Pacer(loop, np.full(100, loop.time() - 1.0), fire, LoopAlarm)
    assert await pacer.run() == pacer.total == 10
    assert fired == list(range(10))


async def test_an_error_in_what_is_fired_ends_the_run() -> None:
    def fire(index: int) -> None:
        raise ZeroDivisionError(index)

    loop = asyncio.get_running_loop()
    with pytest.raises(ZeroDivisionError):
        await Pacer(loop, np.full(3, loop.time()), fire).run()


async def test_an_empty_list_is_done_at_once() -> None:
    fired: list[int] = []
    assert await Pacer(asyncio.get_running_loop(), np.empty(0), fired.append).run() == 0


async def test_the_loops_own_timers_serve_where_there_is_no_timerfd(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("this system has no timerfd")

    loop = asyncio.get_running_loop()
    alarm = best_alarm(loop, pytest.fail)
    assert isinstance(alarm, TimerfdAlarm)
    alarm.close()
    monkeypatch.setattr("tailgate_loadgen.alarm._create_timerfd", refuse)
    assert isinstance(best_alarm(loop, pytest.fail), LoopAlarm)
