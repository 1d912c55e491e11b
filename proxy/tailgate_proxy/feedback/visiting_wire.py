"""What workers say to each other about labels, as bytes: messages of `tailgate.visiting`, each after its length."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message

from tailgate.labels import Label
from tailgate.pb.tailgate import visiting_pb2 as pb
from tailgate.visiting import FromHome, FromHost, Grant

LENGTH_BYTES: Final = 4
MAX_BYTES: Final = 4 << 20
"""Of a message: `AT_ONCE` ids of `MAX_ID_LENGTH` are far less."""

Parsed = TypeVar("Parsed", bound=Message)


class Garbled(Exception):
    """What came is no message of ours."""


class Hello(NamedTuple):
    """Who speaks: see `visiting.proto`."""

    worker: int
    life: int
    taken: int = 0


def write(message: Hello | FromHome | FromHost) -> bytes:
    """A message with its length."""
    body = _message_of(message).SerializeToString()
    return len(body).to_bytes(LENGTH_BYTES) + body


async def read(stream: asyncio.StreamReader) -> bytes:
    """The next message without its length.

    Raises:
        Garbled: It is longer than any of ours.
        EOFError, OSError: There is none: the other end has closed.
    """
    size = int.from_bytes(await stream.readexactly(LENGTH_BYTES))
    if size > MAX_BYTES:
        raise Garbled(f"a message of {size} bytes")
    return await stream.readexactly(size)


def hello(body: bytes) -> Hello:
    """The first message of either side.

    Raises:
        Garbled: It is none.
    """
    found = _parse(pb.Hello(), body)
    return Hello(found.worker, found.life, found.taken)


def from_home(body: bytes) -> FromHome:
    """A later message from a home.

    Raises:
        Garbled: It is none.
    """
    found = _parse(pb.FromHome(), body)
    granted = [Grant(g.number, Label(g.request_id, g.truth, g.weight, g.at_unix_s)) for g in found.granted]
    return FromHome(granted, list(found.withdrawn), list(found.offered))


def from_host(body: bytes) -> FromHost:
    """A later message from a host.

    Raises:
        Garbled: It is none.
    """
    found = _parse(pb.FromHost(), body)
    return FromHost(list(found.claimed), found.taken)


def _message_of(message: Hello | FromHome | FromHost) -> Message:
    match message:
        case Hello():
            return pb.Hello(worker=message.worker, life=message.life, taken=message.taken)
        case FromHome():
            granted = [
                pb.Grant(number=n, request_id=g.request_id, truth=g.truth, weight=g.weight, at_unix_s=g.at_unix_s)
                for n, g in message.granted
            ]
            return pb.FromHome(granted=granted, withdrawn=message.withdrawn, offered=message.offered)
        case FromHost():
            return pb.FromHost(claimed=message.claimed, taken=message.taken)


def _parse(into: Parsed, body: bytes) -> Parsed:
    try:
        into.ParseFromString(body)
    except DecodeError as error:
        raise Garbled(str(error)) from error
    return into
