"""A trace file that is still being written, read piece by piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tailgate.trace.format import OBSERVATION, RECORD, Records, decode_rows


class GrowingTrace:
    """What was added to it since it was last looked at."""

    def __init__(self, path: Path) -> None:
        """It need not be there yet."""
        self._path = path
        self._head = b""
        self._read = 0

    def take(self) -> Records:
        """Sound observations that are new.

        Raises:
            TraceError: It is no trace.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return np.empty(0, RECORD)
        if not self._head and data.count(b"\n", 0, 1 << 20) < 2:  # the header's two lines are not there yet
            return np.empty(0, RECORD)
        found = decode_rows(self._head + data, str(self._path))
        whole = len(self._head) + len(data) - found.torn_bytes
        self._read += whole - len(self._head)
        if not self._head:
            self._head = data[: whole - found.rows.nbytes]
        new: Records = found.rows[found.sound & (found.rows["kind"] == OBSERVATION)]
        return new
