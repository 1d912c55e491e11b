"""Alarms for an event loop, each of which rings once at an instant of `loop.time`.

A loop's own timers tick in milliseconds. A timerfd, which the loop watches like any file, wakes it within about
0.1 ms, at no cost while waiting; where there is none the loop's timers serve.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

_CLOCK_MONOTONIC = 1  # the clock of `loop.time`
_TFD_TIMER_ABSTIME = 1


class Alarm(Protocol):
    """Wakes the loop once at an instant."""

    def set(self, at_s: float) -> None:
        """Ring at this instant, instead of at any given before; at once if it is past."""

    def close(self) -> None:
        """Ring no more."""


MakeAlarm = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Alarm]
"""Makes an alarm for a loop that calls a function whenever it rings."""


class LoopAlarm:
    """An alarm of the loop's own timers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        """`ring` is called on every alarm."""
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_s: float) -> None:
        """Ring at this instant."""
        self.close()
        self._handle = self._loop.call_at(at_s, self._ring)

    def close(self) -> None:
        """Cancel the timer."""
        if self._handle is not None:
            self._handle.cancel()


class TimerfdAlarm:
    """An alarm of the kernel's, through a file descriptor."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        """`ring` is called on every alarm.

        Raises:
            OSError: This system has no timerfd.
        """
        self._loop = loop
        self._ring = ring
        self._fd, self._set_ns = _create_timerfd()
        loop.add_reader(self._fd, self._on_ready)

    def set(self, at_s: float) -> None:
        """Ring at this instant."""
        self._set_ns(max(1, math.ceil(at_s * 1e9)))  # 0 would disarm it

    def close(self) -> None:
        """Give the descriptor back."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _on_ready(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # set anew since it rang
        self._ring()


def best_alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Alarm:
    """A timerfd where there is one, else the loop's timers."""
    try:
        return TimerfdAlarm(loop, ring)
    except OSError:
        return LoopAlarm(loop, ring)


def timer_name() -> str:
    """What a trace calls the best alarm of this system."""
    try:
        fd, _ = _create_timerfd()
    except OSError:
        return "loop"
    os.close(fd)
    return "timerfd"


if sys.version_info >= (3, 13):

    def _create_timerfd() -> tuple[int, Callable[[int], None]]:
        """A timerfd, and what sets it to an instant in nanoseconds."""
        if not hasattr(os, "timerfd_create"):
            raise OSError("this system has no timerfd")
        fd = os.timerfd_create(_CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

        def set_ns(at_ns: int) -> None:
            os.timerfd_settime_ns(fd, flags=os.TFD_TIMER_ABSTIME, initial=at_ns)

        return fd, set_ns

else:

    class _Timespec(ctypes.Structure):
        _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))

    class _Itimerspec(ctypes.Structure):
        _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))

    def _create_timerfd() -> tuple[int, Callable[[int], None]]:
        """A timerfd, and what sets it to an instant in nanoseconds."""
        # Neither call waits. CDLL would let other threads have the interpreter meanwhile, and wait until they are done.
        libc: Any = ctypes.PyDLL(None, use_errno=True)
        if not hasattr(libc, "timerfd_create"):
            raise OSError("this system has no timerfd")
        fd = _checked(libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        spec = _Itimerspec()
        at, reference, settime = spec.it_value, ctypes.byref(spec), libc.timerfd_settime

        def set_ns(at_ns: int) -> None:
            at.tv_sec, at.tv_nsec = divmod(at_ns, 1_000_000_000)
            _checked(settime(fd, _TFD_TIMER_ABSTIME, reference, None))

        return fd, set_ns

    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
