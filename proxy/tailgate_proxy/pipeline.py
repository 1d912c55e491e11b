"""The way of a call through the proxy, in one place: what is asked at which moment, in order, each with its reason.

A call passes three moments. Whoever has something to decide does so at one of them, as a plain function of what is
known of the call, and of the time:

    arrival   its headers are here              → gates: the first that replies ends it
    model     its message names the model       → gates again; then the call to the upstream begins
    end       an answer, a failure, the limit   → its one outcome is booked, and the client gets its reply
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tailgate.deadline import Deadline
from tailgate.sampler import Sampler
from tailgate_proxy.call import Caller, Reply
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.held import Held
from tailgate_proxy.routes import Routes
from tailgate_proxy.steps.admit import Admit, refuse_expired, refuse_malformed
from tailgate_proxy.steps.limit import end_if_over
from tailgate_proxy.steps.observe import Observe

Gate = Callable[[Exchange, float], Reply | None]
"""Asked at one moment of a call: the reply that ends it there, or None to let it pass."""


class Watched(Protocol):
    """Something that has an end in time."""

    limit: Deadline
    ended: bool

    def time_up(self) -> None:
        """The limit has passed."""
        ...

    def stop(self) -> None:
        """The proxy stops, and has waited long enough."""
        ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What every call has at hand on its way.

    Attributes:
        on_arrival: Gates at its arrival.
        on_model: Gates once its model is known.
        observe: Books its end.
        admit: Is told of its end.
        routes: What is done for which requests.
        begin: Begins its call to an upstream.
        watch: Has `time_up` called once its limit has passed; to be told again when the limit moves.
        held: The bound on the bytes that wait in the proxy.
        clock: Tells the time.
        max_message_bytes: The longest message.
        sampler: Chooses the answers whose confidence is looked at.
        late_share: Share of late calls that run on unseen.
        late_patience_s: For how long.
    """

    on_arrival: tuple[Gate, ...]
    on_model: tuple[Gate, ...]
    observe: Observe
    admit: Admit
    routes: Routes
    begin: Callable[[Caller], None]
    watch: Callable[[Watched], None]
    held: Held
    clock: Callable[[], float]
    max_message_bytes: int
    sampler: Sampler
    late_share: float
    late_patience_s: float


def build_pipeline(
    config: ProxyConfig,
    routes: Routes,
    *,
    clock: Callable[[], float],
    observe: Observe,
    admit: Admit,
    begin: Callable[[Caller], None],
    watch: Callable[[Watched], None],
    held: Held,
) -> Pipeline:
    """The pipeline of one proxy."""
    return Pipeline(
        on_arrival=(
            admit.refuse_while_draining,  # before all else: the client should go elsewhere, whatever it wants
            refuse_malformed,  # what cannot be read cannot be held to a deadline
            refuse_expired,  # before it takes a place from a request that can still be answered
            admit.refuse_beyond_room,  # the last: takes the place
        ),
        on_model=(
            end_if_over,  # the model's own deadline may be tighter than what held before
        ),
        observe=observe,
        admit=admit,
        routes=routes,
        begin=begin,
        watch=watch,
        held=held,
        clock=clock,
        max_message_bytes=config.max_message_mib << 20,
        sampler=Sampler(config.confidences),
        late_share=config.late_share,
        late_patience_s=config.late_patience,
    )
