"""What has to hold whatever happens: looked at after every event, every second, after every fault, and at the end.

Nothing here asks the proxy what it thinks of itself where that can be seen from outside: who came, who was answered and
when, what machines got. Its own counts have to agree with that.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from bench._sim_call import Call, State
from bench._sim_episodes import Recovery
from bench._sim_loop import VirtualLoop
from bench._sim_network import Network
from bench._sim_plan import Episode, Plan
from bench._sim_servers import Job
from tailgate.errors import Status
from tailgate.observation import Observation
from tailgate.outcome import Mode, Outcome
from tailgate.policy.false_refusals import CEILING
from tailgate.policy.hedging import BUDGET
from tailgate_proxy.call import Reply
from tailgate_proxy.current import Current
from tailgate_proxy.held import Held
from tailgate_proxy.passage import Passage
from tailgate_proxy.profiles import PROFILES
from tailgate_proxy.second_call import SecondCall
from tailgate_proxy.steps.admit import Admit
from tailgate_proxy.timekeeper import EARLY_S
from tailgate_proxy.upstreams.pool import Pool
from tailgate_proxy.upstreams.pools import Pools

PROMISES: Final = {
    "one outcome": "every arrival ends in exactly one outcome, and its client is given one reply, which says so",
    "balance": "received = outcomes + waiting + in flight: in the ledger, at the gates and at the door, at every event",
    "never late": "in enforce no answer is delivered after its deadline",
    "not in vain": "in enforce nothing is sent to an upstream whose deadline has passed",
    "limit": "nothing is sent while as many are at the upstream as the limit says",
    "line": "no more wait than can be served within the longest deadline",
    "retry budget": "of what an upstream has seen, at most a tenth of the requests is sent again",
    "seen once": "nothing that an upstream may have executed is given to another, but for a hedge",
    "hedges": "a request is hedged once, while its call is under way, to another machine, with room that nobody needs, "
    "and within the budget",
    "some in use": "fewer than half of the members are never all that is used",
    "used again": "45 s after a fault every member that is well gets its share of the calls",
    "outstanding": "what a member is said to have in hand is what is on its way to it, every second",
    "as before": "45 s after a fault at least 95 % as many are answered in time as before it",
    "calm": "with at most 40 % of the capacity asked for and nothing wrong, 99 % are answered in time",
    "false refusals": "of the refusals for lateness that were tried, not more prove false than the ceiling says",
    "drain": "a proxy that stops takes nothing new, and finishes what it has",
    "at rest": "in the end nothing is held, waits, is in flight, is outstanding or is running",
    "stages": "no stage of a request takes less than no time",
    "no fault": "nothing is raised where nobody expects it, and no request ends in a fault of the proxy's own",
}

WINDOW_S: Final = 10.0
SHARE: Final = 0.1
FLOOR: Final = 3
"""The promise of the retry budget, as docs/upstreams.md gives it."""
CHANCE: Final = 15
"""Refusals tried that may prove false beyond the ceiling: one may be wrong eleven times before it is known."""


class Promises:
    """The watch over one world.

    Attributes:
        first: The first promise that was broken, when, and how; None: none was.
        outcomes: How many ended how.
        arrived: How many came.
        repeats: Calls that were made again.
        hedges: Calls that were made while another one was at work for the same request.
        sent_once: Requests that an upstream was given.
        recoveries_s: Of every kind of fault: how long after each the proxy was back.
        draining: Whether the proxy was told to stop.
    """

    def __init__(self, loop: VirtualLoop, plan: Plan) -> None:
        """Nothing has happened."""
        self.first: tuple[str, float, str] | None = None
        self.outcomes: Counter[Outcome] = Counter()
        self.arrived = 0
        self.repeats = self.hedges = 0
        self.recoveries_s: list[tuple[str, float]] = []
        self.draining = False
        self._loop = loop
        self._plan = plan
        self._repeated = PROFILES[plan.profile].repeated
        self._calls: dict[str, Call] = {}
        self._too_late: set[str] = set()  # those that came after it was told to stop
        self._ended = self._waiting = self._out = 0
        self._recoveries: dict[Episode, Recovery] = {}
        self._seconds: list[SecondCall] = []  # that are under way
        self.sent_once = 0
        self._requests: deque[float] = deque()  # when they were first sent, of the last ten seconds
        self._paid: deque[float] = deque()  # when something was sent again that an upstream had seen
        self._line = 0
        self._strange = 0  # seconds for which panic was not as it should be
        self._current: Current | None = None
        self._pools: Pools
        self._admit: Admit
        self._held: Held
        self._network: Network

    def begin(self, current: Current, pools: Pools, admit: Admit, held: Held, network: Network) -> None:
        """These are watched."""
        self._current, self._pools, self._admit, self._held, self._network = current, pools, admit, held, network
        (self._door,) = current.entrances._doors.values()  # there is one pool

    def broken(self, promise: str, how: str) -> None:
        """A promise is broken; the first is kept."""
        assert promise in PROMISES
        if self.first is None:
            self.first = promise, self._loop.time(), how

    def expect(self, promise: str, holds: bool, how: str) -> None:  # noqa: FBT001 — what is expected
        """It has to hold."""
        if not holds:
            self.broken(promise, how)

    @property
    def pool(self) -> Pool:
        """The one there is."""
        return next(iter(self._pools))

    # -- what is seen --------------------------------------------------------------------------------------------------

    def arrives(self, call: Call) -> None:
        """A request comes."""
        self.arrived += 1
        self._calls[call.name] = call
        if self.draining:
            self._too_late.add(call.name)

    def entered(self, call: Call) -> None:  # noqa: ARG002 — as it is told
        """It waits."""
        self._waiting += 1

    def sent(self, passage: Passage) -> None:
        """A call to an upstream begins."""
        now_s, exchange = self._loop.time(), passage.exchange
        call = self._calls[exchange.request_id]
        if exchange.route.mode is Mode.ENFORCE and now_s > call.deadline.at_s + 2 * EARLY_S:
            self.broken("not in vain", f"request {call.name} is sent {now_s - call.deadline.at_s:.4f} s late")
        if passage.tried:
            self.repeats += 1
            if call.seen:
                self._pay(now_s)
            call.seen = False
            return
        self._requests.append(now_s)
        self.sent_once += 1
        over = call.state in (State.LEFT, State.OVER)
        self.expect("one outcome", not over, f"request {call.name} is sent after its end")
        self._waiting -= call.state is State.WAITING
        call.state = State.OUT
        self._out += 1
        admission = self._door.admission
        if exchange.route.mode is not Mode.OBSERVE and admission.in_flight > admission.limit:
            self.broken("limit", f"{admission.in_flight} are sent, and the limit is {admission.limit}")

    def hedged(self, second: SecondCall) -> None:
        """A second call is made."""
        exchange, admission = second.request.exchange, self._door.admission
        call = self._calls[exchange.request_id]
        others_wait = admission.waiting > 0 or admission.in_flight > admission.limit or admission.dark
        self.expect("hedges", call.on_way and not call.hedged, f"request {call.name} is hedged, and not under way")
        self.expect("hedges", not others_wait, f"{admission.waiting} wait, and request {call.name} is hedged")
        self.expect("hedges", exchange.route.mode is not Mode.OBSERVE, f"request {call.name} is hedged, and observed")
        self.expect("hedges", not self.draining, f"request {call.name} is hedged while the proxy stops")
        call.hedged = True
        self._seconds.append(second)
        self.hedges += 1
        self.expect("hedges", self.hedges <= BUDGET * self.sent_once + 1e-6, f"{self.hedges} hedges")
        self._pay(self._loop.time())

    def begun(self, job: Job) -> None:
        """A connection carries it to a machine."""
        call = self._calls[job.name]
        if job.hedge:
            self.expect("hedges", call.at is not job.connection.machine, f"request {job.name} is where it was")
            return
        call.on_way, call.at = True, job.connection.machine

    def ended(self, job: Job) -> None:
        """It does so no more: answered, failed, cancelled or lost."""
        if job.hedge:
            return
        call = self._calls[job.name]
        call.on_way = False
        if call.state is State.LEFT:
            self._out -= 1
            call.state = State.OVER

    def executed(self, job: Job) -> None:
        """A machine has got it whole."""
        if job.hedge:
            return
        call = self._calls[job.name]
        self.expect("seen once", call.safe, f"request {call.name} came to a second machine")
        call.safe, call.seen = False, True

    def told(self, job: Job, status: Status) -> None:
        """The machine says that it has failed."""
        if job.hedge:
            return
        self._calls[job.name].safe = status in self._repeated

    def booked(self, observation: Observation) -> None:
        """An outcome is."""
        call, outcome = self._calls[observation.request_id], observation.outcome
        call.outcomes.append(outcome)
        self.outcomes[outcome] += 1
        self._ended += 1
        self.expect("one outcome", len(call.outcomes) == 1, f"request {call.name} has {call.outcomes}")
        refused = outcome is Outcome.DRAINING or call.name not in self._too_late
        self.expect("drain", refused, f"request {call.name} came while the proxy stopped, and ended as {outcome.label}")
        self.expect("no fault", outcome is not Outcome.INTERNAL, f"request {call.name} ended in a fault")
        self._waiting -= call.state is State.WAITING
        if call.state is State.OUT and call.on_way:
            call.state = State.LEFT  # it is not cancelled, and has its place until the machine has done with it
        else:
            self._out -= call.state is State.OUT
            call.state = State.OVER
        exchange = call.passage.exchange
        times = [exchange.arrival_s, exchange.begun_s, exchange.answered_s, self._loop.time()]
        times = [at_s for at_s in times if at_s]  # 0: it did not come so far
        self.expect("stages", times == sorted(times) and observation.latency_s >= 0.0, f"{call.name}: {times}")
        if call.counts:
            for recovery in self._recoveries.values():
                recovery.ended(call, outcome)

    def answered(self, call: Call, reply: Reply) -> None:
        """A client has its reply."""
        mode, late = call.passage.exchange.route.mode, call.deadline.passed(self._loop.time())
        delivered = reply.status is Status.OK and bool(reply.body)
        self.expect("never late", not (delivered and late and mode is Mode.ENFORCE), f"request {call.name}")
        told = dict(reply.trailers).get(b"tailgate-outcome", b"ok").decode()
        booked = call.outcomes[0] if call.outcomes else Outcome.DEADLINE_IN_FLIGHT  # it runs on
        self.expect("one outcome", told == booked.label, f"request {call.name}: told {told}, booked {booked.label}")

    # -- at every event ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """What holds at any moment."""
        current = self._current
        if current is None:
            return
        ledger, live = current.accounts.ledger, self.arrived - self._ended
        if not (
            ledger.received == self.arrived
            and ledger.ended == self._ended
            and self._admit._in_flight == live
            and (current._observes[-1].in_flight == live or sum(one.in_flight for one in current._observes) == live)
        ):
            self.broken("balance", f"{self.arrived} came, {live} have not ended; {ledger.in_flight} by the ledger")
        admission = self._door.admission
        line = len(admission._line)
        self._seconds = [one for one in self._seconds if one.under_way]
        out = self._out + sum(not one.alone for one in self._seconds)
        if admission.in_flight != out or line + admission._line.behind != self._waiting:
            how = f"{out} are at the upstream and {self._waiting} wait; by the door"
            self.broken("balance", f"{how} {admission.in_flight} and {admission.waiting}")
        if line > self._line:
            bound, most = admission.line_bound, self._plan.deadline_s * self._plan.capacity
            if bound is not None and line > min(bound, 4.0 * most + 10.0):
                self.broken("line", f"{line} wait, the bound is {bound}, and {most:.0f} can be served in time")
        self._line = line

    def sample(self) -> None:
        """What is looked at every second."""
        pool = self.pool
        now_s = self._loop.time()
        well = sum(one.health.ready(now_s) and not one.ejection.out(now_s) for one in pool.membership.members)
        few = 2 * well < len(pool.membership.members) and len(pool.membership.members) > 1
        self._strange = self._strange + 1 if few != pool.membership.panic else 0
        self.expect("some in use", self._strange < 3, f"{well} are well; panic is {pool.membership.panic}")
        machines = self._network.machines.values()
        on_way = sum(connection.inferences for machine in machines for connection in machine.connections)
        said = sum(one.outstanding for one in (*pool.membership.members, *pool.membership.draining))
        self.expect(
            "outstanding",
            said == on_way + len(pool._waiting),
            f"{said}; on their way are {on_way}, and {len(pool._waiting)} wait for a connection",
        )
        refusals = self._door.admission.refusals
        how = f"{refusals.in_time} of {refusals.tried} tried"
        self.expect("false refusals", refusals.in_time <= CEILING * refusals.tried + CHANCE, how)
        self.expect("no fault", not self._loop.faults, "; ".join(self._loop.faults[:3]))

    # -- around faults -------------------------------------------------------------------------------------------------

    def busy(self, episode: Episode) -> None:
        """From now on it is seen what things are like without the fault."""
        self._recoveries[episode] = Recovery(episode, self._plan, self._network)

    def recovered(self, episode: Episode) -> None:
        """From now on all has to be as before."""
        self._recoveries[episode].recovered()

    def over(self, episode: Episode) -> None:
        """It is."""
        recovery = self._recoveries.pop(episode)
        for promise, how in recovery.breaches():
            self.broken(promise, how)
        self.recoveries_s.append((episode.kind, recovery.seconds()))

    # -- at the end ----------------------------------------------------------------------------------------------------

    def drained(self) -> None:
        """The proxy has waited for what it had."""
        live = self.arrived - self._ended
        self.expect("drain", live == 0, f"{live} have not ended")

    def at_rest(self) -> None:
        """Nothing goes on any more."""
        for call in self._calls.values():
            self.expect("one outcome", len(call.outcomes) == 1, f"request {call.name} has {call.outcomes}")
            self.expect("one outcome", call.over, f"the client of request {call.name} has no reply")
        left = {
            "held bytes": self._held.bytes,
            "in flight": self._admit._in_flight,
            "at the door": self._door.admission.in_flight + self._door.admission.waiting,
            "outstanding": sum(one.outstanding for pool in self._pools for one in pool.membership.members),
            "on connections": sum(c.calls for m in self._network.machines.values() for c in m.connections),
            "tasks": len(self._loop.tasks) - 1,
        }
        self.expect("at rest", not any(left.values()), f"{left}")
        self.sample()

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _pay(self, now_s: float) -> None:
        """Something is sent again that an upstream has seen."""
        paid, requests = self._paid, self._requests
        paid.append(now_s)
        while paid[0] < now_s - 0.9 * WINDOW_S:  # its window is forgotten a tenth at a time
            paid.popleft()
        while requests and requests[0] < now_s - WINDOW_S:
            requests.popleft()
        if len(paid) > max(FLOOR, SHARE * len(requests)):
            self.broken("retry budget", f"{len(paid)} of {len(requests)} requests are sent again within nine seconds")
