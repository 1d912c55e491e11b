"""What a peer may cost us. Every number has its reason; where they are counted is for the engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection.

    The last two are budgets: `Connection.forgive` fills them, so with a call a second they are rates.

    Attributes:
        max_concurrent_streams: Streams a client may have open; more are refused, and may be tried again. Without one
            a single connection could start any number of calls. A server's only.
        max_header_list_bytes: Of a header list, counted as §6.5.2 does (32 bytes a field beside its text); a longer
            one costs its stream. 16 KiB is what gRPC's own servers take. Holds from the first byte, not only from the
            peer's acknowledgement of our settings.
        max_header_block_bytes: Of a compressed list with all its CONTINUATION frames; a longer one ends the
            connection, for it can neither be skipped (the compression's state would be lost) nor kept.
        max_frame_bytes: Of a frame. DATA is handed on as it comes, so a long frame costs no memory, and a 150 KB
            tensor need not be cut into ten frames.
        stream_window: Bytes of a stream that the peer may send before they are acknowledged: room for a tensor.
        connection_window: The same for all streams together; the bound of a connection's memory for bodies.
        resets: Streams that a peer may open for nothing: reset before they were answered, broken by it, or refused
            ("rapid reset", CVE-2023-44487). One comes back with every stream that ends as it should.
        overhead: Frames that carry no work, such as PING, SETTINGS or empty DATA. They come back with work.
    """

    max_concurrent_streams: int = 128
    max_header_list_bytes: int = 16 * 1024
    max_header_block_bytes: int = 32 * 1024
    max_frame_bytes: int = 256 * 1024
    stream_window: int = 1024 * 1024
    connection_window: int = 16 * 1024 * 1024
    resets: int = 1000
    overhead: int = 2000


DEFAULT_LIMITS: Final = Limits()
