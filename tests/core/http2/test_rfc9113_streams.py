"""RFC 9113 section by section: the states of streams, their windows, and what makes headers well-formed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tailgate.http2.codes import DATA, HEADERS, RST_STREAM, WINDOW_UPDATE, ErrorCode, Role
from tailgate.http2.connection import Connection
from tailgate.http2.limits import Limits

S, C = Role.SERVER, Role.CLIENT
Step = bytes | Callable[[Connection], object]
Play = Callable[..., str]


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


def block(*fields: tuple[str, str]) -> bytes:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    return b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in encoded)


def headers(*fields: tuple[str, str], end: bool = False, on: int = 1) -> bytes:
    return frame(HEADERS, 4 + end, on, block(*fields))


def data(content: bytes = b"", *, end: bool = False, on: int = 1) -> bytes:
    return frame(DATA, int(end), on, content)


def rst(on: int = 1, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, on, code.to_bytes(4))


def update(increment: int, on: int = 1) -> bytes:
    return frame(WINDOW_UPDATE, 0, on, increment.to_bytes(4))


def window(size: int) -> bytes:
    return frame(4, 0, 0, b"\0\4" + size.to_bytes(4))


def answer(connection: Connection) -> None:
    connection.send_headers(1, [(b":status", b"200")], end_stream=True)


def finish(connection: Connection) -> None:
    connection.send_data(1, b"", end_stream=True)


def cancel(connection: Connection) -> None:
    connection.reset(1, ErrorCode.CANCEL)


FIELDS = (":method", "POST"), (":scheme", "http"), (":path", "/s/m")
OPEN, ASK = headers(*FIELDS), headers(*FIELDS, end=True)
OK, OK_END = headers((":status", "200")), headers((":status", "200"), end=True)
TRAILERS = headers(("grpc-status", "0"), end=True)
FULL = 2**31 - 1 - 65_535

# A table: section and case, our role, what comes in or is called, what we say (lower case) and send. A client has
# opened stream 1 with headers, and not ended it.
# fmt: off
STATES: list[tuple[str, Role, list[Step], str]] = [
    # -- 5.1: states -----------------------------------------------------------------------------------------------
    ("5.1 idle: DATA", S, [data(b"x")], "dies PROTOCOL_ERROR 0"),
    ("5.1 idle: RST_STREAM", S, [rst()], "dies PROTOCOL_ERROR 0"),
    ("5.1 idle: WINDOW_UPDATE", S, [update(1)], "dies PROTOCOL_ERROR 0"),
    ("5.1 idle: DATA", C, [data(b"x", on=3)], "dies PROTOCOL_ERROR 0"),
    ("5.1 idle: RST_STREAM", C, [rst(on=3)], "dies PROTOCOL_ERROR 0"),
    ("5.1 idle: WINDOW_UPDATE", C, [update(1, on=2)], "dies PROTOCOL_ERROR 0"),
    ("5.1 open: DATA and trailers", S, [OPEN, data(b"abc"), TRAILERS], "request 1; data 1 abc; trailers 1 end"),
    ("5.1 open: response, DATA, trailers", C, [OK, data(b"abc"), TRAILERS], "response 1; data 1 abc; trailers 1 end"),
    ("5.1 open: RST_STREAM", S, [OPEN, rst()], "request 1; reset 1 CANCEL by peer"),
    ("5.1 half-closed (remote): DATA", S, [ASK, data(b"x")],
     "request 1 end; reset 1 STREAM_CLOSED by us; RST_STREAM 1 STREAM_CLOSED"),
    ("5.1 half-closed (remote): HEADERS", S, [ASK, TRAILERS],
     "request 1 end; reset 1 STREAM_CLOSED by us; RST_STREAM 1 STREAM_CLOSED"),
    ("5.1 half-closed (remote): DATA", C, [OK_END, data(b"x")],
     "response 1 end; reset 1 STREAM_CLOSED by us; RST_STREAM 1 STREAM_CLOSED"),
    ("5.1 half-closed (remote): WINDOW_UPDATE", S, [ASK, update(1)], "request 1 end"),
    ("5.1 half-closed (remote): RST_STREAM", S, [ASK, rst()], "request 1 end; reset 1 CANCEL by peer"),
    ("5.1 half-closed (local): response", C, [finish, OK_END], "DATA 1 end; response 1 end"),
    ("5.1 half-closed (local): DATA", S, [OPEN, answer, data(b"x", end=True)],
     "request 1; HEADERS 1 end; data 1 x end"),
    ("5.1 closed by both: DATA", S, [ASK, answer, data(b"x")],
     "request 1 end; HEADERS 1 end; dies STREAM_CLOSED 1"),
    ("5.1 closed by both: HEADERS", S, [ASK, answer, OPEN], "request 1 end; HEADERS 1 end; dies STREAM_CLOSED 1"),
    ("5.1 closed by both: DATA", C, [finish, OK_END, data(b"x")],
     "DATA 1 end; response 1 end; dies STREAM_CLOSED 0"),
    ("5.1 closed by both: WINDOW_UPDATE", S, [ASK, answer, update(1)], "request 1 end; HEADERS 1 end"),
    ("5.1 closed by both: RST_STREAM", S, [ASK, answer, rst()], "request 1 end; HEADERS 1 end"),
    ("5.1 closed by both, then reset by the peer: HEADERS, as Triton sends them", C,
     [finish, OK_END, rst(), OK_END, rst(), OK_END], "DATA 1 end; response 1 end; RST_STREAM 1 STREAM_CLOSED"),
    ("5.1 reset by us: all is ignored", S, [OPEN, cancel, data(b"x"), update(1), TRAILERS, rst()],
     "request 1; RST_STREAM 1 CANCEL"),
    ("5.1 reset by us: all is ignored", C, [cancel, OK, data(b"x"), update(1), TRAILERS], "RST_STREAM 1 CANCEL"),
    ("5.1 reset by the peer: DATA", S, [OPEN, rst(), data(b"x")],
     "request 1; reset 1 CANCEL by peer; RST_STREAM 1 STREAM_CLOSED"),
    ("5.1 reset by the peer: HEADERS", S, [OPEN, rst(), TRAILERS],
     "request 1; reset 1 CANCEL by peer; RST_STREAM 1 STREAM_CLOSED"),
    ("5.1 reset by the peer: RST_STREAM, WINDOW_UPDATE", S, [OPEN, rst(), rst(), update(1)],
     "request 1; reset 1 CANCEL by peer"),
    ("5.1.1 an even number", S, [headers(*FIELDS, on=2)], "dies PROTOCOL_ERROR 0"),
    ("5.1.1 a number that was left out", S, [headers(*FIELDS, on=5), headers(*FIELDS, on=3)],
     "request 5; dies PROTOCOL_ERROR 5"),
    ("5.1.1 numbers may be left out", S, [headers(*FIELDS, on=5), headers(*FIELDS, on=9)], "request 5; request 9"),
    ("5.1.1 a server opens a stream", C, [headers(*FIELDS, on=2)], "dies PROTOCOL_ERROR 0"),
    ("5.1.1 a server answers what was not asked", C, [headers((":status", "200"), on=3)], "dies PROTOCOL_ERROR 0"),
    # -- 6.1, 6.2, 6.4: DATA, HEADERS, RST_STREAM ------------------------------------------------------------------
    ("6.1 DATA on stream 0", S, [data(b"x", on=0)], "dies PROTOCOL_ERROR 0"),
    ("6.1 padding is no content", S, [OPEN, frame(DATA, 9, 1, b"\3abc\0\0\0")], "request 1; data 1 abc end"),
    ("6.1 nothing but padding", S, [OPEN, frame(DATA, 8, 1, b"\2\0\0"), data(b"x")], "request 1; data 1 x"),
    ("6.1 nothing but padding ends a stream", C, [OK, frame(DATA, 9, 1, b"\2\0\0")], "response 1; data 1  end"),
    ("6.1 padding longer than the frame", S, [OPEN, frame(DATA, 8, 1, b"\4abc")], "request 1; dies PROTOCOL_ERROR 1"),
    ("6.1 padded, and empty", S, [OPEN, frame(DATA, 8, 1)], "request 1; dies FRAME_SIZE_ERROR 1"),
    ("6.1 empty DATA is not told", S, [OPEN, data(), data(), data(b"x")], "request 1; data 1 x"),
    ("6.2 HEADERS on stream 0", S, [headers(*FIELDS, on=0)], "dies PROTOCOL_ERROR 0"),
    ("6.2 padding and priority are no headers", S,
     [frame(HEADERS, 0x2C, 1, b"\2" + b"\0\0\0\0\x10" + block(*FIELDS) + b"\0\0")], "request 1"),
    ("6.2 padding longer than the frame", S, [frame(HEADERS, 0xC, 1, b"\x20" + block(*FIELDS[:1]))],
     "dies PROTOCOL_ERROR 0"),
    ("6.2 too short for its priority", S, [frame(HEADERS, 0x24, 1, b"\0\0\0\0")], "dies PROTOCOL_ERROR 0"),
    ("6.2 padded, and empty", S, [frame(HEADERS, 0xC, 1)], "dies PROTOCOL_ERROR 0"),
    ("6.4 RST_STREAM on stream 0", S, [rst(on=0)], "dies PROTOCOL_ERROR 0"),
    ("6.4 RST_STREAM of another length", S, [OPEN, frame(RST_STREAM, 0, 1, bytes(3))],
     "request 1; dies FRAME_SIZE_ERROR 1"),
    ("6.4 RST_STREAM with an unknown code", S, [OPEN, rst(code=99)], "request 1; reset 1 99 by peer"),
    ("8.7 REFUSED_STREAM may be tried again", C, [rst(code=7)], "reset 1 REFUSED_STREAM by peer retryable"),
    ("5.1.2 more streams than are allowed", S, [b"".join(headers(*FIELDS, on=on) for on in (1, 3, 5, 7))],
     "request 1; request 3; RST_STREAM 5 REFUSED_STREAM; RST_STREAM 7 REFUSED_STREAM"),
    ("5.1.2 a stream that ended makes room", S, [ASK, headers(*FIELDS, on=3), answer, headers(*FIELDS, on=5)],
     "request 1 end; request 3; HEADERS 1 end; request 5"),
    # -- 6.9: windows of streams -----------------------------------------------------------------------------------
    ("6.9 WINDOW_UPDATE of 0", S, [OPEN, update(0)],
     "request 1; reset 1 PROTOCOL_ERROR by us; RST_STREAM 1 PROTOCOL_ERROR"),
    ("6.9.1 a window grows up to 2^31-1", C, [update(FULL)], ""),
    ("6.9.1 a window grows beyond 2^31-1", S, [OPEN, update(FULL + 1)],
     "request 1; reset 1 FLOW_CONTROL_ERROR by us; RST_STREAM 1 FLOW_CONTROL_ERROR"),
    ("6.9.1 DATA beyond the window of the stream", S, [OPEN, data(bytes(90)), data(b"x" * 11)],
     f"request 1; data 1 {bytes(90).decode()}; reset 1 FLOW_CONTROL_ERROR by us; RST_STREAM 1 FLOW_CONTROL_ERROR"),
    ("6.9.1 padding counts", C, [OK, frame(DATA, 8, 1, b"\x64" + bytes(100))],
     "response 1; reset 1 FLOW_CONTROL_ERROR by us; RST_STREAM 1 FLOW_CONTROL_ERROR"),
    ("6.9.2 another initial window moves those of streams", C,
     [window(10), lambda c: c.send_data(1, bytes(50)), window(11)],
     "settings; SETTINGS ack; DATA 1; window 1; settings; SETTINGS ack"),
    ("6.9.2 windows below zero are waited for", C,
     [lambda c: c.send_data(1, bytes(100)), window(50), update(50), lambda c: c.send_data(1, b"x"), update(1)],
     "DATA 1; settings; SETTINGS ack; window 1"),
    ("6.9.2 SETTINGS make a window too large", C, [update(FULL), window(65_536)], "dies FLOW_CONTROL_ERROR 0"),
    # -- 8.1: order of a message -----------------------------------------------------------------------------------
    ("8.1 DATA before a response", C, [data(b"x")],
     "reset 1 PROTOCOL_ERROR by us; RST_STREAM 1 PROTOCOL_ERROR"),
    ("8.1 informational responses come first", C,
     [headers((":status", "100")), headers((":status", "103")), OK_END],
     "informational 1; informational 1; response 1 end"),
    ("8.1 an informational response that ends", C, [headers((":status", "100"), end=True)],
     "reset 1 PROTOCOL_ERROR by us; RST_STREAM 1 PROTOCOL_ERROR"),
    ("8.1 trailers that do not end", C, [OK, headers(("x", "y"))],
     "response 1; reset 1 PROTOCOL_ERROR by us; RST_STREAM 1 PROTOCOL_ERROR"),
    ("8.1 trailers only", C, [headers((":status", "200"), ("grpc-status", "5"), end=True)], "response 1 end"),
    ("8.6 switching protocols", C, [headers((":status", "101"))],
     "reset 1 PROTOCOL_ERROR by us; RST_STREAM 1 PROTOCOL_ERROR"),
]

# What makes a request malformed, instead of, or beside, its usual fields.
MALFORMED_REQUESTS: list[tuple[str, list[tuple[str, str]]]] = [
    ("8.2.1 an upper-case name", [*FIELDS, ("X-Y", "z")]),
    ("8.2.1 an empty name", [*FIELDS, ("", "z")]),
    ("8.2.1 a space in a name", [*FIELDS, ("x y", "z")]),
    ("8.2.1 a colon in a name", [*FIELDS, ("x:y", "z")]),
    ("8.2.1 a control character in a name", [*FIELDS, ("x\x7f", "z")]),
    ("8.2.1 NUL in a value", [*FIELDS, ("x", "a\0b")]),
    ("8.2.1 CR in a value", [*FIELDS, ("x", "a\rb")]),
    ("8.2.1 LF in a value", [*FIELDS, ("x", "a\nb")]),
    ("8.2.1 LF at a value's end", [*FIELDS, ("x", "a\n")]),
    ("8.2.1 a space before a value", [*FIELDS, ("x", " a")]),
    ("8.2.1 a tab after a value", [*FIELDS, ("x", "a\t")]),
    ("8.2.1 LF in :path", [*FIELDS[:2], (":path", "/a\nb")]),
    ("8.2.2 connection", [*FIELDS, ("connection", "close")]),
    ("8.2.2 proxy-connection", [*FIELDS, ("proxy-connection", "close")]),
    ("8.2.2 keep-alive", [*FIELDS, ("keep-alive", "1")]),
    ("8.2.2 transfer-encoding", [*FIELDS, ("transfer-encoding", "chunked")]),
    ("8.2.2 upgrade", [*FIELDS, ("upgrade", "h2c")]),
    ("8.2.2 te other than trailers", [*FIELDS, ("te", "gzip")]),
    ("8.3 an unknown pseudo-field", [*FIELDS, (":what", "x")]),
    ("8.3 a pseudo-field of a response", [*FIELDS, (":status", "200")]),
    ("8.3 a pseudo-field after a field", [*FIELDS[:2], ("x", "y"), FIELDS[2]]),
    ("8.3 a pseudo-field twice", [*FIELDS, (":path", "/s/m")]),
    ("8.3.1 no :method", [*FIELDS[1:]]),
    ("8.3.1 no :scheme", [FIELDS[0], FIELDS[2]]),
    ("8.3.1 no :path", [*FIELDS[:2]]),
    ("8.3.1 nothing", []),
    ("8.3.1 an empty :path", [*FIELDS[:2], (":path", "")]),
    ("8.3.1 a relative :path", [*FIELDS[:2], (":path", "s/m")]),
    ("8.3.1 host against :authority", [*FIELDS, (":authority", "a"), ("host", "b")]),
    ("8.4 :protocol, which we do not offer", [*FIELDS, (":protocol", "websocket")]),
    ("8.5 CONNECT with :path", [(":method", "CONNECT"), (":authority", "h"), (":path", "/")]),
    ("8.5 CONNECT without :authority", [(":method", "CONNECT")]),
    ("8.1.1 content-length is no number", [*FIELDS, ("content-length", "+1")]),
    ("8.1.1 content-length of 19 digits", [*FIELDS, ("content-length", "0" * 19)]),
    ("8.1.1 content-length twice, and different", [*FIELDS, ("content-length", "0"), ("content-length", "1")]),
    ("8.1.1 content-length of a request without a body", [*FIELDS, ("content-length", "1")]),
]
WELL_FORMED_REQUESTS: list[tuple[str, list[tuple[str, str]]]] = [
    ("8.2.1 bytes beyond ASCII in a value", [*FIELDS, ("x", "é\x01")]),
    ("8.2.1 an empty value", [*FIELDS, ("x", "")]),
    ("8.2.2 te: trailers", [*FIELDS, ("te", "trailers")]),
    ("8.3.1 OPTIONS *", [(":method", "OPTIONS"), (":scheme", "http"), (":path", "*")]),
    ("8.3.1 host like :authority", [*FIELDS, (":authority", "a"), ("host", "a")]),
    ("8.5 CONNECT", [(":method", "CONNECT"), (":authority", "h:1")]),
    ("8.1.1 content-length twice, and equal", [*FIELDS, ("content-length", "0"), ("content-length", "0")]),
]
MALFORMED_RESPONSES: list[tuple[str, list[tuple[str, str]]]] = [
    ("8.3.2 no :status", [("x", "y")]),
    ("8.3.2 :status twice", [(":status", "200"), (":status", "200")]),
    ("8.3.2 :status of two digits", [(":status", "20")]),
    ("8.3.2 :status above 599", [(":status", "600")]),
    ("8.3.2 a pseudo-field of a request", [(":status", "200"), (":path", "/")]),
    ("8.2.2 connection", [(":status", "200"), ("connection", "close")]),
    ("8.1.1 content-length without a body", [(":status", "200"), ("content-length", "1")]),
]
BODIES: list[tuple[str, int, list[Step], str]] = [
    ("as long as its content-length", 3, [data(b"ab") + data(b"c", end=True)], "data 1 abc end"),
    ("of its content-length, then trailers", 3, [data(b"abc"), TRAILERS], "data 1 abc; trailers 1 end"),
    ("longer than its content-length", 3, [data(b"abcd")], "PROTOCOL_ERROR"),
    ("shorter than its content-length", 3, [data(b"ab", end=True)], "PROTOCOL_ERROR"),
    ("shorter than its content-length, then trailers", 3, [TRAILERS], "PROTOCOL_ERROR"),
]
# fmt: on
SPOILERS = [case for case in MALFORMED_REQUESTS if case[0].startswith("8.2") and case[1][:3] == [*FIELDS]]
SMALL = Limits(max_concurrent_streams=2, stream_window=100)
SPOILT = "reset 1 PROTOCOL_ERROR by us; RST_STREAM 1 PROTOCOL_ERROR"


@pytest.mark.parametrize(
    ("section", "role", "steps", "expected"), STATES, ids=[f"{c[0]} ({c[1].name})" for c in STATES]
)
def test_a_stream_does_what_the_standard_says(
    play: Play, section: str, role: Role, steps: Sequence[Step], expected: str
) -> None:
    assert play(role, steps, SMALL, as_cut="DATA beyond" in section) == expected


@pytest.mark.parametrize("fields", [c[1] for c in MALFORMED_REQUESTS], ids=[c[0] for c in MALFORMED_REQUESTS])
def test_a_malformed_request_costs_its_stream_and_is_not_told(play: Play, fields: list[tuple[str, str]]) -> None:
    assert play(S, [headers(*fields, end=True)]) == "RST_STREAM 1 PROTOCOL_ERROR"


@pytest.mark.parametrize("fields", [c[1] for c in WELL_FORMED_REQUESTS], ids=[c[0] for c in WELL_FORMED_REQUESTS])
def test_a_request_may_be_unusual(play: Play, fields: list[tuple[str, str]]) -> None:
    assert play(S, [headers(*fields, end=True)]) == "request 1 end"


@pytest.mark.parametrize("fields", [c[1] for c in MALFORMED_RESPONSES], ids=[c[0] for c in MALFORMED_RESPONSES])
def test_a_malformed_response_costs_its_stream(play: Play, fields: list[tuple[str, str]]) -> None:
    assert play(C, [headers(*fields, end=True)]) == SPOILT


@pytest.mark.parametrize("fields", [c[1][3:] for c in SPOILERS], ids=[c[0] for c in SPOILERS])
def test_malformed_trailers_cost_their_stream(play: Play, fields: list[tuple[str, str]]) -> None:
    assert play(S, [OPEN, headers(*fields, end=True)]) == f"request 1; {SPOILT}"


def test_trailers_have_no_pseudo_fields(play: Play) -> None:
    assert play(C, [OK, headers((":status", "200"), end=True)]) == f"response 1; {SPOILT}"


@pytest.mark.parametrize(("body", "length", "steps", "expected"), BODIES, ids=[c[0] for c in BODIES])
def test_a_body_is(play: Play, body: str, length: int, steps: Sequence[Step], expected: str) -> None:
    request = headers(*FIELDS, ("content-length", str(length)))
    found = play(S, [request, *steps], as_cut=expected == "PROTOCOL_ERROR")
    assert found.startswith("request 1; ")
    if expected == "PROTOCOL_ERROR":
        assert found.endswith(SPOILT)
    else:
        assert found == f"request 1; {expected}"
