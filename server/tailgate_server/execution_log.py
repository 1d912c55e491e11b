"""A file that says what the model really began to compute: `tailgate audit` holds it against the proxy's trace.

One JSON object a line, and a line for each request of a batch, when the batch is handed to the model. Written by a
thread of its own, so that neither a request nor the model ever waits for a disk.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tailgate.errors import ConfigError

MOST_WAITING: Final = 100_000
"""Requests whose lines wait for a disk that stalls, some 10 MB; beyond, they are counted, and the log says how many."""
MOST_REMEMBERED: Final = 10_000
"""Requests of which it is known how often they were begun: a retry comes soon, or not at all."""

_log = logging.getLogger(__name__)


class ExecutionLog:
    """The file, and the thread that appends to it.

    A line is with the operating system about when its batch runs; whoever kills the process may cut the last one short.
    """

    def __init__(self, path: Path, most_waiting: int = MOST_WAITING) -> None:
        """Open the file, which may hold what an earlier process wrote, and start the thread; `close` ends it.

        Raises:
            ConfigError: It cannot be written.
        """
        self._path = path
        self._most_waiting = most_waiting
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            self._size = _whole_lines(self._file)
            if self._size < os.fstat(self._file).st_size:
                os.ftruncate(self._file, self._size)
        except OSError as error:
            raise ConfigError(
                f"--execution-log is {path}, which cannot be written: {error.strerror}; choose another file"
            ) from error
        self._waiting: list[bytes] = []
        self._missing = 0
        self._attempts: dict[str, int] = {}
        self._warned = False
        self._closing = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="execution-log", daemon=True)
        self._thread.start()

    def record(self, model: str, batch: Sequence[tuple[str, int]], unix_s: float) -> None:
        """Take a batch as it is handed to its model, requests' ids and their rows; never waits for the disk.

        To be called from one thread.
        """
        lines = [
            json.dumps(
                {
                    "request_id": request_id,
                    "attempt": self._attempt(request_id),
                    "model": model,
                    "rows": rows,
                    "batch": len(batch),
                    "unix_s": round(unix_s, 6),
                }
            ).encode()
            + b"\n"
            for request_id, rows in batch
        ]
        with self._news:
            room = max(self._most_waiting - len(self._waiting), 0)
            self._waiting += lines[:room]
            self._missing += len(lines[room:])
            self._news.notify()

    def _attempt(self, request_id: str) -> int:
        """Which time it is that this request is begun; one without an id is never begun again."""
        attempt = self._attempts.pop(request_id, 0) + 1
        if request_id:
            self._attempts[request_id] = attempt
            if len(self._attempts) > MOST_REMEMBERED:
                del self._attempts[next(iter(self._attempts))]
        return attempt

    def close(self) -> None:
        """Write what waits, have the disk hold it, and close the file."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join()
        with suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._waiting and not self._closing:
                    self._news.wait()
                lines, self._waiting = self._waiting, []
                missing, self._missing = self._missing, 0
                closing = self._closing
            if not self._append(b"".join(lines) + _of_missing(missing)):
                with self._news:
                    self._missing += missing + len(lines)
                if not self._warned:
                    self._warned = True
                    _log.warning("%s cannot be written: what is missing is counted, and will stand in it", self._path)
            if closing:
                return

    def _append(self, content: bytes) -> bool:
        """All of it, or nothing where the disk refuses."""
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            return False
        self._size += len(content)
        return True


def _of_missing(count: int) -> bytes:
    return json.dumps({"missing": count}).encode() + b"\n" if count else b""


def _whole_lines(file: int) -> int:
    """How many bytes of a file are whole lines: a killed process may have left half of one."""
    at = os.fstat(file).st_size
    while at:
        start = max(at - 4096, 0)
        found = os.pread(file, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return 0
