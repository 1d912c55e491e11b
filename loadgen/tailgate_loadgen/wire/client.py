"""Which connection a call goes to; what happens where there is none; and when a call's time is up.

One connection carries all calls, and more only where the target takes no more streams on it: an open loop does not wait
for anybody's limit. A lost one is opened again when a call needs it. Where that fails, calls end as UNAVAILABLE at once
until the next attempt, as those of gRPC's own library do.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

from tailgate import __version__
from tailgate.deadline_queue import DeadlineQueue
from tailgate.errors import Status, UsageError
from tailgate.http2.events import Field, Headers
from tailgate.http2.grpc_headers import CONTENT_TYPE
from tailgate.http2.grpc_messages import PREFIX_BYTES
from tailgate.protocol.names import MODEL_INFER
from tailgate_loadgen.alarm import MakeAlarm, best_alarm
from tailgate_loadgen.calls import Ended, Metadata, Payload, nothing
from tailgate_loadgen.credentials import NO_CREDENTIALS, Credentials
from tailgate_loadgen.tls import reason
from tailgate_loadgen.wire.address import Address, parse_address
from tailgate_loadgen.wire.call import EXPIRED, Http2Call, encoded
from tailgate_loadgen.wire.connection import ClientConnection

CONNECT_S: Final = 20.0
"""Until a target that says nothing counts as out of reach; this and the next two are what gRPC's own library takes…"""
FIRST_RETRY_S: Final = 1.0
RETRY_GROWTH: Final = 1.6
MOST_RETRY_S: Final = 10.0
"""…but for this, of which it takes two minutes: a target that is back is to be seen within the run."""
MOST_CONNECTIONS: Final = 64
JOINED_BYTES: Final = 16 * 1024
"""So much fits into the shortest frame that every target takes: a body of less goes as one."""
_PAGE_BYTES: Final = 4096
CLOSE_S: Final = 1.0
"""Given to what is still to be written when the client is closed."""


