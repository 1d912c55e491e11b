"""The way of a call through the proxy, in one place: what is asked at which moment, in order, each with its reason.

A call passes four moments. Whoever has something to decide does so at one of them, as a plain function of what is
known of the call, and of the time:

    arrival   its headers are here              → gates: the first that replies ends it
    model     its message names the model       → gates again; then it waits for its turn (`steps.enter`)
    turn      its upstream has room for it      → the call to the upstream begins
    end       an answer, a failure, the limit   → its one outcome is booked, and the client gets its reply
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tailgate.deadline import Deadline
from tailgate.policy.reserve import Reserve
from tailgate.sampler import Sampler
from tailgate_proxy.call import Reply, Requester
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.held import Held
from tailgate_proxy.routes import Routes
from tailgate_proxy.steps.admit import Admit, refuse_expired, refuse_malformed
from tailgate_proxy.steps.enter import Entrances
from tailgate_proxy.steps.limit import end_if_over
from tailgate_proxy.steps.observe import Observe

Gate = Callable[[Exchange, float], Reply | None]
"""Asked at one moment of a call: the reply that ends it there, or None to let it pass."""


class Watched(Protocol):
    """Something that has an end in time."""

    limit: Deadline

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to be watched."""
        ...

    def time_up(self) -> None:
        """The limit has passed."""
        ...

    def stop(self) -> None:
        """The proxy stops, and has waited long enough."""
        ...


class Copy(Protocol):
    """A request's copy for another upstream. Nothing of it waits, and nothing fails."""

    def add(self, piece: memoryview | bytes, *, end: bool) -> bool:
        """A piece of the body passes, valid until this returns; returns whether more is wanted."""
        ...

    def original_begun(self, left_s: float) -> None:
        """The request's own call has begun, with so much time left."""
        ...

    def original_ended(self, predicted: int) -> None:
        """The request has ended, with an answer that names this class, or none."""
        ...


class Mirroring(Protocol):
    """Whoever makes copies."""

    def offer(self, exchange: Exchange, message_bytes: int) -> Copy | None:
        """A request with a message so long has a route with a shadow: its copy, if there is to be one."""
        ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What every call has at hand on its way.

    Attributes:
        on_arrival: Gates at its arrival.
        on_model: Gates once its model is known.
        observe: Books its end.
        admit: Is told of its end.
        entrances: Tell it when it may go to its upstream; are told of its end.
        routes: What is done for which requests.
        begin: Begins its call to an upstream: the one that its route names.
        watch: Has `time_up` called once its limit has passed; to be told again when the limit moves.
        held: The bound on the bytes that wait in the proxy.
        clock: Tells the time.
        max_message_bytes: The longest message.
        sampler: Chooses the answers whose confidence is looked at.
        late_share: Share of late calls that run on unseen.
        late_patience_s: For how long.
        shadows: Make copies for other upstreams; None: nothing is mirrored.
        reserve: Says how much less an upstream is told than is left.
    """

    on_arrival: tuple[Gate, ...]
    on_model: tuple[Gate, ...]
    observe: Observe
    admit: Admit
    entrances: Entrances
    routes: Routes
    begin: Callable[[Requester], None]
    watch: Callable[[Watched], None]
    held: Held
    clock: Callable[[], float]
    max_message_bytes: int
    sampler: Sampler
    late_share: float
    late_patience_s: float
    shadows: Mirroring | None
    reserve: Reserve


def build_pipeline(
    config: ProxyConfig,
    routes: Routes,
    *,
    clock: Callable[[], float],
    observe: Observe,
    admit: Admit,
    begin: Callable[[Requester], None],
    watch: Callable[[Watched], None],
    held: Held,
    refuse_stranger: Gate | None = None,
    entrances: Entrances | None = None,
    shadows: Mirroring | None = None,
) -> Pipeline:
    """The pipeline of one proxy; without `refuse_stranger` everybody is let in, without `entrances` nobody waits."""
    return Pipeline(
        on_arrival=(
            admit.refuse_while_draining,  # before all else: the client should go elsewhere, whatever it wants
            *(() if refuse_stranger is None else (refuse_stranger,)),  # strangers are told of nothing but that
            refuse_malformed,  # what cannot be read cannot be held to a deadline
            refuse_expired,  # before it takes a place from a request that can still be answered
            admit.refuse_beyond_room,  # the last: takes the place
        ),
        on_model=(
            end_if_over,  # the model's own deadline may be tighter than what held before
        ),
        observe=observe,
        admit=admit,
        entrances=entrances or Entrances(),
        routes=routes,
        begin=begin,
        watch=watch,
        held=held,
        clock=clock,
        max_message_bytes=config.max_message_mib << 20,
        sampler=Sampler(config.confidences),
        late_share=config.late_share,
        late_patience_s=config.late_patience,
        shadows=shadows,
        reserve=observe.reserve,
    )
