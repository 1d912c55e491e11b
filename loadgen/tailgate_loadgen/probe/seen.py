"""What a probe sees: plain records of calls, and of calls that belong together. Nothing here judges.

Instants are seconds of one monotonic clock; only their differences mean anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tailgate.errors import Status


@dataclass(frozen=True, slots=True)
class Ended:
    """One call.

    Attributes:
        sent_s: When the probe handed it over.
        ended_s: When the probe knew its end.
        status: How it ended, for its client.
        details: The status's text.
    """

    sent_s: float
    ended_s: float
    status: Status
    details: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.status is Status.OK

    @property
    def took_s(self) -> float:
        """Seconds until its end."""
        return self.ended_s - self.sent_s


@dataclass(frozen=True, slots=True)
class Trial:
    """A call, the witness, that was made behind others, the doomed.

    Attributes:
        witness: The last call; how long it took tells what the server did before it.
        doomed: Those before it, which nobody would wait for in some variants. Empty in the variant without them.
        counted: By how much the server's own count of inferences grew until it was idle again; None where it has none.
        sent: How many calls there were in all.
    """

    witness: Ended
    doomed: tuple[Ended, ...]
    counted: int | None
    sent: int


@dataclass(frozen=True, slots=True)
class Experiment:
    """Trials of one question, in all variants, taken in turn.

    Attributes:
        alone: Without doomed calls.
        live: With doomed calls that somebody waits for.
        ended_early: By the treatment's name: with doomed calls that are given up.
        doomed: Doomed calls in a trial.
        after_s: When they were given up, in seconds after they were sent.
        service_s: What a call alone takes.
        unusable: By the variant's name: trials whose witness was not answered.
        why_not: Why it could not be made; empty if it was.
    """

    alone: tuple[Trial, ...]
    live: tuple[Trial, ...]
    ended_early: dict[str, tuple[Trial, ...]]
    doomed: int
    after_s: float
    service_s: float
    unusable: dict[str, tuple[Trial, ...]]
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Calls that were made at once, of which one may have left.

    Attributes:
        leaver: How the one that left ended; None in a group in which nobody left.
        left_by: `cancel` or `deadline`; empty where nobody left.
        after_s: When it left.
        mates: The others.
    """

    leaver: Ended | None
    left_by: str
    after_s: float
    mates: tuple[Ended, ...]


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups in which one left, and groups in which nobody did, made in turn.

    Attributes:
        left: With a leaver.
        stayed: Without.
        service_s: What a call alone takes.
        patience_s: How long the mates would have waited.
        answers_afterwards: Whether a plain call was answered at the end.
    """

    left: tuple[Group, ...]
    stayed: tuple[Group, ...]
    service_s: float
    patience_s: float
    answers_afterwards: bool


@dataclass(frozen=True, slots=True)
class Burst:
    """Calls that were made at once.

    Attributes:
        calls: All of them.
        patience_s: How long each would have waited.
    """

    calls: tuple[Ended, ...]
    patience_s: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A malformed request and what came of it.

    Attributes:
        name: What is wrong with it.
        ended: How it ended; None where the case does not fit this model.
        alive: Whether a plain call was answered afterwards.
    """

    name: str
    ended: Ended | None
    alive: bool


@dataclass(frozen=True, slots=True)
class ServerSaid:
    """What a server says of itself, the model and its inputs.

    Attributes:
        server: Its name, empty if it does not say.
        version: Its version.
        extensions: Names of extensions of the protocol.
        platform: Of the model.
        statistics: Whether it counts inferences in a way that can be asked for.
    """

    server: str
    version: str
    extensions: tuple[str, ...]
    platform: str
    statistics: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a probe saw.

    Attributes:
        said: By the server.
        service_s: What a call alone took, each time.
        queued: Of calls given up while they waited.
        running: Of calls given up while the model ran them.
        groups: Of calls made together.
        bursts: Of many calls at once, in growing number; the last number twice.
        refusals: Of malformed requests; empty if they were not asked for.
        stopped_after: The part after which the server did not answer plain calls any more, so that nothing followed;
            empty if it answered to the end.
    """

    said: ServerSaid
    service_s: tuple[float, ...]
    queued: Experiment
    running: Experiment
    groups: Groups
    bursts: tuple[Burst, ...]
    refusals: tuple[Refusal, ...]
    stopped_after: str = ""


def no_experiment(why_not: str, service_s: float = 0.0) -> Experiment:
    """One that could not be made."""
    return Experiment((), (), {}, 0, 0.0, service_s, {}, why_not)


def no_groups(service_s: float) -> Groups:
    """None were made."""
    return Groups((), (), service_s, 0.0, answers_afterwards=False)


def by_status(calls: Sequence[Ended]) -> dict[str, int]:
    """How many ended how, the most frequent first."""
    counts: dict[str, int] = {}
    for call in calls:
        counts[call.status.name] = counts.get(call.status.name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
