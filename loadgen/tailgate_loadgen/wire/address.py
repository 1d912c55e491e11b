"""What the address of a target means: where to connect, and the name by which it is asked. Pure."""

from __future__ import annotations

from typing import NamedTuple

_UNIX = "unix:"


class Address(NamedTuple):
    """Of a target.

    Attributes:
        host: Name or address; empty for a socket in the file system.
        port: Beside the host.
        path: Of the socket in the file system.
        authority: What a request says whom it is for.
    """

    host: str
    port: int
    path: str
    authority: bytes


def parse_address(target: str) -> Address:
    """HOST:PORT, [IPV6]:PORT, unix:PATH or unix:///PATH, as gRPC writes them.

    >>> parse_address("[::1]:9001")
    Address(host='::1', port=9001, path='', authority=b'[::1]:9001')
    >>> parse_address("unix:///run/model.sock").path, parse_address("unix:model.sock").path
    ('/run/model.sock', 'model.sock')
    """
    if target.startswith(_UNIX):
        return Address("", 0, target.removeprefix(_UNIX).removeprefix("//"), b"localhost")
    host, _, port = target.rpartition(":")
    return Address(host.removeprefix("[").removesuffix("]"), int(port), "", target.encode())
