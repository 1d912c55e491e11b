"""The port that all workers share, held from before the first starts until the last has ended."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tailgate.config import Address
from tailgate.errors import ConfigError


@contextmanager
def held_port(listen: Address, option: str = "--listen", *, share: bool = False) -> Iterator[Address]:
    """Bind without listening while the block runs; yields the address with the port as it really is.

    A socket that does not listen gets no connections. It makes port 0 one port for all workers, and keeps it theirs
    while one of them is down.

    Args:
        listen: Where; port 0 stands for any that is free.
        option: What asks for it.
        share: Whether other supervisors that say so, too, may have the same port.

    Raises:
        ConfigError: The address cannot be bound, for one because anybody listens there already.
    """
    with ExitStack() as stack:
        try:
            port = _bind_all(listen, stack, share=share)
        except OSError as error:
            raise ConfigError(f"{option} {listen} cannot be bound: {error.strerror or error}") from error
        yield Address(listen.host, port)


def _bind_all(listen: Address, stack: ExitStack, *, share: bool) -> int:
    """A socket for each address of the host, as the workers' own listeners have; returns the port, the same for all."""
    port = listen.port
    found = socket.getaddrinfo(listen.bare_host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, where in dict.fromkeys(found):
        try:
            bound = stack.enter_context(socket.socket(family, kind, protocol))
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                continue  # a name may have addresses of a family that this machine does without
            raise
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if share:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((where[0], port, *where[2:]))
        port = int(bound.getsockname()[1])
        if share:
            continue
        # Only now: bound with it, a second proxy on the same port would share it in silence instead of being refused.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Until a worker listens, the kernel would still let a second supervisor in. A name that is no file keeps it
        # out: like the port it belongs to one network namespace, and it is gone when this process is.
        name = stack.enter_context(socket.socket(socket.AF_UNIX))
        name.bind(f"\0tailgate-proxy {where[0]} {port}")
    return port
