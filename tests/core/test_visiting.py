"""Labels that came to another process than their request: each ends up in one place, whatever happens between them."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from itertools import count, permutations
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tailgate.labels import Judged, Label, LabelJoin, Result
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.visiting import AT_ONCE, FromHome, FromHost, Sharing, Visits

WORKERS = range(3)
MAX_LABELS = 2
MAX_PREDICTIONS = 2
WAIT_S = 20.0

_lives = count(1)


class Worker:
    """One life of a process: its join, and what a test has to know of it."""

    def __init__(self, number: int, **options: Any) -> None:
        limits = {"wait_s": WAIT_S, "settle_s": 0.0, "max_predictions": 1000, "max_labels": 1000} | options
        self.life = next(_lives)
        self.given = 0
        self.judged: list[Judged] = []
        self.join = LabelJoin(self.judged.append, **limits)
        self.sharing = Sharing(self.join, {other: lambda: None for other in WORKERS if other != number})

    def submit(self, label: Label, now_s: float) -> Result | None:
        self.given += 1
        return self.join.label(label, now_s)


@dataclass
class Link:
    """Messages under way between a home and a host, in order in each direction."""

    visits: Visits
    greeting: tuple[int, int] | None
    to_host: deque[FromHome] = field(default_factory=deque)
    to_home: deque[FromHost] = field(default_factory=deque)


def ended(name: str, label: int = UNKNOWN_CLASS) -> Observation:
    return Observation(name, "m", "1", 1.7e9, 0.05, 0.01, Outcome.OK, predicted=1, label=label)


class Workers:
    """Processes, and what is under way between them; the caller decides what happens next."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.now_s = 1000.0
        self.workers = {number: Worker(number, **options) for number in WORKERS}
        self.dead: list[Worker] = []
        self.links: dict[tuple[int, int], Link] = {}
        self.left_behind: list[Link] = []  # their homes are gone from them, which their hosts do not know yet
        # By the lives of home and host: how many grants have arrived at the one, and are known to by the other.
        self.taken: Counter[tuple[int, int]] = Counter()
        self.confirmed: Counter[tuple[int, int]] = Counter()

    def lives(self, pair: tuple[int, int]) -> tuple[int, int]:
        return self.workers[pair[0]].life, self.workers[pair[1]].life

    # -- what may happen

    def connect(self, pair: tuple[int, int]) -> None:
        """The home says who it is, and the host answers, which has yet to arrive."""
        assert pair not in self.links
        home, host = (self.workers[number] for number in pair)
        visits = host.sharing.host.met(pair[0], home.life, lambda: None)
        self.left_behind = [link for link in self.left_behind if link.visits is not visits]
        self.links[pair] = Link(visits, (host.life, visits.taken))

    def deliver_to_home(self, pair: tuple[int, int]) -> None:
        link, home = self.links[pair], self.workers[pair[0]].sharing.homes[pair[1]]
        if link.greeting is not None:
            life, taken = link.greeting
            link.greeting = None
            self.confirmed[self.workers[pair[0]].life, life] = taken
            home.met(life, taken, self.now_s)
        elif link.to_home:
            message = link.to_home.popleft()
            self.confirmed[self.lives(pair)] = message.taken
            home.heard(message)

    def deliver_to_host(self, pair: tuple[int, int]) -> None:
        if self.links[pair].to_host:
            self._hear(self.links[pair], self.lives(pair))

    def deliver_what_was_left_behind(self) -> None:
        """A host reads what came before the end of a link."""
        link, lives = self.left_behind[0], (self.left_behind[0].visits.life, 0)
        if link.to_host:
            host = next(w for w in self.workers.values() if w.sharing.host is link.visits._host)
            self._hear(link, (lives[0], host.life))
        else:
            self.left_behind.pop(0)
            link.visits.lost()

    def _hear(self, link: Link, lives: tuple[int, int]) -> None:
        message = link.to_host.popleft()
        before = link.visits.taken
        link.visits.heard(message, self.now_s)
        self.taken[lives] += link.visits.taken - before

    def let_home_speak(self, pair: tuple[int, int]) -> bool:
        message = self.workers[pair[0]].sharing.homes[pair[1]].message()
        if message is not None:
            self.links[pair].to_host.append(message)
        return message is not None

    def let_host_speak(self, pair: tuple[int, int]) -> bool:
        message = self.links[pair].visits.message()
        if message is not None:
            self.links[pair].to_home.append(message)
        return message is not None

    def lose(self, pair: tuple[int, int], *, host_knows: bool) -> None:
        link = self.links.pop(pair)
        self.workers[pair[0]].sharing.homes[pair[1]].lost()
        if host_knows:
            link.visits.lost()
        else:
            self.left_behind.append(link)

    def restart(self, number: int) -> None:
        for pair in [pair for pair in self.links if number in pair]:
            self.lose(pair, host_knows=pair[1] == number)
        gone = self.workers[number]
        self.left_behind = [link for link in self.left_behind if link.visits._host is not gone.sharing.host]
        self.dead.append(gone)
        self.workers[number] = Worker(number, **self.options)

    def settle(self) -> None:
        """Everything connects, and says and hears all there is."""
        while self.left_behind:
            self.deliver_what_was_left_behind()
        for pair in permutations(WORKERS, 2):
            if pair not in self.links:
                self.connect(pair)
        for _ in range(100):
            silent = True
            for pair, link in self.links.items():
                silent &= not (self.let_home_speak(pair) | self.let_host_speak(pair)) and link.greeting is None
                while link.to_host:
                    self.deliver_to_host(pair)
                while link.to_home or link.greeting:
                    self.deliver_to_home(pair)
            if silent:
                return
        raise AssertionError("they never stop talking")

    # -- what holds

    @property
    def all_lives(self) -> list[Worker]:
        return [*self.workers.values(), *self.dead]

    def received(self) -> int:
        return sum(worker.join.received for worker in self.all_lives)

    def result(self, result: Result) -> int:
        return sum(worker.join.results[result] for worker in self.all_lives)

    def check_books(self) -> None:
        under_way = self.taken.total() - self.confirmed.total()
        submitted = sum(worker.given for worker in self.all_lives)
        assert self.received() - self.result(Result.HANDED_OVER) == submitted + under_way
        for worker in self.all_lives:
            took = sum(taken for (_, host), taken in self.taken.items() if host == worker.life)
            assert worker.join.received == worker.given + took
        assert self.result(Result.HANDED_OVER) == self.confirmed.total()
        # Between two lives that have met, all that is under way is what one has said and the other not heard.
        assert all(self.taken[lives] - self.confirmed[lives] >= 0 for lives in self.confirmed)

    def check_settled(self) -> None:
        self.check_books()
        living = {worker.life for worker in self.workers.values()}
        for lives, taken in self.taken.items():
            assert not living.issuperset(lives) or taken == self.confirmed[lives]
        for number, worker in self.workers.items():
            others = [other for key, other in self.workers.items() if key != number]
            waiting = [name for other in others for name in other.join.waiting]
            assert not any(map(worker.join.knows, waiting))
            assert worker.sharing.host.visits == len(waiting)
            assert worker.join.pending == len(worker.join.waiting)


