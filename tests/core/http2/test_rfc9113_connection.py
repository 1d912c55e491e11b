"""RFC 9113 section by section: starting, frames, settings, ping, going away, the connection's window."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tailgate.http2.codes import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    MAX_STREAM_ID,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    SETTINGS,
    WINDOW_UPDATE,
    Role,
)
from tailgate.http2.connection import Connection

S, C = Role.SERVER, Role.CLIENT
Step = bytes | Callable[[Connection], object]
Play = Callable[..., str]


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


def setting(identifier: int, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, identifier.to_bytes(2) + value.to_bytes(4))


def block(*fields: tuple[str, str]) -> bytes:
    return b"".join(b"\0" + b"".join(bytes((len(part),)) + part.encode() for part in field) for field in fields)


def update(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4))


REQUEST = block((":method", "POST"), (":scheme", "http"), (":path", "/s/m"))
OPEN = frame(HEADERS, 4, 1, REQUEST)
RESPONSE = frame(HEADERS, 4, 1, block((":status", "200")))
FULL = MAX_STREAM_ID - 65_535  # what the connection's window, or a stream's, can still grow

# A table: section and case, our role, what comes in or is called, what we say (lower case) and send.
# fmt: off
STARTING: list[tuple[str, Role, list[Step], str]] = [
    ("3.4 the preface and SETTINGS", S, [PREFACE + frame(4, 0, 0)], "settings; SETTINGS ack"),
    ("3.4 another preface", S, [b"PRI * HTTP/2.0\r\n\r\nXM"], "dies PROTOCOL_ERROR 0"),
    ("3.4 an HTTP/1 request", S, [b"GET / HTTP/1.1\r\n"], "dies PROTOCOL_ERROR 0"),
    ("3.4 a TLS handshake", S, [b"\x16\x03\x01"], "dies PROTOCOL_ERROR 0"),
    ("3.4 PING first", S, [PREFACE + frame(6, 0, 0, bytes(8))], "dies PROTOCOL_ERROR 0"),
    ("3.4 an acknowledgement first", C, [frame(4, 1, 0)], "dies PROTOCOL_ERROR 0"),
    ("3.4 a server's SETTINGS", C, [frame(4, 0, 0)], "settings; SETTINGS ack"),
    ("3.4 an HTTP/1 response", C, [b"HTTP/1.1 400 Bad Request\r\n"], "dies PROTOCOL_ERROR 0"),
]
CASES: list[tuple[str, Role, list[Step], str]] = [
    # -- 4.1, 4.2: the frame ---------------------------------------------------------------------------------------
    ("4.1 an unknown type is ignored", S, [frame(0x16, 0xFF, 0, b"what")], ""),
    ("4.1 an unknown type on a stream is ignored", S, [frame(0x16, 0, 7, bytes(20_000))], ""),
    ("4.1 unknown flags are ignored", S, [frame(PING, 0xF0, 0, b"12345678")], "PING ack 12345678"),
    ("4.1 the reserved bit is ignored", S, [frame(PING, 0, 1 << 31, b"12345678")], "PING ack 12345678"),
    ("4.2 DATA beyond the maximum", S, [OPEN, bytes.fromhex("040001 00 00 00000001")],
     "request 1; dies FRAME_SIZE_ERROR 1"),
    ("4.2 HEADERS beyond the maximum", S, [bytes.fromhex("ffffff 01 04 00000001")], "dies FRAME_SIZE_ERROR 0"),
    ("4.2 SETTINGS beyond the maximum", C, [bytes.fromhex("ffffff 04 00 00000000")], "dies FRAME_SIZE_ERROR 0"),
    ("4.2 an unknown type beyond the maximum", S, [bytes.fromhex("ffffff 16 00 00000000")], "dies FRAME_SIZE_ERROR 0"),
    # -- 4.3: header blocks ----------------------------------------------------------------------------------------
    ("4.3 a block that is no HPACK", S, [frame(HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff")],
     "dies COMPRESSION_ERROR 0"),
    ("4.3 a block in a response that is no HPACK", C, [frame(HEADERS, 4, 1, b"\x80")], "dies COMPRESSION_ERROR 0"),
    ("4.3 a block cut within a field", S, [frame(HEADERS, 4, 1, REQUEST[:-1])], "dies COMPRESSION_ERROR 0"),
    ("4.3 PRIORITY within a block", S, [frame(HEADERS, 0, 1, REQUEST) + frame(PRIORITY, 0, 1, bytes(5))],
     "dies PROTOCOL_ERROR 0"),
    ("4.3 an unknown type within a block", S, [frame(HEADERS, 0, 1, REQUEST) + frame(0x16, 0, 1)],
     "dies PROTOCOL_ERROR 0"),
    ("4.3 HEADERS of another stream within a block", S, [frame(HEADERS, 0, 1, REQUEST) + frame(HEADERS, 4, 3, REQUEST)],
     "dies PROTOCOL_ERROR 0"),
    # -- 6.3: PRIORITY ---------------------------------------------------------------------------------------------
    ("6.3 PRIORITY is ignored", S, [frame(PRIORITY, 0, 1, bytes(5))], ""),
    ("6.3 PRIORITY on a stream nobody opened is ignored", S, [frame(PRIORITY, 0, 8, bytes(5))], ""),
    ("6.3 PRIORITY after the stream's end is ignored", C,
     [RESPONSE, frame(DATA, 1, 1), frame(PRIORITY, 0, 1, bytes(5))], "response 1; data 1  end"),
    ("6.3 PRIORITY on stream 0", S, [frame(PRIORITY, 0, 0, bytes(5))], "dies PROTOCOL_ERROR 0"),
    ("6.3 PRIORITY of another length", S, [frame(PRIORITY, 0, 1, bytes(4))], "dies FRAME_SIZE_ERROR 0"),
    # -- 6.5: SETTINGS ---------------------------------------------------------------------------------------------
    ("6.5 SETTINGS are acknowledged", S, [setting(4, 1)], "settings; SETTINGS ack"),
    ("6.5 an acknowledgement with content", S, [frame(SETTINGS, 1, 0, bytes(6))], "dies FRAME_SIZE_ERROR 0"),
    ("6.5 SETTINGS on a stream", S, [frame(SETTINGS, 0, 1)], "dies PROTOCOL_ERROR 0"),
    ("6.5 SETTINGS of another length", C, [frame(SETTINGS, 0, 0, bytes(7))], "dies FRAME_SIZE_ERROR 0"),
    ("6.5 a second acknowledgement is ignored", S, [frame(SETTINGS, 1, 0)], ""),
    ("6.5.2 an unknown setting is ignored", S, [setting(0xFF, 1)], "settings; SETTINGS ack"),
    ("6.5.2 ENABLE_PUSH of 2", S, [setting(2, 2)], "dies PROTOCOL_ERROR 0"),
    ("6.5.2 ENABLE_PUSH of a client", S, [setting(2, 1)], "settings; SETTINGS ack"),
    ("6.5.2 ENABLE_PUSH of a server", C, [setting(2, 1)], "dies PROTOCOL_ERROR 0"),
    ("6.5.2 ENABLE_PUSH of a server, off", C, [setting(2, 0)], "settings; SETTINGS ack"),
    ("6.5.2 INITIAL_WINDOW_SIZE of 2^31", S, [setting(4, 1 << 31)], "dies FLOW_CONTROL_ERROR 0"),
    ("6.5.2 MAX_FRAME_SIZE below 2^14", S, [setting(5, (1 << 14) - 1)], "dies PROTOCOL_ERROR 0"),
    ("6.5.2 MAX_FRAME_SIZE above 2^24-1", C, [setting(5, 1 << 24)], "dies PROTOCOL_ERROR 0"),
    ("6.5.2 MAX_FRAME_SIZE at its bounds", S, [setting(5, 1 << 14), setting(5, (1 << 24) - 1)],
     "settings; SETTINGS ack; settings; SETTINGS ack"),
    # -- 6.6, 8.4: push --------------------------------------------------------------------------------------------
    ("6.6 PUSH_PROMISE of a server", C, [frame(PUSH_PROMISE, 4, 1, bytes(4) + REQUEST)], "dies PROTOCOL_ERROR 0"),
    ("8.4 PUSH_PROMISE of a client", S, [OPEN, frame(PUSH_PROMISE, 4, 1, bytes(4) + REQUEST)],
     "request 1; dies PROTOCOL_ERROR 1"),
    ("6.6 PUSH_PROMISE on stream 0", C, [frame(PUSH_PROMISE, 4, 0, bytes(4))], "dies PROTOCOL_ERROR 0"),
    # -- 6.7: PING -------------------------------------------------------------------------------------------------
    ("6.7 PING is answered", C, [frame(PING, 0, 0, b"12345678")], "PING ack 12345678"),
    ("6.7 an answered ping is told", S, [lambda c: c.ping(b"abcdefgh"), frame(PING, 1, 0, b"abcdefgh")],
     "PING abcdefgh; pong abcdefgh"),
    ("6.7 an answer is not answered", S, [frame(PING, 1, 0, b"12345678")], "pong 12345678"),
    ("6.7 PING on a stream", S, [frame(PING, 0, 1, bytes(8))], "dies PROTOCOL_ERROR 0"),
    ("6.7 PING of another length", C, [frame(PING, 0, 0, bytes(7))], "dies FRAME_SIZE_ERROR 0"),
    # -- 6.8: GOAWAY -----------------------------------------------------------------------------------------------
    ("6.8 GOAWAY is told", S, [frame(GOAWAY, 0, 0, bytes(8) + b"bye")], "going away 0 NO_ERROR bye"),
    ("6.8 streams above the last were not processed", C, [frame(GOAWAY, 0, 0, bytes(8))],
     "going away 0 NO_ERROR; reset 1 REFUSED_STREAM by peer retryable"),
    ("6.8 streams up to the last go on", C, [frame(GOAWAY, 0, 0, b"\0\0\0\1" + bytes(4)), RESPONSE],
     "going away 1 NO_ERROR; response 1"),
    ("6.8 GOAWAY may come twice", C,
     [frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(4)), frame(GOAWAY, 0, 0, bytes(8))],
     "going away 2147483647 NO_ERROR; going away 0 NO_ERROR; reset 1 REFUSED_STREAM by peer retryable"),
    ("6.8 GOAWAY with an unknown code", S, [frame(GOAWAY, 0, 0, bytes(4) + b"\0\0\0\x63")], "going away 0 99"),
    ("6.8 GOAWAY on a stream", S, [frame(GOAWAY, 0, 1, bytes(8))], "dies PROTOCOL_ERROR 0"),
    ("6.8 GOAWAY that is too short", S, [frame(GOAWAY, 0, 0, bytes(7))], "dies FRAME_SIZE_ERROR 0"),
    ("6.8 a stream after our GOAWAY", S, [OPEN, lambda c: c.go_away(), frame(HEADERS, 4, 3, REQUEST)],
     "request 1; GOAWAY 1 NO_ERROR; RST_STREAM 3 REFUSED_STREAM"),
    ("6.8 a stream after our warning", S,
     [lambda c: c.go_away(last_stream_id=MAX_STREAM_ID), OPEN, lambda c: c.go_away()],
     "GOAWAY 2147483647 NO_ERROR; request 1; GOAWAY 1 NO_ERROR"),
    # -- 6.9: the connection's window ------------------------------------------------------------------------------
    ("6.9 WINDOW_UPDATE of 0 on the connection", S, [update(0, 0)], "dies PROTOCOL_ERROR 0"),
    ("6.9 WINDOW_UPDATE of another length", S, [frame(WINDOW_UPDATE, 0, 0, bytes(3))], "dies FRAME_SIZE_ERROR 0"),
    ("6.9.1 the window grows up to 2^31-1", S, [update(0, FULL)], ""),
    ("6.9.1 the window grows beyond 2^31-1", S, [update(0, FULL + 1)], "dies FLOW_CONTROL_ERROR 0"),
    ("6.9.1 the window grows beyond 2^31-1 in two", C, [update(0, FULL), update(0, 1)], "dies FLOW_CONTROL_ERROR 0"),
    ("6.9.1 an exhausted window opens", C, [lambda c: c.send_data(1, bytes(70_000)), update(1, 9), update(0, 9)],
     "DATA 1; DATA 1; DATA 1; DATA 1; window 1; window 0"),
    # -- 6.10: CONTINUATION ----------------------------------------------------------------------------------------
    ("6.10 a block in three frames", S,
     [frame(HEADERS, 1, 1, REQUEST[:3]), frame(CONTINUATION, 0, 1, REQUEST[3:9]),
      frame(CONTINUATION, 4, 1, REQUEST[9:])], "request 1 end"),
    ("6.10 a block in three frames, two of them empty", C,
     [frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) + frame(CONTINUATION, 4, 1, block((":status", "200")))],
     "response 1"),
    ("6.10 DATA within a block", S, [frame(HEADERS, 0, 1, REQUEST) + frame(DATA, 0, 1)], "dies PROTOCOL_ERROR 0"),
    ("6.10 CONTINUATION of another stream", S, [frame(HEADERS, 0, 1, REQUEST) + frame(CONTINUATION, 4, 3)],
     "dies PROTOCOL_ERROR 0"),
    ("6.10 CONTINUATION on stream 0", S, [frame(HEADERS, 0, 1, REQUEST) + frame(CONTINUATION, 4, 0)],
     "dies PROTOCOL_ERROR 0"),
    ("6.10 CONTINUATION alone", S, [frame(CONTINUATION, 4, 1, REQUEST)], "dies PROTOCOL_ERROR 0"),
    ("6.10 CONTINUATION after a complete block", S, [OPEN, frame(CONTINUATION, 4, 1)],
     "request 1; dies PROTOCOL_ERROR 1"),
    ("6.10 CONTINUATION after DATA", C, [RESPONSE, frame(DATA, 0, 1, b"x"), frame(CONTINUATION, 4, 1)],
     "response 1; data 1 x; dies PROTOCOL_ERROR 0"),
    ("5.4.1 nothing follows an error", S, [frame(PING, 0, 1, bytes(8)) + OPEN, OPEN], "dies PROTOCOL_ERROR 0"),
]
# fmt: on


@pytest.mark.parametrize(
    ("section", "role", "steps", "expected"), STARTING, ids=[f"{c[0]} ({c[1].name})" for c in STARTING]
)
def test_a_connection_starts_as_the_standard_says(
    play: Play, section: str, role: Role, steps: Sequence[Step], expected: str
) -> None:
    assert play(role, steps, prelude=False) == expected


@pytest.mark.parametrize(("section", "role", "steps", "expected"), CASES, ids=[f"{c[0]} ({c[1].name})" for c in CASES])
def test_the_connection_does_what_the_standard_says(
    play: Play, section: str, role: Role, steps: Sequence[Step], expected: str
) -> None:
    assert play(role, steps) == expected
