"""The V2 server behind the proxy: calls in bytes over a few shared connections, and whether it is ready."""

from __future__ import annotations

import asyncio
import logging
import ssl

from google.protobuf.message import DecodeError

from tailgate.config import Address
from tailgate.errors import Status
from tailgate.http2.limits import Limits
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE
from tailgate_proxy.answer import Answer, CallFailed
from tailgate_proxy.call import Metadata
from tailgate_proxy.wire.outbound import Outbound

PROBE_TIMEOUT_S = 2.0
MAX_CONNECTIONS = 8
"""Opened as the upstream's limit on streams asks for them; beyond, calls wait for a place."""
RECONNECT_PAUSE_S = 0.05
"""After a failed attempt, calls fail at once for so long rather than try again each."""

_log = logging.getLogger(__name__)


class Upstream:
    """One upstream. `ready` is its own latest word, or False since it stopped giving one."""

    def __init__(self, address: Address, max_message_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        """Connections are made when they are needed, with `tls` if there is one."""
        self.address = address
        self._tls = tls
        self.ready = False
        self._max_message_bytes = max_message_bytes
        self._connections: list[Outbound] = []
        self._connecting: asyncio.Task[Outbound] | None = None
        self._failed_s = float("-inf")

    async def call(self, method: str, body: bytes, timeout_s: float, metadata: Metadata) -> Answer:
        """One call, in bytes; it is cancelled at the upstream when the caller is, or when its time is up.

        Tried a second time where the upstream promises that it did not see the first.

        Raises:
            CallFailed: It did not end with OK.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                try:
                    return await self._try(method, body, timeout_s, metadata)
                except CallFailed as failure:
                    if not failure.retryable:
                        raise
                return await self._try(method, body, deadline_s - loop.time(), metadata)
        except TimeoutError as error:
            raise CallFailed(Status.DEADLINE_EXCEEDED, "the upstream did not answer in time") from error

    async def models(self) -> list[tuple[str, str]]:
        """Names and versions of the models it lists; none where it keeps no list.

        Raises:
            CallFailed: It could not be asked.
        """
        request = pb.RepositoryIndexRequest(ready=True).SerializeToString()
        try:
            answer = await self.call(f"/{SERVICE}/RepositoryIndex", request, PROBE_TIMEOUT_S, ())
            listed = pb.RepositoryIndexResponse.FromString(answer.body).models
        except CallFailed as failure:
            if failure.status is Status.UNIMPLEMENTED:
                return []
            raise
        except DecodeError as error:
            raise CallFailed(Status.INTERNAL, "its list of models is no RepositoryIndexResponse") from error
        return [(model.name, model.version) for model in listed]

    async def probe(self) -> bool:
        """Ask whether it is ready, and keep the answer in `ready`."""
        request = pb.ServerReadyRequest().SerializeToString()
        try:
            answer = await self.call(f"/{SERVICE}/ServerReady", request, PROBE_TIMEOUT_S, ())
            ready = pb.ServerReadyResponse.FromString(answer.body).ready
        except (CallFailed, DecodeError):
            ready = False
        if ready != self.ready:
            _log.info("upstream %s is %s", self.address, "ready" if ready else "not ready")
        self.ready = ready
        return ready

    async def close(self) -> None:
        """Close every connection."""
        if self._connecting is not None:
            self._connecting.cancel()
        for connection in self._connections:
            connection.abort()

    async def _try(self, method: str, body: bytes, timeout_s: float, metadata: Metadata) -> Answer:
        connection = await self._usable()
        return await connection.call(method, body, timeout_s, metadata)

    async def _usable(self) -> Outbound:
        """A connection on which a call can be begun at once."""
        while True:
            self._connections = [connection for connection in self._connections if connection.connected]
            for connection in self._connections:
                if connection.usable:
                    return connection
            if len(self._connections) < MAX_CONNECTIONS:
                await self._connect()
            else:
                await asyncio.sleep(0.001)  # until one of many calls has ended

    async def _connect(self) -> None:
        """Open a connection; callers that come meanwhile wait for the same one."""
        loop = asyncio.get_running_loop()
        if self._connecting is None:
            if loop.time() - self._failed_s < RECONNECT_PAUSE_S:
                raise CallFailed(Status.UNAVAILABLE, f"the upstream {self.address} cannot be reached")
            self._connecting = loop.create_task(self._open())
            self._connecting.add_done_callback(self._connected)
        try:
            await asyncio.shield(self._connecting)
        except OSError as error:
            self._failed_s = loop.time()
            text = f"the upstream {self.address} cannot be reached: {error.strerror or error}"
            raise CallFailed(Status.UNAVAILABLE, text) from error

    async def _open(self) -> Outbound:
        limits = Limits(connection_window=64 << 20, stream_window=4 << 20)  # what it may have on its way to us
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Outbound(str(self.address), limits, self._max_message_bytes),
            self.address.bare_host,
            self.address.port,
            ssl=self._tls,
        )
        return connection

    def _connected(self, task: asyncio.Task[Outbound]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._connections.append(task.result())
