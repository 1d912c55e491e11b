"""What a simulated hour is to be: which machines, which clients, what breaks when. All of it follows from the seed.

An hour is mostly quiet, with episodes: it becomes busy, after a while something goes wrong, and then there is time to
get over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from bench._sim_servers import Behaviour
from tailgate.errors import Status
from tailgate_proxy.profiles import ProfileName

BEFORE_S: Final = 30.0
"""So long before a fault is what things were like without it."""
RECOVERED_S: Final = 45.0
"""So long after its end everything must be as before: the longest ejection takes 30 s, and a trial may fail."""
AFTER_S: Final = 30.0
"""So long from then on is looked at."""
SETTLE_S: Final = 10.0
"""Busy for so long before anything is measured: what was learned long ago is forgotten, and learned again."""
QUIET_S: Final = 300.0
"""Between two episodes next to nothing happens for about so long."""
BUSY_S: Final = SETTLE_S + BEFORE_S
HEDGED: Final = 3
"""In one of so many worlds requests are hedged, where there are several machines, and they may be cancelled."""

KINDS: Final = (
    "crash", "freeze", "stuck", "slow", "errors", "turned away", "unready", "vanished", "renamed", "reconfigured",
    "overload", "stall",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at one instant, or ends then.

    Attributes:
        at_s: When.
        machine: Whose behaviour changes; -1: nobody's.
        now: What it is like from then on.
        dies: Whether it loses all it has.
        goes_away: Whether it sends its clients away, politely.
        names: Addresses of the host name from then on; None: as before.
        most: The proxy is configured anew: most requests in flight, and the first so many addresses.
        stall_s: The proxy's loop does not run for so long.
    """

    at_s: float
    machine: int = -1
    now: Behaviour | None = None
    dies: bool = False
    goes_away: bool = False
    names: tuple[int, ...] | None = None
    most: tuple[int, int] | None = None
    stall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Traffic of one rate.

    Attributes:
        end_s: Until when, from the end of the one before.
        rate: Requests a second.
        burst: How many come together, on average; 1: each alone.
    """

    end_s: float
    rate: float
    burst: int = 1


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault, and the traffic around it, by which is seen whether all is well again."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One simulated stretch of time.

    Attributes:
        seed: Makes it all.
        kind: What goes wrong in it; ``mixed``: something else each time.
        length_s: How long requests come.
        machines: How many there are.
        spare: How many more there are, which have no name yet.
        workers: Of each machine.
        batch: Largest batch of a worker.
        take_s: How long one takes, on average.
        variation: Coefficient of variation of that.
        deadline_s: The proxy's.
        profile: What kind of server they are said to be.
        by_name: Whether the proxy knows one host name, or each address.
        admission: How it is decided who may go to them.
        limit: Calls at once, where that is fixed.
        hedge_after: Quantile of their time after which a request is given to another; None: never.
        late_share: Share of late calls that run on.
        most: Requests in flight.
        leaving: Share of clients that leave before their deadline.
        again: How often a client tries again.
        models: Share of requests for each model: enforced, observed, with a default answer.
        traffic: In order.
        faults: In order.
        episodes: In order.
    """

    seed: int
    kind: str
    length_s: float
    machines: int
    spare: int
    workers: int
    batch: int
    take_s: float
    variation: float
    deadline_s: float
    profile: ProfileName
    by_name: bool
    admission: str
    limit: int
    hedge_after: float | None
    late_share: float
    most: int
    leaving: float
    again: int
    models: tuple[float, float, float]
    traffic: tuple[Stretch, ...]
    faults: tuple[Fault, ...]
    episodes: tuple[Episode, ...]

    @property
    def capacity(self) -> float:
        """Requests a second that all machines together can serve, if batches are as large as they may be."""
        return self.machines * self.workers * self.batch / (self.take_s * (1.0 + 0.1 * (self.batch - 1)))