class Http2Client:
    """Calls to one target. To be used as an asynchronous context, which connects and closes it."""

    def __init__(self, target: str, alarm: MakeAlarm = best_alarm, credentials: Credentials = NO_CREDENTIALS) -> None:
        """Prepare; to be called on the running loop.

        Args:
            target: Address in gRPC's form.
            alarm: Makes what wakes it at the next deadline.
            credentials: What goes with calls, and what connections speak.
        """
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._address: Address = parse_address(target)
        tls = credentials.tls
        self._tls: dict[str, Any] = {} if tls is None else tls.connecting(self._address.host)
        name = None if tls is None else tls.server_name
        pseudo: tuple[Field, ...] = (
            (b":method", b"POST"),
            (b":scheme", b"https" if self._tls else b"http"),
            (b":path", MODEL_INFER.encode()),
            (b":authority", name.encode() if name else self._address.authority),
        )
        self._head: Headers = (*pseudo, (b"te", b"trailers"))
        agent = (b"user-agent", f"tailgate-load/{__version__}".encode())
        self._fields: Headers = (CONTENT_TYPE, agent, *encoded(credentials.metadata))
        self._connections: list[ClientConnection] = []
        self._waiting: dict[Http2Call, None] = {}  # in the order in which they came
        self._connecting: asyncio.Task[None] | None = None
        self._retry_at_s = -math.inf
        self._retry_s = FIRST_RETRY_S
        self._why_not = ""
        self._deadlines: DeadlineQueue[Http2Call] = DeadlineQueue(alive=lambda call: not call.ended)
        self._alarm = alarm(self._loop, self._on_alarm)
        self._alarm_s = math.inf
        self._urgent: Callable[[], None] = nothing

    async def __aenter__(self) -> Http2Client:
        """Connect.

        Raises:
            UsageError: The target cannot be reached.
        """
        self._connect()
        assert self._connecting is not None
        await self._connecting
        if not self._connections:
            await self.__aexit__()
            more = ", or what fits its certificate with --ca, --cert or --server-name" if self._tls else ""
            raise UsageError(f"{self._why_not}; start it, or give the right address with --target{more}")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection; calls that have not ended end as UNAVAILABLE."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._fail_waiting()
        self._alarm.close()
        closing = [connection.close_soon() for connection in self._connections]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_S)
        for connection in list(self._connections):
            connection.abort()

    def prepare(self, before: bytes, payload: Payload, metadata: Metadata = ()) -> Http2Call:
        """A call with its request as it goes into frames."""
        size = len(before) + len(payload)
        pieces: list[Payload] = [b"\0" + size.to_bytes(4) + before, payload]
        if size + PREFIX_BYTES <= JOINED_BYTES:
            pieces = [b"".join(pieces)]
        else:
            bytes(memoryview(payload)[::_PAGE_BYTES])  # a mapped file is read now, and not at the call's instant
        return Http2Call(self, self._head, self._fields + encoded(metadata), pieces)

    def put_first(self, urgent: Callable[[], None]) -> None:
        """Do this before what was read is looked at, and between ends."""
        self._urgent = urgent

    # -- for calls -----------------------------------------------------------------------------------------------------

    def now_s(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    def begin(self, call: Http2Call) -> float:
        """Send it, or keep it until it can be sent; returns the instant when that was done."""
        for connection in self._connections:
            if connection.has_room:
                connection.begin(call)
                break
        else:
            self._hold(call)
        begun_s = self._loop.time()
        if not call.ended:
            self._deadlines.drop_ended()  # a few each time, and not once in a while a thousand
            self._deadlines.add(call.deadline_s, call)
            self._wake_at(call.deadline_s)
        return begun_s

    def give_up(self, call: Http2Call) -> None:
        """It waits no more."""
        self._waiting.pop(call, None)

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _hold(self, call: Http2Call) -> None:
        if self._out_of_reach():
            call.end(Ended(Status.UNAVAILABLE, self._why_not), self._loop.time())
            return
        call.stream = self
        self._waiting[call] = None
        self._connect()

    def _out_of_reach(self) -> bool:
        """Whether the last attempt failed a short while ago, and nobody is left who could take a call."""
        return self._connecting is None and self._loop.time() < self._retry_at_s and not self._reached

    @property
    def _reached(self) -> bool:
        """Whether there is a connection that takes calls, now or when others have ended."""
        return any(not connection.retired for connection in self._connections)

    def _connect(self) -> None:
        """Open another connection, if one is due."""
        if (
            self._connecting is None
            and len(self._connections) < MOST_CONNECTIONS
            and self._loop.time() >= self._retry_at_s
        ):
            self._connecting = self._loop.create_task(self._open())

    async def _open(self) -> None:
        connection = ClientConnection(self._loop, self._on_change, self._do_urgent)
        address = self._address
        try:
            async with asyncio.timeout(CONNECT_S):
                if address.path:
                    await self._loop.create_unix_connection(lambda: connection, address.path, **self._tls)
                else:
                    await self._loop.create_connection(lambda: connection, address.host, address.port, **self._tls)
                await connection.settled
            if connection.retired:
                raise ConnectionError("it takes no calls on the connection that it accepted")
        except (OSError, TimeoutError) as error:
            why = "it does not answer" if isinstance(error, TimeoutError) else reason(error)
            over = " over TLS" if self._tls else ""
            self._why_not = f"target {self._target} cannot be reached{over}: {why}"
            self._retry_at_s = self._loop.time() + self._retry_s
            self._retry_s = min(MOST_RETRY_S, RETRY_GROWTH * self._retry_s)
        else:
            self._retry_s = FIRST_RETRY_S
            self._connections.append(connection)
        finally:
            self._connecting = None
            if connection not in self._connections:
                connection.abort()
        self._dispatch()

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        now_s = self._loop.time()
        for call in waiting:
            call.end(Ended(Status.UNAVAILABLE, self._why_not), now_s)

    def _do_urgent(self) -> None:
        self._urgent()

    def _on_change(self, connection: ClientConnection) -> None:
        """There may be room on a connection, or it may be gone."""
        if connection.retired:
            connection.close_if_done()
            if connection.closed.done() and connection in self._connections:
                self._connections.remove(connection)
        if self._waiting:
            self._dispatch()

    def _dispatch(self) -> None:
        """Send what waits, as far as there is room; what nobody will take any time soon ends."""
        for connection in list(self._connections):
            while self._waiting and connection.has_room:
                call = next(iter(self._waiting))
                del self._waiting[call]
                connection.begin(call)
        if self._waiting:
            self._connect()
            if self._out_of_reach():
                self._fail_waiting()

    def _wake_at(self, at_s: float) -> None:
        if at_s < self._alarm_s:
            self._alarm_s = at_s
            self._alarm.set(at_s)

    def _on_alarm(self) -> None:
        self._alarm_s = math.inf
        now_s = self._loop.time()
        for call in self._deadlines.due(now_s):
            self._urgent()
            call.give_up(EXPIRED, now_s)
        # Of most calls the answer came first: without these the alarm would ring for each of them.
        self._deadlines.drop_ended()
        if self._deadlines.next_s is not None:
            self._wake_at(self._deadlines.next_s)
