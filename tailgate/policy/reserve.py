"""How much less than a request has left its upstream is told: what the way back of its answer takes in the proxy.

An upstream that is told all the time that is left may answer at the last instant of it, and has worked in vain: the
proxy has yet to look at its sockets (the event loop's lag) and to judge and book the answer (the stage *reply*). What
both of them took of late is kept back, as a high quantile of each. The time before the upstream needs no such guess: it
is gone when the upstream is told what is left.

Must not live here: how lag and stages are measured.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SHARE: Final = 0.95
"""Of the answers that come at the last instant of what was told, about so many get through in time."""
MOST: Final = 0.1
"""No more than this share of what is left is kept back: a proxy that stalls must leave its upstreams some time."""
REMEMBERED: Final = 500
"""So many of the latest values say how long it takes: of the loop's lag, those of about ten seconds."""
RENEWED: Final = 100
"""The quantile is taken after every so many values. With fewer nothing is known, and nothing kept back: beyond this
quantile of a hundred stand only five."""


class _Latest:
    """The latest values of one kind.

    Attributes:
        high: A value that few of them exceed; 0 before it is known.
    """

    __slots__ = ("_fresh", "_values", "high")

    def __init__(self) -> None:
        """There were none."""
        self.high = 0.0
        self._values: deque[float] = deque(maxlen=REMEMBERED)
        self._fresh = 0

    def add(self, value: float) -> None:
        """One more."""
        self._values.append(value)
        self._fresh += 1
        if self._fresh == RENEWED:
            self._fresh = 0
            self.high = sorted(self._values)[int(SHARE * len(self._values))]


class Reserve:
    """Of one event loop.

    >>> reserve = Reserve()
    >>> for _ in range(RENEWED):
    ...     reserve.lag(0.002)
    ...     reserve.reply(0.0005)
    >>> reserve.seconds, reserve.told(1.0), round(reserve.told(0.02), 6)
    (0.0025, 0.9975, 0.018)
    """

    __slots__ = ("_lag", "_reply")

    def __init__(self) -> None:
        """Nothing is known, and nothing kept back."""
        self._lag = _Latest()
        self._reply = _Latest()

    @property
    def seconds(self) -> float:
        """What is kept back, where that is not too much of what is left."""
        return self._lag.high + self._reply.high

    def lag(self, seconds: float) -> None:
        """The loop came so much later to something than it could have been done."""
        self._lag.add(seconds)

    def reply(self, seconds: float) -> None:
        """From the last byte of an answer to its booking it took so long."""
        self._reply.add(seconds)

    def told(self, left_s: float) -> float:
        """What an upstream is told of a request that has so much time left; what has passed is told as it is."""
        return left_s - min(self.seconds, MOST * left_s) if left_s > 0.0 else left_s