def plan(kind: str, seed: int, length_s: float, quiet_s: float = QUIET_S) -> Plan:
    """The plan of a kind that follows from a seed.

    Args:
        kind: What goes wrong; ``mixed``: something else each time.
        seed: Of all that is left to chance.
        length_s: How long requests come.
        quiet_s: Between two episodes, about.
    """
    random = Random(f"{kind} {seed}")  # noqa: S311 — a simulation, no secret
    machines = random.choice([2, 2, 3, 3, 4])
    if kind in ("slow", "overload", "stall", "mixed") and random.random() < 0.25:
        machines = 1
    by_name = machines > 1 and (kind in ("vanished", "renamed") or (kind == "mixed" and random.random() < 0.5))
    workers, batch = random.choice([(1, 1), (2, 1), (4, 1), (1, 4), (1, 8)])
    busy = random.uniform(4.0, 8.0)
    fixed = random.random() < 0.2
    # Machines are made for the traffic, not the other way round: an hour may have only so many requests.
    load = random.uniform(0.2, 0.4)
    take_s = machines * workers * load / busy
    if batch > 1:
        take_s *= 1.5  # even alone in its batch
    take_s = min(take_s, 0.5)
    episodes, faults, traffic, at_s = [], [], [], 0.0
    others = tuple(one for one in KINDS if by_name or one not in ("vanished", "renamed"))
    while True:
        what = random.choice(others) if kind == "mixed" else kind
        for_s = random.choice([3.0, 10.0, 20.0, 40.0])
        at_s += random.uniform(quiet_s / 3.0, quiet_s * 2.0)
        start_s = at_s + BUSY_S
        end_s = start_s + (0.0 if what in ("renamed", "reconfigured") else for_s)
        over_s = end_s + RECOVERED_S + AFTER_S
        if over_s > length_s:
            break
        traffic.append(Stretch(at_s, random.uniform(0.1, 0.5)))
        burst = random.choice([1, 1, 1, 4]) if machines * workers * batch >= 4 else 1
        if what == "overload":
            full = machines * workers * batch / (take_s * (1.0 + 0.1 * (batch - 1)))
            traffic.append(Stretch(start_s, busy, 1))
            traffic.append(
                Stretch(start_s + min(for_s, 10.0), random.choice([2.0, 4.0]) * full, random.choice([1, 20]))
            )
            end_s = start_s + min(for_s, 10.0)
            over_s = end_s + RECOVERED_S + AFTER_S
            traffic.append(Stretch(over_s, busy, 1))
        else:
            traffic.append(Stretch(over_s, busy, burst))
        episodes.append(Episode(what, start_s, end_s))
        faults += _faults(random, what, start_s, end_s, machines)
        if what == "stall" or (what == "overload" and random.random() < 0.5):
            faults += [
                Fault(random.uniform(start_s, end_s), stall_s=random.choice([0.05, 0.3, 1.0])) for _ in range(12)
            ]
        at_s = over_s
    traffic.append(Stretch(length_s, random.uniform(0.1, 0.5)))
    tails = random.choice([0.0, 0.3, 0.6])
    deadline_s = round(take_s * random.uniform(8.0, 12.0), 3)
    profile: ProfileName = random.choice(("generic", "tailgate", "triton", "mlserver", "tailgate"))
    return Plan(
        seed=seed,
        kind=kind,
        length_s=length_s,
        machines=machines,
        spare=2 if by_name else 0,
        workers=workers,
        batch=batch,
        take_s=take_s,
        variation=tails,
        deadline_s=deadline_s,
        profile=profile,
        by_name=by_name,
        admission="fixed" if fixed else "adaptive",
        limit=2 * machines * workers * batch,
        hedge_after=0.95 if seed % HEDGED == 0 and machines > 1 and profile != "mlserver" else None,
        late_share=random.choice([0.0, 0.0, 0.1]),
        most=1024,
        leaving=random.choice([0.0, 0.05]),
        again=random.choice([0, 0, 1, 4]),
        models=random.choice([(1.0, 0.0, 0.0), (0.8, 0.1, 0.1)]),
        traffic=tuple(traffic),
        faults=tuple(sorted(faults, key=lambda fault: fault.at_s)),
        episodes=tuple(episodes),
    )


def _faults(  # noqa: PLR0911, PLR0912 — a table: what each kind is
    random: Random, kind: str, start_s: float, end_s: float, machines: int
) -> list[Fault]:
    """One episode's. Mostly one machine is struck; sometimes several, or all."""
    struck = random.sample(range(machines), random.choice([1, 1, 1, max(machines - 1, 1), machines]))

    def during(make: Callable[[], Behaviour], *, dies: bool = False) -> list[Fault]:
        found = []
        for machine in struck:
            found += [Fault(start_s, machine, make(), dies=dies), Fault(end_s, machine, Behaviour())]
        return found

    if kind == "crash":
        # a process that is gone refuses; a host that is gone says nothing at all
        if random.random() < 0.4:  # it comes back at once, and dies again
            found = []
            for at_s in sorted(random.uniform(start_s, end_s - 0.5) for _ in range(8)):
                for machine in struck:
                    found.append(Fault(at_s, machine, Behaviour(refuses=True), dies=True))
                    found.append(Fault(at_s + random.uniform(0.0, 0.5), machine, Behaviour()))
            return found
        gone = random.random() < 0.3
        return during(lambda: Behaviour(refuses=not gone, swallows=gone), dies=True)
    if kind == "freeze":
        return during(lambda: Behaviour(frozen=True))
    if kind == "stuck":
        return during(lambda: Behaviour(stuck=True))
    if kind == "slow":
        times = random.choice([3.0, 10.0])
        return during(lambda: Behaviour(slow=times))
    if kind == "errors":
        status = random.choice([Status.INTERNAL, Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED])
        share = random.choice([0.2, 0.6, 1.0])
        garbage = random.random() < 0.2
        return during(lambda: Behaviour(garbage=share) if garbage else Behaviour(errors=share, status=status))
    if kind == "turned away":
        share = random.choice([0.3, 0.9])
        return during(lambda: Behaviour(turns_away=share))
    if kind == "unready":
        empty = random.random() < 0.5
        return during(lambda: Behaviour(empty=True) if empty else Behaviour(ready=False))
    if kind == "vanished":  # from the name, as when a deployment is made smaller; then it dies; then both are back
        stay = tuple(one for one in range(machines) if one not in struck[:1])
        lost = struck[0]
        return [
            Fault(start_s, names=stay),
            Fault((start_s + end_s) / 2.0, lost, Behaviour(refuses=True), dies=True),
            Fault(end_s, lost, Behaviour(), names=tuple(range(machines))),
        ]
    if kind == "renamed":  # other machines under the same name; the old ones go away, some politely
        polite = random.random() < 0.5
        new = tuple(machines + one for one in range(2)) + tuple(range(2, machines))
        leave_s = random.uniform(3.0, 20.0)
        back = start_s + RECOVERED_S + AFTER_S
        old = [
            Fault(start_s + leave_s, one, Behaviour(refuses=True), dies=not polite, goes_away=polite)
            for one in range(2)
        ]
        return [
            Fault(start_s, names=new),
            *old,
            *(Fault(back, one, Behaviour()) for one in range(2)),
            Fault(back, names=tuple(range(machines))),
        ]
    if kind == "reconfigured":
        return [
            Fault(start_s, most=(1024, machines)),
            Fault(start_s + 1.0, most=(512, max(machines - 1, 1))),
            Fault(start_s + 20.0, most=(1024, machines)),
        ]
    return []
