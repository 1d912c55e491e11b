"""Calls a second of the HTTP/2 core alone: a client and a server in one process, no socket, against python-h2.

    python bench/http2.py [--quick]

A call is a request with metadata of its own, a body in gRPC's framing, an answer of 1 KB, and trailers. Both sides of
both libraries do all of it: headers compressed and read, frames, windows, acknowledgement of what was received. The
CPU time of the process is measured.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import h2.settings

from bench._common import Claim, cpu_seconds, finish, machine, markdown_table
from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import DataReceived, HeadersReceived, Kind
from tailgate.http2.limits import Limits

Fields = tuple[tuple[bytes, bytes], ...]

SIZES = {"1 KB": 1_000, "150 KB": 150_528}
ANSWER = bytes(1_000)
LEAST_RATIO = 4.0
STREAM_WINDOW, CONNECTION_WINDOW, FRAME = 1 << 20, 1 << 24, 1 << 14
RESPONSE: Fields = ((b":status", b"200"), (b"content-type", b"application/grpc"))
TRAILERS: Fields = ((b"grpc-status", b"0"),)
LIMITS = Limits(max_frame_bytes=FRAME, stream_window=STREAM_WINDOW, connection_window=CONNECTION_WINDOW)


def request(number: int) -> Fields:
    return (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
        (b":authority", b"127.0.0.1:8001"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"grpc-python/1.66.0 grpc-c/43.0.0 (linux; chttp2)"),
        (b"grpc-timeout", b"%du" % (50_000 - number % 997)),
        (b"tailgate-request-id", b"run-%d" % number),
        (b"tailgate-label", b"%d" % (number % 1000)),
    )


def ours(calls: int, body: bytes) -> None:
    client, server = Connection(Role.CLIENT, LIMITS), Connection(Role.SERVER, LIMITS)
    for _ in range(2):
        server.receive(client.data_to_send())
        client.receive(server.data_to_send())
    answered = 0
    for number in range(calls):
        stream = client.open_stream(request(number))
        client.send_data(stream, body, end_stream=True)
        for event in server.receive(client.data_to_send()):
            if isinstance(event, DataReceived):
                server.acknowledge(event.stream_id, len(event.data))
                if event.end_stream:
                    server.send_headers(event.stream_id, RESPONSE)
                    server.send_data(event.stream_id, ANSWER)
                    server.send_headers(event.stream_id, TRAILERS, end_stream=True)
        for event in client.receive(server.data_to_send()):
            if isinstance(event, DataReceived):
                client.acknowledge(event.stream_id, len(event.data))
            elif isinstance(event, HeadersReceived) and event.kind is Kind.TRAILERS:
                answered += 1
    assert answered == calls


def h2_connection(*, client: bool) -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(client_side=client, header_encoding=None)
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    return connection


def theirs(calls: int, body: bytes) -> None:
    client, server = h2_connection(client=True), h2_connection(client=False)
    for _ in range(2):
        server.receive_data(client.data_to_send())
        client.receive_data(server.data_to_send())
    for connection in (client, server):
        connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW})
        connection.increment_flow_control_window(CONNECTION_WINDOW - 65_535)
    for _ in range(2):
        server.receive_data(client.data_to_send())
        client.receive_data(server.data_to_send())
    answered = 0
    for number in range(calls):
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, request(number))
        for at in range(0, len(body), FRAME):
            client.send_data(stream, body[at : at + FRAME], end_stream=at + FRAME >= len(body))
        for event in server.receive_data(client.data_to_send()):
            if isinstance(event, h2.events.DataReceived):
                server.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, h2.events.StreamEnded):
                server.send_headers(stream, RESPONSE)
                server.send_data(stream, ANSWER)
                server.send_headers(stream, TRAILERS, end_stream=True)
        for event in client.receive_data(server.data_to_send()):
            if isinstance(event, h2.events.DataReceived):
                client.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, h2.events.TrailersReceived):
                answered += 1
    assert answered == calls


def per_call_us(run: Callable[[int, bytes], None], calls: int, body: bytes) -> float:
    return 1e6 * cpu_seconds(lambda: run(calls, body), 1) / calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls")
    quick: bool = parser.parse_args().quick
    calls, runs = (200, 5) if quick else (2_000, 9)
    rows, claims = [], []
    for name, size in SIZES.items():
        # In turns, so that whatever else the machine does meets both alike.
        turns = [[per_call_us(run, calls, bytes(size)) for run in (ours, theirs)] for _ in range(runs)]
        our_us, their_us = (statistics.median(column) for column in zip(*turns, strict=True))
        ratio = statistics.median(their_turn / our_turn for our_turn, their_turn in turns)
        rows.append((name, our_us, their_us, 1e6 / our_us, 1e6 / their_us, ratio))
        claims.append(Claim(f"calls of {name}: python-h2's CPU time over ours", ratio, LEAST_RATIO, at_least=True))
    header = ("body", "ours, µs a call", "python-h2, µs a call", "ours, calls/s", "python-h2, calls/s", "ratio")
    print(markdown_table(header, rows))
    details = {"calls": calls, "rows": [dict(zip(header, row, strict=True)) for row in rows]}
    return finish("http2", claims, quick=quick, machine=machine("h2", "hpack"), **details)


if __name__ == "__main__":
    sys.exit(main())
