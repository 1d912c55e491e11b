"""The process that follows the traces of a run while they are written, and says when there are enough passes.

It is another process because a fit takes longer than a request may be late, and a polite one: whoever sends goes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tailgate.errors import TailgateError, UsageError
from tailgate.stopping import STABLE
from tailgate_loadgen.children import reading, start_child
from tailgate_loadgen.growing_trace import GrowingTrace
from tailgate_loadgen.options import Until
from tailgate_loadgen.sender import Sender
from tailgate_loadgen.stop_rule import PassesInOrder, Standing, StopRule
from tailgate_loadgen.tally import Tally

LOOK_S = 0.2
NICENESS = 10
END_S = 10.0
"""For the process to end when it has said all it had to say."""


class Watch:
    """The process, as the run sees it."""

    def __init__(self, until: Until, traces: Sequence[Path], samples: int, deadline_s: float) -> None:
        """Start it; returns when it looks.

        Args:
            until: Which rules are asked for.
            traces: That the run will write.
            samples: In each pass.
            deadline_s: Of each request.

        Raises:
            UsageError: It did not start.
        """
        self._until = until
        self._process, self.pipe = start_child(_follow, until, list(traces), samples, deadline_s)
        self.curve: list[Standing] = []
        """What it has said."""
        self.alive = True
        try:
            self.pipe.recv()
        except EOFError:
            self.close()
            raise UsageError("the process that should watch the passes died before the run") from None

    @property
    def met(self) -> Standing | None:
        """How the run stood when there were enough passes, as far as it was said."""
        return next((one for one in self.curve if one.enough), None)

    def read(self) -> None:
        """Take what it has said, without waiting."""
        try:
            while self.pipe.poll():
                self.curve.append(self.pipe.recv())
        except (EOFError, OSError):
            self.alive = False

    @contextmanager
    def steering(self, loop: asyncio.AbstractEventLoop, sender: Sender, tally: Tally) -> Iterator[None]:
        """Within, what it says ends the sending after the pass that is on, and stands in the progress."""

        def heed() -> None:
            self.read()
            if self.curve:
                tally.standing = str(self.curve[-1])
            if self.met is not None:
                sender.end_after_pass()
                tally.total = sender.total
            if not self.alive:
                loop.remove_reader(self.pipe.fileno())  # or it would be told of its end for ever

        with reading(loop, self.pipe, heed):
            yield

    def finish(self, most_passes: int) -> dict[str, Any]:
        """Have it look a last time, when the traces are closed; returns what the summary says of all this."""
        if self.alive:
            with contextlib.suppress(EOFError, OSError):
                self.pipe.send(None)
                while True:
                    self.curve.append(self.pipe.recv())
        self._process.join(END_S)
        met = self.met
        return {
            "until": {"rjsd": STABLE if self._until.stable else None, "tolerance": self._until.tolerance},
            "met_after_passes": None if met is None else met.passes,
            "most_passes": most_passes,
            "watched_to_the_end": self._process.exitcode == 0,
            "curve": [asdict(one) for one in self.curve],
        }

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


@contextmanager
def watching(until: Until | None, traces: Sequence[Path], samples: int, deadline_s: float) -> Iterator[Watch | None]:
    """A watch within, where one is asked for; errors as for `Watch`."""
    if until is None:
        yield None
        return
    watch = Watch(until, traces, samples, deadline_s)
    try:
        yield watch
    finally:
        watch.close()


def _follow(until: Until, traces: Sequence[Path], samples: int, deadline_s: float, pipe: Connection) -> None:
    """What the process does, until there are enough passes, it is told to end, or nobody is there who could tell."""
    os.nice(NICENESS)
    os.setpgid(0, 0)  # signals for the run are not for it
    growing = [GrowingTrace(trace) for trace in traces]
    passes, rule = PassesInOrder(samples), StopRule(until, deadline_s)
    with contextlib.suppress(EOFError, OSError, TailgateError):
        pipe.send(None)
        told = False
        while not told:
            if told := pipe.poll(LOOK_S):
                pipe.recv()
            for one in (one for trace in growing for one in passes.take(trace.take())):
                standing = rule.feed(one)
                if standing is not None:
                    pipe.send(standing)
                    if standing.enough:
                        return
