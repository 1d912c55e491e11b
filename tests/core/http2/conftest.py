"""What the tests of HTTP/2 share: a connection of ours played against given bytes, and what it did, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import pytest
from hyperframe.frame import (
    Frame,
    GoAwayFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tailgate.http2 import events
from tailgate.http2.codes import PREFACE, ErrorCode, Role
from tailgate.http2.connection import Connection
from tailgate.http2.limits import DEFAULT_LIMITS, Limits

Step = bytes | Callable[[Connection], object]
Play = Callable[..., str]

SETTINGS, SETTINGS_ACK = bytes.fromhex("000000 04 00 00000000"), bytes.fromhex("000000 04 01 00000000")
PING, PING_ACK = bytes.fromhex("000008 06 00 00000000") + b"are you?", "PING ack are you?"
DEATH = re.compile(r"terminated (\w+); GOAWAY (\d+) \1")
REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b":authority", b"h"))


def code_name(code: int) -> str:
    return ErrorCode(code).name if code in ErrorCode.__members__.values() else str(code)


def event_in_words(event: events.Event) -> str:
    match event:
        case events.HeadersReceived(number, _, end, kind):
            words = f"{kind.name.lower()} {number}{' end' if end else ''}"
        case events.DataReceived(number, data, end):
            words = f"data {number} {bytes(data).decode('latin-1')}{' end' if end else ''}"
        case events.StreamReset(number, code, remote, retryable):
            who = "peer" if remote else "us"
            words = f"reset {number} {code_name(code)} by {who}{' retryable' if retryable else ''}"
        case events.WindowOpened(number):
            words = f"window {number}"
        case events.PingAcknowledged(payload):
            words = f"pong {payload.decode()}"
        case events.GoAwayReceived(last, code, debug):
            words = f"going away {last} {code_name(code)} {debug.decode()}".strip()
        case events.ConnectionTerminated(code, reason):
            assert reason
            words = f"terminated {code_name(code)}"
        case events.SettingsChanged():
            words = "settings"
    return words


def frame_in_words(frame: Frame) -> str:
    match frame:
        case RstStreamFrame():
            return f"RST_STREAM {frame.stream_id} {code_name(frame.error_code)}"
        case GoAwayFrame():
            return f"GOAWAY {frame.last_stream_id} {code_name(frame.error_code)}"
        case WindowUpdateFrame():
            return f"WINDOW_UPDATE {frame.stream_id} {frame.window_increment}"
        case PingFrame():
            return f"PING {'ack ' if 'ACK' in frame.flags else ''}{frame.opaque_data.decode()}"
        case SettingsFrame():
            return f"SETTINGS{' ack' if 'ACK' in frame.flags else ''}"
        case _:
            end = " end" if "END_STREAM" in frame.flags else ""
            return f"{type(frame).__name__.removesuffix('Frame').upper()} {frame.stream_id}{end}"


def parse(data: bytes) -> list[Frame]:
    """Frames, read by hyperframe."""
    view, found = memoryview(data), []
    while view:
        frame, length = Frame.parse_frame_header(view[:9])
        frame.parse_body(view[9 : 9 + length])
        view = view[9 + length :]
        found.append(frame)
    return found


def merged(said: Iterable[events.Event]) -> list[str]:
    """In words; pieces of one body that follow on one another as one piece."""
    words: list[str] = []
    for is_data, group in groupby(said, key=lambda event: isinstance(event, events.DataReceived)):
        if not is_data:
            words += map(event_in_words, group)
            continue
        for number, pieces in groupby(group, key=lambda event: event.stream_id):  # type: ignore[union-attr]  # data only
            parts = list(pieces)
            content = b"".join(bytes(part.data) for part in parts)  # type: ignore[union-attr]  # data only
            words.append(event_in_words(events.DataReceived(number, memoryview(content), parts[-1].end_stream)))  # type: ignore[union-attr]  # data only
    return words


def play_once(role: Role, steps: Sequence[Step], limits: Limits, chunk: int, *, prelude: bool) -> list[str]:
    connection = Connection(role, limits)
    connection.data_to_send()
    words: list[str] = []
    if prelude:
        connection.receive((PREFACE if role is Role.SERVER else b"") + SETTINGS + SETTINGS_ACK)
        if role is Role.CLIENT:
            connection.open_stream(REQUEST)
        connection.data_to_send()
    for step in steps:
        if isinstance(step, bytes):
            said: list[events.Event] = []
            for at in range(0, len(step), chunk):
                said += connection.receive(step[at : at + chunk])
            words += merged(said)
        else:
            step(connection)
        words += map(frame_in_words, parse(connection.data_to_send()))
    if not connection.terminated:
        connection.receive(PING)
        assert [frame_in_words(frame) for frame in parse(connection.data_to_send())][-1:] == [PING_ACK]
    else:
        assert connection.receive(PING) == []
        assert connection.data_to_send() == b""
    return words


@pytest.fixture(scope="session")
def play() -> Play:
    """Plays bytes that come in, and calls of methods, to a connection; returns what it said (in lower case) and sent.

    "dies CODE LAST" stands for the event and the GOAWAY that end a connection.

    The bytes come whole, and byte by byte, which must be the same, unless it is told `as_cut` (a body is handed on as
    it comes, so what spoils it may come later). Afterwards the connection must still answer, or be over. A client has
    opened stream 1 beforehand.
    """

    def run(
        role: Role,
        steps: Sequence[Step],
        limits: Limits = DEFAULT_LIMITS,
        *,
        prelude: bool = True,
        as_cut: bool = False,
    ) -> str:
        whole = play_once(role, steps, limits, 1 << 30, prelude=prelude)
        assert as_cut or play_once(role, steps, limits, 1, prelude=prelude) == whole
        return DEATH.sub(r"dies \1 \2", "; ".join(whole))

    return run


class Pair:
    """A client and a server; `exchange` carries all there is both ways, and returns what was said."""

    def __init__(self, client: Limits | None = None, server: Limits | None = None) -> None:
        self.client = Connection(Role.CLIENT, client or Limits())
        self.server = Connection(Role.SERVER, server or Limits())

    def exchange(self) -> list[events.Event]:
        said: list[events.Event] = []
        while True:
            there, back = self.client.data_to_send(), self.server.data_to_send()
            if not there and not back:
                return said
            said += self.server.receive(there) + self.client.receive(back)


@pytest.fixture(scope="session")
def pair_of() -> Callable[..., Pair]:
    """Makes a pair, with limits for its client or its server; nothing has been exchanged."""
    return Pair


@pytest.fixture
def pair() -> Pair:
    """A pair that has exchanged its settings."""
    made = Pair()
    made.exchange()
    return made
