"""A sound trace out of a damaged one. Pure: bytes in, bytes out."""

from __future__ import annotations

from dataclasses import dataclass

from tailgate.trace.format import decode_rows, encode_header

FIELD = "recovered"
"""Of a recovered trace's header: what was cut out of the one that it was made from."""


@dataclass(frozen=True)
class Recovered:
    """A trace without its damage.

    Attributes:
        data: The sound trace: the header, with `FIELD` where something was cut, and every sound record in its order.
        kept: Records of every kind in it.
        damaged: Records left out because their checksum does not fit.
        torn_bytes: Bytes left out at the end, of a record cut short.
    """

    data: bytes
    kept: int
    damaged: int
    torn_bytes: int

    @property
    def cut(self) -> bool:
        """Whether anything was left out."""
        return bool(self.damaged or self.torn_bytes)


def recover(data: bytes, source: str) -> Recovered:
    """Cut out of a trace what is damaged.

    No closing record is put in: a trace whose writer was killed stays one, and sequence numbers that are missing stay
    missing. What was cut is added up in the header, so that it is not forgotten with the bytes.

    Args:
        data: The whole trace.
        source: What to call it in an error.

    Raises:
        TraceError: It is no trace, a newer one, or its header is damaged.
    """
    header, rows, sound, torn_bytes = decode_rows(data, source)
    damaged = int(len(rows) - sound.sum())
    if not damaged and not torn_bytes:
        return Recovered(bytes(data), len(rows), 0, 0)
    before = cut_before(header)
    told = {**header, FIELD: {"damaged": before[0] + damaged, "torn_bytes": before[1] + torn_bytes}}
    return Recovered(encode_header(told) + rows[sound].tobytes(), len(rows) - damaged, damaged, torn_bytes)


def cut_before(header: object) -> tuple[int, int]:
    """Damaged records and torn bytes that earlier recoveries cut, as a trace's header says; 0 and 0 where it does not.

    >>> cut_before({"role": "client", "recovered": {"damaged": 2, "torn_bytes": 57}})
    (2, 57)
    """
    match header:
        case {"recovered": {"damaged": int(damaged), "torn_bytes": int(torn_bytes)}}:
            return damaged, torn_bytes
        case _:
            return 0, 0
