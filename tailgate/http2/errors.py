"""Whose fault an error is, as a type.

PeerViolation             the peer broke the protocol or a limit; never leaves the package
├── ConnectionViolation       nothing more can be understood: GOAWAY, and the connection ends
└── StreamViolation           one stream is spoilt: RST_STREAM, the others go on
Misuse                    the caller asked for what no peer would accept: a bug on our side, raised to it
"""

from __future__ import annotations

from tailgate.http2.codes import ErrorCode


class PeerViolation(Exception):
    """What the peer sent cannot be taken; the text says why, for a log and for the GOAWAY's debug data."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        """Carry the code that goes on the wire."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ConnectionViolation(PeerViolation):
    """Ends the connection."""


class StreamViolation(PeerViolation):
    """Ends the stream whose frame it was."""


class Misuse(RuntimeError):
    """A method was called in a state in which it makes no sense, such as data after the end of a stream."""
