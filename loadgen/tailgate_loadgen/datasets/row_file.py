r"""A file of byte strings that is mapped into memory, and that shows any damage when it is opened.

    file    = row* trailer crc32-of-trailer (4 bytes) length-of-trailer (8 bytes) "tgrows1\n"
    trailer = JSON: the rows' lengths, and the SHA-256 of every 16 MiB of them

It is written under another name, synced and renamed, so that a file of its own name is complete.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"tgrows1\n"
_TAIL = struct.Struct("<IQ8s")
_CHUNK_BYTES = 16 << 20


class DamagedFile(Exception):
    """The file is not as it was written."""


class MappedRows:
    """The rows of a file, mapped."""

    def __init__(self, path: Path, threads: int) -> None:
        """Map the file and verify every byte of it, which also brings it into memory.

        Args:
            path: A file of `write_rows`.
            threads: How many verify.

        Raises:
            DamagedFile: It is not as it was written.
            OSError: It cannot be opened.
        """
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _TAIL.size:
                raise DamagedFile("it is cut short")
            self._view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        crc32, length, magic = _TAIL.unpack(self._view[-_TAIL.size :])
        end = size - _TAIL.size - length
        if magic != _MAGIC or end < 0 or zlib.crc32(self._view[end : end + length]) != crc32:
            raise DamagedFile("its end is damaged")
        trailer = json.loads(bytes(self._view[end : end + length]))
        self._ends: list[int] = list(accumulate(trailer["lengths"], initial=0))
        if self._ends[-1] != end:
            raise DamagedFile("it has another size")
        with ThreadPoolExecutor(threads) as pool:
            chunks = list(pool.map(self._hash_chunk, range(0, end, _CHUNK_BYTES)))
        if chunks != trailer["sha256"]:
            raise DamagedFile("its content is damaged")
        self.digest: str = hashlib.sha256(json.dumps(trailer, sort_keys=True).encode()).hexdigest()

    def __len__(self) -> int:
        """How many."""
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> memoryview:
        """The bytes of one."""
        return self._view[self._ends[index] : self._ends[index + 1]]

    def _hash_chunk(self, start: int) -> str:
        return hashlib.sha256(self._view[start : min(start + _CHUNK_BYTES, self._ends[-1])]).hexdigest()


def write_rows(path: Path, rows: Iterable[bytes]) -> None:
    """Write a file, which has this name only once it is complete and on the disk.

    Raises:
        OSError: The disk refuses.
    """
    lengths: list[int] = []
    chunks: list[str] = []
    pending = bytearray()
    descriptor, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for row in rows:
                lengths.append(len(row))
                pending += row
                while len(pending) >= _CHUNK_BYTES:
                    chunks.append(_write_chunk(file, pending))
            if pending:
                chunks.append(_write_chunk(file, pending))
            trailer = json.dumps({"lengths": lengths, "sha256": chunks}, sort_keys=True).encode()
            file.write(trailer + _TAIL.pack(zlib.crc32(trailer), len(trailer), _MAGIC))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _write_chunk(file: BinaryIO, pending: bytearray) -> str:
    """Move a chunk from `pending` to the file; returns its SHA-256."""
    chunk = bytes(pending[:_CHUNK_BYTES])
    del pending[:_CHUNK_BYTES]
    file.write(chunk)
    return hashlib.sha256(chunk).hexdigest()
