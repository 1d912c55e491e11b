"""An application on top of a connection, which does what the fuzzer chooses, by the rules of `Connection`."""

from __future__ import annotations

from typing import Final

from fuzz._input import Input
from fuzz._watcher import Watcher
from tailgate.http2.codes import MAX_STREAM_ID, ErrorCode, Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import Headers

REQUEST: Final[Headers] = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/s/m"),
    (b":authority", b"a"),
    (b"te", b"trailers"),
)
RESPONSE: Final[Headers] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
INFORMATIONAL: Final[Headers] = ((b":status", b"100"),)
TRAILERS: Final[Headers] = ((b"grpc-status", b"0"),)
_MOST_OPENED: Final = 64


class Application:
    """One end's."""

    def __init__(self, connection: Connection, role: Role, watcher: Watcher) -> None:
        """Before the first move."""
        self._connection = connection
        self._role = role
        self._watcher = watcher

    def move(self, choices: Input) -> None:
        """Do one thing. Nothing that the rules allow raises anything."""
        moves = (
            self._send_headers,
            self._send_data,
            self._acknowledge,
            self._open,
            self._reset,
            self._touch_what_is_gone,
            self._tend,
        )
        choices.pick(moves)(choices)
        if not self._watcher.terminated:
            assert self._connection.open_streams == len(self._watcher.open)

    def _open(self, _choices: Input) -> None:
        if self._connection.can_open and len(self._watcher.open) < _MOST_OPENED:
            self._watcher.opened(self._connection.open_stream(REQUEST))

    def _chosen(self, choices: Input) -> int | None:
        numbers = list(self._watcher.open)
        return choices.pick(numbers) if numbers else None

    def _send_headers(self, choices: Input) -> None:
        number = self._chosen(choices)
        if number is None or not self._watcher.open[number].sending:
            return
        seen, how = self._watcher.open[number], choices.byte()
        if seen.headers_sent:
            self._connection.send_headers(number, TRAILERS, end_stream=True)
            seen.sending = False
        elif how % 4 == 0:
            self._connection.send_headers(number, INFORMATIONAL)
        else:
            seen.headers_sent, seen.sending = True, how % 4 != 1
            self._connection.send_headers(number, RESPONSE, end_stream=not seen.sending)
        self._watcher.settle(number)

    def _send_data(self, choices: Input) -> None:
        number = self._chosen(choices)
        if number is None:
            return
        seen = self._watcher.open[number]
        if not (seen.sending and seen.headers_sent):
            return
        body, end = bytes(choices.byte() * 300), choices.byte() % 2 == 1
        room = self._connection.send_window(number)
        taken = self._connection.send_data(number, body, end_stream=end)
        assert taken == min(len(body), room)
        if end and taken == len(body):
            seen.sending = False
            self._watcher.settle(number)

    def _acknowledge(self, choices: Input) -> None:
        watcher = self._watcher
        for number, seen in watcher.open.items():
            count = seen.held if choices.byte() % 2 else seen.held // 2
            seen.held -= count
            self._connection.acknowledge(number, count)
        for number, held in watcher.ended_held.items():
            self._connection.acknowledge(number, held)
        watcher.ended_held.clear()

    def _reset(self, choices: Input) -> None:
        number = self._chosen(choices)
        if number is not None:
            self._connection.reset(number, choices.pick(list(ErrorCode)))
            self._watcher.drop(number)

    def _touch_what_is_gone(self, choices: Input) -> None:
        """What is sent on a stream that is gone is dropped; it is no fault of the caller."""
        if not self._watcher.gone:
            return
        number = self._watcher.gone[-1 - choices.byte() % min(len(self._watcher.gone), 256)]
        assert self._connection.send_data(number, b"late", end_stream=True) == len(b"late")
        assert self._connection.send_window(number) == 0
        self._connection.send_headers(number, TRAILERS, end_stream=True)
        if number not in self._watcher.ended_held:
            self._connection.acknowledge(number, 100)
        self._connection.reset(number)
        self._watcher.ended_held.pop(number, None)

    def _tend(self, choices: Input) -> None:
        match choices.byte() % 4:
            case 0:
                self._connection.ping()
            case 1:
                self._connection.forgive()
            case 2:
                self._connection.go_away(last_stream_id=MAX_STREAM_ID)
            case _ if self._role is Role.SERVER and choices.byte() > 200:
                self._connection.go_away()
