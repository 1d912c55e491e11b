"""One request of a simulated client, and what can be seen of it from outside the proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from tailgate.deadline import Deadline
from tailgate.outcome import Outcome
from tailgate_proxy.call import Reply
from tailgate_proxy.passage import Passage


class State(Enum):
    """Where a request is."""

    COMING = auto()
    WAITING = auto()
    OUT = auto()
    LEFT = auto()  # it has ended, and its upstream goes on with it
    OVER = auto()


class Watch(Protocol):
    """Who watches it."""

    def expect(self, promise: str, holds: bool, how: str) -> None:  # noqa: FBT001 — what is expected
        """Something has to hold."""
        ...

    def entered(self, call: Call) -> None:
        """It waits for its turn."""
        ...

    def answered(self, call: Call, reply: Reply) -> None:
        """Its client has its reply."""
        ...


@dataclass(eq=False)
class Call:
    """One request: the proxy's `Client`, for a single stream.

    Attributes:
        name: Its id.
        model: It is for.
        deadline: As its client and the configuration have it.
        watch: Who watches.
        counts: Whether its fate says how well things are: it is no repetition by its client, who waits for the answer.
        state: Where it is.
        reply: What its client was given.
        outcomes: What was booked for it.
        left: Whether its client has.
        safe: Whether a machine may be given it: none can have executed it, or the one that had it said that it is safe.
        seen: Whether its latest attempt came to a machine whole.
        on_way: Whether a connection carries it to a machine.
        at: Which machine that is.
        hedged: Whether it was given to another machine besides.
        on_answer: What its client does then.
    """

    name: str
    model: str
    deadline: Deadline
    watch: Watch
    counts: bool
    state: State = State.COMING
    reply: Reply | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    left: bool = False
    safe: bool = True
    seen: bool = False
    on_way: bool = False
    at: object = None
    hedged: bool = False
    on_answer: Callable[[], None] | None = None
    passage: Passage = field(init=False)

    @property
    def over(self) -> bool:
        """Whether its client has nothing more to do with it."""
        return self.left or self.reply is not None

    def feed(self, piece: memoryview, *, end: bool) -> None:
        """A piece of its body goes to the proxy."""
        if self.over:
            return
        self.passage.body(piece, end=end)
        if self.state is State.COMING and self.passage.asked:
            self.state = State.WAITING
            self.watch.entered(self)

    def leave(self) -> None:
        """Its client gives up."""
        if not self.over:
            self.left = True
            self.passage.client_left()

    # -- a Client ------------------------------------------------------------------------------------------------------

    def taken(self, stream_id: int, count: int) -> None:  # noqa: ARG002 — as clients are told
        """It may send more."""
        self.watch.expect("one outcome", not self.over, f"request {self.name} is told of room after its end")

    def answer(self, stream_id: int, reply: Reply) -> None:  # noqa: ARG002 — as above
        """Its reply."""
        self.watch.expect("one outcome", not self.over, f"request {self.name} is answered after its end")
        self.reply = reply
        self.watch.answered(self, reply)
        if self.on_answer is not None:
            self.on_answer()