# Most of it between one home and one host, so that what takes many steps happens often.
PAIRS = st.sampled_from([(0, 1)] * 8 + list(permutations(WORKERS, 2)))
HOMES, HOSTS = st.sampled_from([0, 0, 0, 0, 1, 2]), st.sampled_from([1, 1, 1, 1, 0, 2])
NAMES = st.sampled_from("abc")
SELDOM = st.sampled_from([False, False, False, True])


class Interleavings(RuleBasedStateMachine):
    """Requests, labels, messages, lost links, ends and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Workers(max_predictions=MAX_PREDICTIONS, max_labels=MAX_LABELS, settle_s=3.0)
        self.stamps = count(1)

    @rule(number=HOSTS, name=NAMES, label=st.sampled_from([UNKNOWN_CLASS, UNKNOWN_CLASS, UNKNOWN_CLASS, 1]))
    def a_request_ends(self, number: int, name: str, label: int) -> None:
        self.world.workers[number].join.observe(ended(name, label), self.world.now_s)

    @rule(number=HOMES, name=NAMES, truth=st.integers(1, 2))
    def a_label_comes(self, number: int, name: str, truth: int) -> None:
        label = Label(name, truth, at_unix_s=float(next(self.stamps)))
        self.world.workers[number].submit(label, self.world.now_s)

    @rule(pair=PAIRS)
    def a_link_begins_or_a_message_is_sent_and_one_arrives(self, pair: tuple[int, int]) -> None:
        if pair not in self.world.links:
            self.world.connect(pair)
        self.world.let_home_speak(pair)
        self.world.deliver_to_host(pair)
        self.world.let_host_speak(pair)
        self.world.deliver_to_home(pair)

    @rule(pair=PAIRS, what=st.sampled_from(["let_home_speak", "let_host_speak", "deliver_to_home", "deliver_to_host"]))
    def one_thing_happens_on_a_link(self, pair: tuple[int, int], what: str) -> None:
        if pair in self.world.links:
            getattr(self.world, what)(pair)

    @rule(pair=PAIRS, host_knows=st.booleans())
    def a_link_is_lost(self, pair: tuple[int, int], host_knows: bool) -> None:
        if pair in self.world.links:
            self.world.lose(pair, host_knows=host_knows)

    @precondition(lambda self: self.world.left_behind)
    @rule()
    def a_host_reads_on_after_the_end(self) -> None:
        self.world.deliver_what_was_left_behind()

    @rule(number=HOSTS, happens=SELDOM)
    def a_process_ends_and_another_begins(self, number: int, happens: bool) -> None:
        if happens:
            self.world.restart(number)

    @rule(seconds=st.sampled_from([0.5, 0.5, 4.0, WAIT_S / 2]))
    def time_passes(self, seconds: float) -> None:
        self.world.now_s += seconds
        for worker in self.world.workers.values():
            worker.join.advance(self.world.now_s)

    @rule(happens=SELDOM)
    def all_is_said_and_heard(self, happens: bool) -> None:
        if happens:
            self.world.settle()
            self.world.check_settled()

    @invariant()
    def every_label_is_in_one_place(self) -> None:
        self.world.check_books()

    @invariant()
    def what_waits_is_bounded(self) -> None:
        for worker in self.world.workers.values():
            assert worker.join.pending <= MAX_LABELS
            assert worker.sharing.host.visits <= (len(WORKERS) - 1) * MAX_LABELS

    @invariant()
    def no_two_processes_judge_by_one_label_unless_one_ended_meanwhile(self) -> None:
        if self.world.dead:
            return
        judges = defaultdict(set)
        for number, worker in self.world.workers.items():
            for judged in worker.judged:
                if judged.given.at_unix_s:  # not one that came with a request
                    judges[judged.given.at_unix_s].add(number)
        assert all(len(numbers) == 1 for numbers in judges.values())

    def teardown(self) -> None:
        self.world.settle()
        self.world.check_settled()


def test_whatever_happens_in_whatever_order_each_label_is_in_one_place() -> None:
    run_state_machine_as_test(Interleavings, settings=settings(max_examples=100, stateful_step_count=50, deadline=None))


def test_a_label_finds_its_request_in_another_process_in_either_order() -> None:
    world = Workers()
    world.workers[1].join.observe(ended("before"), 0.0)
    for name in ("before", "after"):
        assert world.workers[0].submit(Label(name, 1, weight=4.0), 0.0) is None
    world.settle()
    world.workers[1].join.observe(ended("after"), 1.0)
    world.settle()
    assert [judged.given.weight for judged in world.workers[1].judged] == [4.0, 4.0]
    assert world.workers[0].join.results[Result.HANDED_OVER] == world.workers[0].join.received == 2
    assert world.workers[1].join.results[Result.JOINED] == world.workers[1].join.received == 2
    assert world.workers[2].join.received == world.workers[2].sharing.host.visits == 0


def test_a_label_that_nobody_takes_is_unknown_at_home_and_was_never_anywhere_else() -> None:
    world = Workers()
    world.workers[0].submit(Label("nobody", 1), 0.0)
    world.settle()
    assert [world.workers[number].sharing.host.visits for number in WORKERS] == [0, 1, 1]
    world.workers[0].join.advance(WAIT_S)
    world.settle()
    assert [world.workers[number].sharing.host.visits for number in WORKERS] == [0, 0, 0]
    assert [world.workers[number].join.received for number in WORKERS] == [1, 0, 0]
    assert world.workers[0].join.results[Result.UNKNOWN] == 1


def test_a_label_that_finds_its_request_at_home_is_no_visit_elsewhere_any_more() -> None:
    world = Workers()
    world.workers[0].submit(Label("a", 1), 0.0)
    world.settle()
    world.workers[0].join.observe(ended("a"), 1.0)
    world.settle()
    world.check_settled()
    assert [world.workers[number].sharing.host.visits for number in WORKERS] == [0, 0, 0]


def test_of_two_processes_that_saw_an_id_one_gets_the_label_and_the_other_s_claim_finds_nothing() -> None:
    world = Workers()
    for number in (1, 2):
        world.workers[number].join.observe(ended("tried twice"), 0.0)
    world.workers[0].submit(Label("tried twice", 1), 0.0)
    world.settle()
    assert sorted(world.workers[number].join.results[Result.JOINED] for number in (1, 2)) == [0, 1]
    assert world.workers[0].join.results[Result.HANDED_OVER] == 1
    assert world.result(Result.JOINED) == world.received() - 1 == 1


def test_a_label_is_booked_where_its_request_is_by_the_rules_of_any_label() -> None:
    world = Workers(settle_s=5.0)
    join = world.workers[1].join
    join.observe(ended("a"), 0.0)
    said: list[Result] = []
    for truth, at_s in ((1, 0.0), (1, 1.0), (2, 2.0), (1, 9.0)):
        world.now_s = at_s
        join.advance(at_s)
        assert world.workers[0].submit(Label("a", truth), at_s) is None
        before = join.results.copy()
        world.settle()
        said.append(*(join.results - before))
    assert said == [Result.JOINED, Result.DUPLICATE, Result.CORRECTION, Result.CONFLICT]
    join.observe(ended("old"), 10.0)
    world.now_s = 10.0 + WAIT_S
    join.advance(world.now_s)
    world.workers[0].submit(Label("old", 1), world.now_s)
    world.settle()
    assert join.results[Result.LATE] == 1
    assert world.workers[0].join.results[Result.HANDED_OVER] == 5


@pytest.mark.parametrize("in_vain", [True, False])
def test_a_visit_that_began_after_a_claim_ends_with_its_label(in_vain: bool) -> None:
    world, pair = Workers(max_predictions=1), (0, 1)
    home, host = world.workers[0], world.workers[1]
    host.join.observe(ended("a"), 0.0)
    home.submit(Label("a", 1), 0.0)
    world.connect(pair)
    world.deliver_to_home(pair)
    world.let_home_speak(pair)
    world.deliver_to_host(pair)
    world.let_host_speak(pair)
    home.join.advance(WAIT_S)
    world.let_home_speak(pair)
    home.submit(Label("a", 1), WAIT_S)
    world.let_home_speak(pair)
    for name in "xy":
        host.join.observe(ended(name), WAIT_S)
    assert not host.join.knows("a")
    world.deliver_to_host(pair)
    world.deliver_to_host(pair)
    assert host.sharing.host.visits == 1
    if in_vain:
        home.join.advance(2 * WAIT_S)
    world.deliver_to_home(pair)  # the claim of what waited at first
    world.settle()
    assert host.sharing.host.visits == 0
    assert host.join.received == host.join.results[Result.LATE] == (not in_vain)


def granted_but_not_sent() -> Workers:
    """The first of three has been claimed a label by the second, and has not said anything since."""
    world, pair = Workers(), (0, 1)
    world.workers[1].join.observe(ended("a"), 0.0)
    world.workers[0].submit(Label("a", 1), 0.0)
    world.connect(pair)
    world.deliver_to_home(pair)
    for step in (world.let_home_speak, world.deliver_to_host, world.let_host_speak, world.deliver_to_home):
        step(pair)
    home = world.workers[0].join
    assert (home.pending, len(home.waiting)) == (1, 0)
    return world


def test_a_process_that_ends_with_a_label_under_way_to_it_costs_its_home_nothing() -> None:
    world = granted_but_not_sent()
    home = world.workers[0].join
    world.let_home_speak((0, 1))  # the grant, which does not arrive
    world.restart(1)
    assert home.pending == 1
    world.settle()
    assert (home.pending, len(home.waiting)) == (1, 1)
    world.workers[2].join.observe(ended("a"), 1.0)
    world.settle()
    assert world.workers[2].join.results[Result.JOINED] == home.results[Result.HANDED_OVER] == 1


def test_a_claim_that_came_too_late_does_not_stand_for_a_later_label_of_its_id() -> None:
    world, pair = Workers(), (0, 1)
    world.workers[1].join.observe(ended("a"), 0.0)
    world.workers[0].submit(Label("a", 1), 0.0)
    world.connect(pair)
    world.deliver_to_home(pair)
    world.let_home_speak(pair)
    world.deliver_to_host(pair)
    world.let_host_speak(pair)
    world.workers[0].join.advance(WAIT_S)  # the label is given up, which the host has not been told yet
    world.deliver_to_home(pair)  # its claim
    world.workers[0].submit(Label("a", 1), WAIT_S)
    world.settle()
    world.check_settled()
    assert world.workers[1].join.results[Result.JOINED] == 1


def test_a_label_that_comes_while_another_of_its_id_is_under_way_follows_it() -> None:
    world = granted_but_not_sent()
    assert world.workers[0].submit(Label("a", 2), 0.0) is None
    world.settle()
    world.check_settled()
    assert world.workers[1].join.results[Result.JOINED] == world.workers[1].join.results[Result.CONFLICT] == 1


def test_a_link_that_is_lost_with_a_label_under_way_costs_nothing_whether_it_arrived_or_not() -> None:
    for arrived in (False, True):
        world, pair = granted_but_not_sent(), (0, 1)
        world.let_home_speak(pair)
        if arrived:
            world.deliver_to_host(pair)
        world.lose(pair, host_knows=False)
        world.settle()
        world.check_settled()
        assert world.workers[1].join.received == world.workers[1].join.results[Result.JOINED] == 1
        assert world.workers[0].join.received == world.workers[0].join.results[Result.HANDED_OVER] == 1


def test_what_an_earlier_link_still_held_is_not_heard_once_another_has_begun() -> None:
    world, pair = granted_but_not_sent(), (0, 1)
    world.let_home_speak(pair)
    world.lose(pair, host_knows=False)
    world.connect(pair)
    while world.left_behind:
        world.deliver_what_was_left_behind()
    world.settle()
    world.check_settled()
    assert world.workers[1].join.received == 1


def test_a_host_that_cannot_speak_does_not_claim_afterwards_what_was_withdrawn_meanwhile() -> None:
    world, pair = Workers(), (0, 1)
    world.connect(pair)
    world.deliver_to_home(pair)
    for name in ("a", "b"):
        world.workers[1].join.observe(ended(name), 0.0)
        world.workers[0].submit(Label(name, 1), 0.0)
        world.let_home_speak(pair)
        world.deliver_to_host(pair)
        if name == "a":
            world.workers[0].join.observe(ended(name), 0.0)
    world.let_host_speak(pair)
    assert world.links[pair].to_home.pop().claimed == ["b"]


def test_another_label_that_came_while_one_was_under_way_stands_when_that_comes_back() -> None:
    for later, result in ((1, Result.DUPLICATE), (2, Result.CORRECTION)):
        world = Workers()
        join = world.workers[0].join
        join.label(Label("a", 1), 0.0)
        lent = join.lend("a")
        assert lent is not None
        assert join.label(Label("a", later), 1.0) is None
        join.given_back(lent, 2.0)
        assert (join.pending, join.results[result], join.received) == (1, 1, 2)
        join.observe(ended("a"), 3.0)
        assert [judged.given.truth for judged in world.workers[0].judged] == [later]


def test_a_message_is_never_long_and_nothing_is_left_out() -> None:
    world = Workers()
    names = [f"request {number}" for number in range(5 * AT_ONCE // 2)]
    for name in names[::2]:
        world.workers[1].join.observe(ended(name), 0.0)
    for name in names:
        world.workers[0].submit(Label(name, 1), 0.0)
    pair, sizes = (0, 1), []
    world.connect(pair)
    world.deliver_to_home(pair)
    for _ in range(20):
        world.let_home_speak(pair)
        world.let_host_speak(pair)
        link = world.links[pair]
        sizes += [len(part) for message in link.to_host for part in message]
        sizes += [len(message.claimed) for message in link.to_home]
        while link.to_host:
            world.deliver_to_host(pair)
        while link.to_home:
            world.deliver_to_home(pair)
    assert 0 < max(sizes) <= AT_ONCE
    assert world.workers[1].join.results[Result.JOINED] == len(names[::2])
    assert world.workers[1].sharing.host.visits == len(names[1::2])
    # What was claimed already, and ends elsewhere first, is granted to nobody.
    world.workers[0].join.observe(ended(names[1]), 0.0)
    world.workers[1].join.observe(ended(names[1]), 0.0)
    world.settle()
    world.check_settled()
    assert world.workers[0].join.results[Result.JOINED] == 1
