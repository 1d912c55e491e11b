"""The engine for frames that concern the whole connection: SETTINGS, PING, GOAWAY, WINDOW_UPDATE on 0."""

from __future__ import annotations

from tailgate.http2.codes import ACK, ErrorCode, Role
from tailgate.http2.errors import ConnectionViolation
from tailgate.http2.events import GoAwayReceived, PingAcknowledged, SettingsChanged, StreamReset, WindowOpened
from tailgate.http2.frames import read_settings
from tailgate.http2.settings import refuse_push
from tailgate.http2.state import ConnectionState
from tailgate.http2.streams import State


class ConnectionFrames:
    """Applies them to a connection's state."""

    def __init__(self, state: ConnectionState) -> None:
        """Share this state."""
        self._state = state

    def settings(self, flags: int, payload: memoryview) -> None:
        """§6.5: take the peer's and say so, or learn that it has taken ours."""
        state = self._state
        if flags & ACK:
            self._acknowledged()
            return
        if state.settings_received:
            state.overhead.spend()
        state.settings_received = True
        peer = state.peer
        window = peer.initial_window_size
        for identifier, value in read_settings(payload):
            if state.role is Role.CLIENT:
                refuse_push(identifier, value)
            peer.update(identifier, value)
        state.encoder.limit_table(peer.header_table_size)
        self._shift_windows(peer.initial_window_size - window)
        state.outbox.settings_ack()
        state.events.append(SettingsChanged())

    def _shift_windows(self, difference: int) -> None:
        """§6.9.2: the windows of open streams move with the initial one, and may fall below zero."""
        for stream in self._state.streams.open.values():
            if not stream.send_window.fits(difference):
                raise ConnectionViolation(
                    ErrorCode.FLOW_CONTROL_ERROR, f"SETTINGS make the window of stream {stream.id} too large"
                )
            if stream.send_window.open(difference):
                self._state.events.append(WindowOpened(stream.id))

    def _acknowledged(self) -> None:
        state = self._state
        if state.settings_acknowledged:
            state.overhead.spend()
            return
        state.settings_acknowledged = True
        state.initial_window = state.limits.stream_window
        for stream in state.streams.open.values():
            stream.receive_window.retarget(state.initial_window)
            state.reopen(stream, 0)  # what is pending may be enough now, and nothing else would announce it

    def ping(self, flags: int, payload: memoryview) -> None:
        """§6.7: answer, or take the answer."""
        self._state.overhead.spend()
        if flags & ACK:
            self._state.events.append(PingAcknowledged(bytes(payload)))
        else:
            self._state.outbox.ping(bytes(payload), ack=True)

    def goaway(self, payload: memoryview) -> None:
        """§6.8: our streams above the last one that the peer takes were not processed."""
        state = self._state
        state.overhead.spend()
        state.peer_going_away = True
        last, code = int.from_bytes(payload[:4]) & 0x7FFFFFFF, int.from_bytes(payload[4:8])
        state.events.append(GoAwayReceived(last, code, bytes(payload[8:])))
        if state.role is Role.CLIENT:
            for unprocessed in [number for number in state.streams.open if number > last]:
                state.drop(unprocessed, State.RESET_BY_PEER)
                state.events.append(StreamReset(unprocessed, ErrorCode.REFUSED_STREAM, remote=True, retryable=True))

    def window_update(self, increment: int) -> None:
        """§6.9: more may be sent on the connection."""
        if increment == 0:
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0 on the connection")
        window = self._state.send_window
        if not window.fits(increment):
            raise ConnectionViolation(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window grows beyond 2³¹-1")
        if window.open(increment):
            self._state.events.append(WindowOpened(0))
