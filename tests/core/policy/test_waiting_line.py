"""The order of those who wait, against a list that is sorted anew each time."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tailgate.policy.waiting_line import WaitingLine


@dataclass(eq=False)
class One:
    at_s: float


class AnyOrder(RuleBasedStateMachine):
    """Whoever comes, leaves, or has its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.line: WaitingLine[One] = WaitingLine()
        self.expected: list[One] = []
        self.behind: list[One] = []

    @rule(at_s=st.sampled_from([1.0, 2.0, 2.5, 3.0]) | st.floats(0, 10))
    def comes(self, at_s: float) -> None:
        one = One(at_s)
        assert self.line.ahead_of(at_s) == sum(other.at_s <= at_s for other in self.expected)
        self.line.add(one)
        self.expected.append(one)
        self.expected.sort(key=lambda other: other.at_s)  # stable: who came first stays first

    @rule(at_s=st.floats(0, 10))
    def comes_to_be_tried(self, at_s: float) -> None:
        one = One(at_s)
        self.line.add_behind(one)
        self.behind.append(one)

    @precondition(lambda self: self.expected or self.behind)
    @rule(choice=st.integers(0))
    def leaves(self, choice: int) -> None:
        everybody = self.expected + self.behind
        one = everybody[choice % len(everybody)]
        self.line.remove(one)
        (self.expected if one in self.expected else self.behind).remove(one)

    @rule()
    def has_its_turn(self) -> None:
        expected = self.expected.pop(0) if self.expected else self.behind.pop(0) if self.behind else None
        assert self.line.pop() is expected

    @invariant()
    def holds(self) -> None:
        assert len(self.line) == len(self.expected)
        assert self.line.behind == len(self.behind)
        assert [self.line.at(place) for place in range(len(self.line))] == self.expected


def test_the_earliest_deadline_is_next_and_those_that_are_tried_come_after_all_others() -> None:
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=100, stateful_step_count=40, deadline=None))
