"""Which requests are mirrored, what that may cost, and the books of it.

Mirroring is the first thing to give way: a copy is dropped, and counted, where the clients' own requests need the room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from tailgate.gauges import ShadowCounts
from tailgate.ledger import Ledger
from tailgate.observation import Observation
from tailgate.outcome import Mode, decide
from tailgate.policy.reserve import Reserve
from tailgate.policy.routing import uniform
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate_proxy.call import Reply, Requester
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.known_models import KnownModels
from tailgate_proxy.pipeline import Watched
from tailgate_proxy.shadows.labels import CopyLabels
from tailgate_proxy.shadows.mirror import Dropped, Mirror

MOST: Final = 64
"""Copies at once. One that hangs costs its upstream no more than so many calls."""
LARGEST_BYTES: Final = 8 << 20
"""Longer bodies are not copied."""
HELD_BYTES: Final = 64 << 20
"""Of all copies at once; beside what may wait of the requests themselves."""


class Shadows:
    """The shadows of one proxy.

    Attributes:
        known: Names of models and versions that are told apart.
        ledger: What copies came to. They begin where requests arrive, and end in one outcome each.
        labels: Where copies wait for labels that are given afterwards.
        reserve: Says how much less their upstreams are told than is left.
        held_bytes: What they hold.
    """

    def __init__(
        self,
        ledger: Ledger,
        known: KnownModels,
        labels: CopyLabels,
        *,
        begin: Callable[[Requester], None],
        watch: Callable[[Watched], None],
        soon: Callable[[Callable[[], None]], object],
        clock: Callable[[], float],
        crowded: Callable[[], bool],
        reserve: Reserve | None = None,
    ) -> None:
        """Nothing is mirrored.

        Args:
            ledger: Fresh books.
            known: Fresh names.
            labels: That judge in these books.
            begin: Makes a call in an upstream.
            watch: Has `time_up` called of what has a limit.
            soon: Has something called when what is under way has had its turn.
            clock: Tells the time.
            crowded: Whether clients need the room.
            reserve: Says how much less is told than is left; None: nothing is known of that.
        """
        self.ledger = ledger
        self.known = known
        self.labels = labels
        self.begin = begin
        self.watch = watch
        self.soon = soon
        self.clock = clock
        self.reserve = reserve or Reserve()
        self.held_bytes = 0
        self._crowded = crowded
        self._at_once = 0
        self._dropped: Counter[Dropped] = Counter(dict.fromkeys(Dropped, 0))
        self._agreements: Counter[tuple[str, str, bool]] = Counter()

    def offer(self, exchange: Exchange, message_bytes: int) -> Mirror | None:
        """A request with a message so long has a route with a shadow: a mirror for it, if it is among those that are
        mirrored and there is room.
        """
        route = exchange.route
        name = exchange.request_id.encode("utf-8", "surrogatepass")
        if uniform(route.shadow, name, b"shadow") >= route.shadow_share:
            return None
        if message_bytes > LARGEST_BYTES:
            self.drop(Dropped.TOO_LARGE)
        elif self._crowded():
            self.drop(Dropped.OVERLOAD)
        elif self._at_once >= MOST:
            self.drop(Dropped.BUSY)
        else:
            self._at_once += 1
            self.labels.begun(exchange.request_id)
            return Mirror(exchange, self)
        return None

    def learn(self, model: str, version: str, pool: str, slices: Iterable[str]) -> None:
        """An upstream that gets copies has this model: its counts begin at zero."""
        if self.known.learn(model, version, pool):
            for part in slices:
                self.ledger.open(*self.known.labels(model, version), part)

    def take(self, count: int, of: int) -> Dropped | None:
        """Hold so many bytes more, of a copy that has so many; returns why that may not be."""
        if of > LARGEST_BYTES:
            return Dropped.TOO_LARGE
        if self.held_bytes + count > HELD_BYTES:
            return Dropped.NO_ROOM
        self.held_bytes += count
        return None

    def drop(self, reason: Dropped) -> None:
        """A request is not mirrored."""
        self._dropped[reason] += 1

    def give_back(self, count: int) -> None:
        """Hold so many bytes less."""
        self.held_bytes -= count

    def leave(self) -> None:
        """A copy is no more, at its upstream either."""
        self._at_once -= 1

    def book(self, exchange: Exchange, reply: Reply, begun_s: float, budget_s: float) -> tuple[str, str]:
        """A copy has ended. Returns the model and version it counts under."""
        now_s = self.clock()
        route, envelope = exchange.route, exchange.envelope
        version = reply.version or envelope.version
        if version:
            version += route.shadow_suffix
        if reply.version:
            self.known.learn(envelope.model, version, route.shadow)
        model, version = self.known.labels(envelope.model, version, route.shadow)
        latency_s = now_s - begun_s
        observation = Observation(
            request_id=exchange.request_id,
            model=model,
            version=version,
            arrival_unix_s=exchange.arrival_unix_s,
            budget_s=budget_s,
            latency_s=latency_s,
            outcome=decide(reply.ending, Mode.ENFORCE, late=latency_s > budget_s),
            predicted=reply.predicted,
            label=exchange.label,
            status=reply.status,
            slice=exchange.slice,
        )
        self.ledger.fall_due(model, version, exchange.slice)
        self.ledger.book(observation)
        self.labels.ended(observation)
        return model, version

    def compare(self, series: tuple[str, str], theirs: int, ours: int) -> None:
        """Both answers are known, of the original and of its copy."""
        if UNKNOWN_CLASS not in (theirs, ours):
            self._agreements[*series, theirs == ours] += 1

    def counts(self) -> ShadowCounts:
        """For a scrape."""
        return ShadowCounts(
            ledger=self.ledger.copy(),
            dropped={reason.value: count for reason, count in self._dropped.items()},
            agreements=dict(self._agreements),
            held_bytes=self.held_bytes,
            unlabelled={reason.value: count for reason, count in self.labels.join.given_up.items()},
        )
