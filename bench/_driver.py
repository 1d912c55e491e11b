"""A thin client: many requests in flight over few connections, every answer checked, little CPU of its own.

It opens streams as fast as they end (closed loop) or at given times (open loop), interleaves their bodies frame by
frame, obeys the peer's windows, and has no timer of its own: a request ends when the peer ends its stream.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench._link import Ended, Link
from bench._requests import Requests

IDLE_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Driven:
    """What came of a run.

    Attributes:
        wall_s: From the first request's start to the last one's end.
        ended: The requests, in the order in which they ended.
        start_s: When it began, by the clock of those.
    """

    wall_s: float
    ended: Sequence[Ended]
    start_s: float

    @property
    def wrong(self) -> list[Ended]:
        """Those that were not answered with OK and the right bytes."""
        return [one for one in self.ended if not one.right]

    def latency_s(self, quantile: float) -> float:
        """Of all requests, by rank."""
        ordered = sorted(one.ended_s - one.started_s for one in self.ended)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]


class Driver:
    """Connections to one peer, for one size of request."""

    def __init__(
        self,
        address: str,
        requests: Requests,
        answer: bytes,
        *,
        connections: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._address = address
        self._selector = selectors.DefaultSelector()
        self._links = [Link(_connect(address, tls), requests, answer) for _ in range(connections)]
        self._number = 0
        for link in self._links:
            self._selector.register(link.socket, selectors.EVENT_READ, link)
            self._flush(link)
        while not all(link.greeted for link in self._links):
            for link, _ in self._turn(IDLE_TIMEOUT_S):
                self._flush(link)

    def closed_loop(self, in_flight: int, seconds: float) -> Driven:
        """Keep so many in flight for so long, then let them end."""
        start_s = time.perf_counter()
        stop_s = start_s + seconds
        for n in range(in_flight):
            self._start(self._links[n % len(self._links)])
        for link in self._links:
            self._flush(link)
        ended: list[Ended] = []
        open_now = in_flight
        while open_now:
            for link, done in self._turn(IDLE_TIMEOUT_S):
                ended += done
                if time.perf_counter() < stop_s:
                    for _ in done:
                        self._start(link)
                else:
                    open_now -= len(done)
                self._flush(link)
        return Driven(ended[-1].ended_s - start_s, ended, start_s)

    def open_loop(self, rate: float, seconds: float) -> Driven:
        """Start one request every 1/rate seconds, whatever became of the others."""
        return self.scheduled([n / rate for n in range(round(rate * seconds))])

    def scheduled(self, instants_s: Sequence[float]) -> Driven:
        """Start requests at these instants from now, in rising order, whatever became of the others."""
        start_s = time.perf_counter()
        due_s = deque(start_s + instant_s for instant_s in instants_s)
        asked = len(due_s)
        ended: list[Ended] = []
        while len(ended) < asked:
            while due_s and due_s[0] <= time.perf_counter():
                due_s.popleft()
                link = self._links[len(due_s) % len(self._links)]
                self._start(link)
                self._flush(link)
            patient = max(due_s[0] - time.perf_counter(), 0.0) if due_s else IDLE_TIMEOUT_S
            for link, done in self._turn(patient, may_be_idle=bool(due_s)):
                ended += done
                self._flush(link)
        return Driven(ended[-1].ended_s - start_s, ended, start_s)

    def close(self) -> None:
        """End all connections."""
        for link in self._links:
            link.socket.close()
        self._selector.close()

    def _start(self, link: Link) -> None:
        link.start(self._number, time.perf_counter())
        self._number += 1

    def _turn(self, timeout_s: float, *, may_be_idle: bool = False) -> Iterator[tuple[Link, list[Ended]]]:
        """Wait for the peer; the connections it moved, and the requests it ended there."""
        ready = self._selector.select(timeout_s)
        if not ready and not may_be_idle:
            raise SystemExit(f"{self._address} said nothing for {IDLE_TIMEOUT_S:.0f} s with requests open")
        for key, events in ready:
            yield key.data, key.data.readable() if events & selectors.EVENT_READ else []

    def _flush(self, link: Link) -> None:
        wanted = selectors.EVENT_READ | (0 if link.flush() else selectors.EVENT_WRITE)
        if wanted != self._selector.get_key(link.socket).events:
            self._selector.modify(link.socket, wanted, link)


def _connect(address: str, tls: ssl.SSLContext | None) -> socket.socket:
    host, _, port = address.rpartition(":")
    peer = socket.create_connection((host, int(port)), timeout=10)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls is not None:
        peer = tls.wrap_socket(peer, server_hostname="localhost")
        if peer.selected_alpn_protocol() != "h2":
            raise SystemExit(f"{address} does not speak HTTP/2 over TLS")
    peer.settimeout(0)
    return peer
