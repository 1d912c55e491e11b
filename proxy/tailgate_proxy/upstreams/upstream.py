"""One V2 server behind the proxy: calls over a few shared connections, and the questions that are asked of it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from typing import Final

from google.protobuf.message import DecodeError

from tailgate.config import Address
from tailgate.errors import Status
from tailgate.http2.events import Field
from tailgate.http2.grpc_messages import PREFIX_BYTES, frame_message
from tailgate.http2.limits import Limits
from tailgate.pb import inference_pb2 as pb
from tailgate.policy.attempts import Result
from tailgate.policy.health import Probe
from tailgate.protocol.names import SERVICE
from tailgate_proxy.backoff import Backoff
from tailgate_proxy.call import Answer, Caller, CallFailed
from tailgate_proxy.held import Held
from tailgate_proxy.upstreams.asked import Asked
from tailgate_proxy.wire.link import Desk
from tailgate_proxy.wire.outbound import Outbound

PROBE_TIMEOUT_S: Final = 2.0
CONNECT_TIMEOUT_S: Final = 2.0
"""Longest wait for a connection: a host that has vanished answers nothing at all."""
MAX_CONNECTIONS: Final = 8
"""Opened where the upstream's limit on streams, or its window for a whole connection, leaves no room for another call
on those there are; beyond, calls wait for a place."""
LIMITS: Final = Limits(connection_window=64 << 20, stream_window=4 << 20)
"""What an upstream may have on its way to us: answers are taken as they come, and counted as held."""

_log = logging.getLogger(__name__)


class Upstream:
    """One server."""

    def __init__(
        self,
        address: Address,
        desk: Desk,
        held: Held,
        max_message_bytes: int,
        tls: ssl.SSLContext | None = None,
        *,
        at: str | None = None,
    ) -> None:
        """Connections are made when they are needed.

        Args:
            address: As the server calls itself.
            desk: What all connections share.
            held: The bound on what waits in the proxy.
            max_message_bytes: The longest answer.
            tls: What connections speak; None: no TLS.
            at: Where it is, if not where its name says.
        """
        self.address = address
        self._at = at or address.bare_host
        self._name = str(address) if at is None else f"{address} at {at}"
        self._desk = desk
        self._held = held
        self._tls = tls
        self._max_message_bytes = max_message_bytes
        self._connections: list[Outbound] = []
        self._retired: set[Outbound] = set()  # these finish what they have begun
        self._queue: deque[Caller] = deque()  # calls that wait for a connection, or for a place on one
        self._connecting: asyncio.Task[None] | None = None
        self._backoff = Backoff()
        self._closed = False

    def begin(self, caller: Caller) -> None:
        """Make a call. Its `begun` is called at once where there is a connection with room, else as soon as there is;
        its `failed` where none can be had.
        """
        if not self._queue:
            connection = self._with_room()
            if connection is not None:
                if connection.choked:
                    self._add_connection()
                connection.begin(caller)
                return
        self._queue.append(caller)
        self._serve_queue()

    async def call(self, path: bytes, body: bytes, fields: list[Field], timeout_s: float) -> Answer:
        """One call, whole; it is cancelled at the upstream when the caller is, or when its time is up.

        Raises:
            CallFailed: It did not end with OK.
        """
        asked = Asked(self.begin, path, frame_message(body), fields, timeout_s)
        self.begin(asked)
        try:
            async with asyncio.timeout(timeout_s):
                return await asked.answer
        except TimeoutError as error:
            raise CallFailed(Status.DEADLINE_EXCEEDED, "the upstream did not answer in time") from error
        finally:
            asked.leave()

    async def models(self) -> list[tuple[str, str]] | None:
        """Names and versions of the models it lists; None where it keeps no list.

        Raises:
            CallFailed: It could not be asked.
        """
        request = pb.RepositoryIndexRequest(ready=True).SerializeToString()
        try:
            answer = await self.call(f"/{SERVICE}/RepositoryIndex".encode(), request, [], PROBE_TIMEOUT_S)
            listed = pb.RepositoryIndexResponse.FromString(answer.body[PREFIX_BYTES:]).models
        except CallFailed as failure:
            if failure.status is Status.UNIMPLEMENTED:
                return None
            raise
        except DecodeError as error:
            raise CallFailed(Status.INTERNAL, "its list of models is no RepositoryIndexResponse") from error
        return [(model.name, model.version) for model in listed]

    async def probe(self) -> Probe:
        """Ask whether it is ready."""
        request = pb.ServerReadyRequest().SerializeToString()
        try:
            answer = await self.call(f"/{SERVICE}/ServerReady".encode(), request, [], PROBE_TIMEOUT_S)
            ready = pb.ServerReadyResponse.FromString(answer.body[PREFIX_BYTES:]).ready
        except CallFailed as failure:
            return Probe.SILENT if failure.status is Status.DEADLINE_EXCEEDED else Probe.UNREACHABLE
        except DecodeError:
            return Probe.UNREACHABLE
        return Probe.READY if ready else Probe.NOT_READY

    @property
    def connected(self) -> bool:
        """Whether there is a connection on which calls can be begun, now or when others have ended."""
        return bool(self._connections)

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        for connection in (*self._connections, *self._retired):
            connection.close()
        self._fail_queue("the proxy is shutting down")

    def _with_room(self) -> Outbound | None:
        """Of the connections with room the one with the fewest calls; one that lets bodies through, if there is any."""
        best: Outbound | None = None
        for connection in self._connections:
            if connection.usable and (
                best is None or (connection.choked, connection.calls) < (best.choked, best.calls)
            ):
                best = connection
        return best

    def _serve_queue(self) -> None:
        """Begin what waits, as far as there is room; see to it that there will be more."""
        while self._queue:
            if not self._queue[0].wanted:
                self._queue.popleft()
                continue
            connection = self._with_room()
            if connection is None:
                break
            connection.begin(self._queue.popleft())
        if self._queue and not self._add_connection() and (self._closed or not self._connections):
            self._fail_queue(f"the upstream {self._name} cannot be reached")

    def _add_connection(self) -> bool:
        """See to it that there will be another connection, if there may be one; returns whether it is on its way."""
        if self._connecting is None:
            if (
                self._closed
                or len(self._connections) >= MAX_CONNECTIONS
                or not self._backoff.may_try(self._desk.loop.time())
            ):
                return False
            self._connecting = self._desk.loop.create_task(self._connect())
        return True

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await self._open()
        except Exception as error:  # noqa: BLE001 — whatever it is, those who wait hear of it, and it is tried again
            if not isinstance(error, OSError | TimeoutError | ValueError):  # the last: of a name that cannot be one
                _log.exception("connecting to the upstream %s failed", self._name)
            self._connecting = None
            self._backoff.failed(self._desk.loop.time())
            reason = getattr(error, "strerror", None) or str(error) or f"no answer within {CONNECT_TIMEOUT_S:g} s"
            if not self._connections:  # else what waits has a place to wait for
                self._fail_queue(f"the upstream {self._name} cannot be reached: {reason}")
        else:
            self._connecting = None
            self._backoff.succeeded()
            self._connections.append(connection)
            self._changed(connection)

    async def _open(self) -> Outbound:
        """A connection whose upstream has said what it takes; with TLS 1.3 it may refuse even after the handshake."""
        _, connection = await self._desk.loop.create_connection(
            self._outbound,
            self._at,
            self.address.port,
            ssl=self._tls,
            server_hostname=None if self._tls is None else self.address.bare_host,
        )
        try:
            await connection.settled()
            if connection.retired:
                raise ConnectionError("it takes connections, and no calls")
        except BaseException:
            connection.abort()
            raise
        return connection

    def _outbound(self) -> Outbound:
        return Outbound(
            str(self.address).encode(),
            self._desk,
            limits=LIMITS,
            max_message_bytes=self._max_message_bytes,
            held=self._held,
            on_change=self._changed,
            tls=self._tls is not None,
        )

    def _changed(self, connection: Outbound) -> None:
        """A connection has more room than before, or will never have any again."""
        if connection.retired:
            if connection in self._connections:
                self._connections.remove(connection)
                self._retired.add(connection)
            if not connection.calls:
                self._retired.discard(connection)
                connection.close()
        if self._queue:
            self._serve_queue()

    def _fail_queue(self, reason: str) -> None:
        queue, self._queue = self._queue, deque()
        for caller in queue:
            if caller.wanted:
                caller.failed(CallFailed(Status.UNAVAILABLE, reason, result=Result.UNREACHABLE))
