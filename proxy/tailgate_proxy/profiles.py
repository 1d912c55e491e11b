"""What kinds of V2 server do with a call that is cancelled, has a deadline, or finds no room: one table.

Sources and figures stand in docs/upstreams.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tailgate.errors import Status

ProfileName = Literal["generic", "kserve", "mlserver", "tailgate", "triton"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of server.

    Attributes:
        cancels: Whether a call that nobody waits for any more is cancelled there. Where not, it is left to finish, and
            counts as outstanding until it has; once all of its body has been sent, that is: before, it is in no batch.
        tells_timeout: Whether it is told how long a call has (`grpc-timeout`); many libraries cancel by that.
        shed: Codes with which it says that it has no room: it is busy, not broken.
        repeated: Codes after which a call may be made again at another member: nobody works on it any more.
        repeats_id: Whether an answer that has an id has its request's, as V2 says: one with another is no answer to it.
    """

    cancels: bool = True
    tells_timeout: bool = True
    shed: frozenset[Status] = frozenset((Status.RESOURCE_EXHAUSTED,))
    repeated: frozenset[Status] = frozenset()
    repeats_id: bool = True


PROFILES: Final[dict[ProfileName, Profile]] = {
    # Whatever speaks V2: nothing is assumed but what gRPC itself says.
    "generic": Profile(),
    # Its SDK has no batcher, so nobody else is harmed by a cancel. What its codes mean is up to the model's author, and
    # so is the id of an answer: many make one up.
    "kserve": Profile(repeats_id=False),
    # A member of a batch that is cancelled, by its client or by its deadline, may take its batch mates with it: they
    # never get an answer. And what is cancelled runs all the same, so that nothing is gained.
    "mlserver": Profile(cancels=False, tells_timeout=False),
    # Refuses with RESOURCE_EXHAUSTED what its queues (rarely: its memory) have no room for, and drops with UNAVAILABLE
    # what it has when it stops. A client that leaves harms no batch mate.
    "tailgate": Profile(repeated=frozenset((Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE))),
    # Drops from its queue what is cancelled. A full queue and a timeout there are UNAVAILABLE: neither has run. Its
    # request parameter `timeout` is not sent: without a `default_timeout_microseconds` it is ignored, with one it is
    # noticed later than a cancel, which comes at the deadline anyway.
    "triton": Profile(
        shed=frozenset((Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE)),
        repeated=frozenset((Status.UNAVAILABLE,)),
    ),
}
