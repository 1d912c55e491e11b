"""Requests as a gRPC client in C writes them: what repeats is indexed, what differs from call to call is literal."""

from __future__ import annotations

from bench._frames import END_HEADERS, HEADERS, frame_header
from bench._hpack import RepeatedFields, literal
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import LABEL, MODEL_INFER, REQUEST_ID

_POST, _HTTP, _HTTPS = b"\x83", b"\x86", b"\x87"  # of the static table: RFC 7541, appendix A
_ID, _LABEL, _LABELS = "request-%010d", "%d", range(100, 1000)  # of one length for all, and so are all header blocks


class Requests:
    """ModelInfer requests of one size; each with an id and a label of its own, and a timeout.

    Attributes:
        payload: The tensor, the end of every message.
        prefix_bytes: How much of a message comes before the payload, gRPC's own five bytes included.
    """

    def __init__(self, size: int, authority: str, timeout_us: int, *, spread_us: int = 0, tls: bool = False) -> None:
        """Timeouts go from `timeout_us` up, by one microsecond from call to call, to `spread_us` above it."""
        self.payload = bytes(size)
        self._timeouts_us = range(timeout_us, timeout_us + spread_us + 1)
        assert len(str(self._timeouts_us[0])) == len(str(self._timeouts_us[-1]))
        message = RequestFrame("resnet50", "image", "UINT8", (1, size)).build(_ID % 0, self.payload)
        head = b"\0" + len(message).to_bytes(4, "big") + message[: len(message) - size]
        self.prefix_bytes = len(head)
        self._prefix = _template(head, _ID, 0)
        self._opening = (_HTTPS if tls else _HTTP) + _POST
        self._repeated = (
            (":path", MODEL_INFER),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "grpc-python/1.76.0 grpc-c/51.0.0 (linux; chttp2)"),
            ("grpc-accept-encoding", "identity, deflate, gzip"),
        )
        own = (("grpc-timeout", "%du", timeout_us), (REQUEST_ID, _ID, 0), (LABEL, _LABEL, _LABELS[0]))
        self._own = b"".join(_template(literal(name, pattern % one), pattern, one) for name, pattern, one in own)

    def repeated(self, fields: RepeatedFields) -> bytes:
        """The part of a header block that is the same for all calls of a connection, but for the first."""
        return self._opening + b"".join(fields.encode(name, value) for name, value in self._repeated)

    def headers(self, number: int, stream: int, repeated: bytes) -> bytes:
        """The HEADERS frame of a request."""
        timeout_us = self._timeouts_us[number % len(self._timeouts_us)]
        own = self._own % (timeout_us, number, _LABELS[number % len(_LABELS)])
        return frame_header(len(repeated) + len(own), HEADERS, END_HEADERS, stream) + repeated + own

    def prefix(self, number: int) -> bytes:
        """The gRPC message up to where the payload begins."""
        return self._prefix % number


def _template(text: bytes, pattern: str, value: int) -> bytes:
    """The text with the pattern in place of what the value looks like in it."""
    assert b"%" not in text
    return text.replace((pattern % value).encode(), pattern.encode())
