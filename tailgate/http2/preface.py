"""The first bytes that come in (RFC 9113 §3.4), and a guess at what the peer speaks if it is not HTTP/2."""

from __future__ import annotations

import re
from typing import Final

from tailgate.http2.codes import PREFACE, ErrorCode, Role
from tailgate.http2.errors import ConnectionViolation

_HTTP_1_REQUEST: Final = re.compile(rb"[A-Z]{3,7} ?|[A-Z]+ .*")
_HTTP_1_RESPONSE: Final = b"HTTP/"
_TLS_HANDSHAKE: Final = b"\x16\x03"


class Preface:
    """Takes what is no frame off the beginning: of a client its preface; of a server nothing, but it may speak HTTP/1.

    Attributes:
        done: Whether frames have begun.
    """

    __slots__ = ("_role", "_seen", "done")

    def __init__(self, role: Role) -> None:
        """Our role."""
        self._role = role
        self._seen = b""
        self.done = False

    def strip(self, data: bytes | bytearray | memoryview) -> memoryview:
        """The frames in these bytes.

        Raises:
            ConnectionViolation: The peer does not speak HTTP/2.
        """
        return self._of_client(memoryview(data)) if self._role is Role.SERVER else self._of_server(memoryview(data))

    def _of_client(self, view: memoryview) -> memoryview:
        missing = len(PREFACE) - len(self._seen)
        self._seen += view[:missing]
        if not PREFACE.startswith(self._seen):
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, _guess(self._seen))
        self.done = len(self._seen) == len(PREFACE)
        return view[missing:]

    def _of_server(self, view: memoryview) -> memoryview:
        self._seen += view
        if self._seen.startswith(_HTTP_1_RESPONSE):
            raise ConnectionViolation(ErrorCode.PROTOCOL_ERROR, "the server answers in HTTP/1; is this its gRPC port?")
        self.done = not _HTTP_1_RESPONSE.startswith(self._seen)
        return memoryview(self._seen if self.done else b"")


def _guess(seen: bytes) -> str:
    if seen.startswith(_TLS_HANDSHAKE):
        return "the client begins with a TLS handshake; this port speaks HTTP/2 without TLS"
    if _HTTP_1_REQUEST.fullmatch(seen.partition(b"\r")[0]):
        return "the client begins with an HTTP/1 request; this port speaks HTTP/2 with prior knowledge (gRPC)"
    return f"the client begins with {seen!r}, which is not HTTP/2"
