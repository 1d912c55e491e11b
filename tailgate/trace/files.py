"""Trace files: one that is appended to, and all that lie in a folder.

`TraceWriter.append` returns once the operating system has the records: the writer may then be killed at any instant
without losing them. Power failure is held off by `sync`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tailgate.errors import TraceError
from tailgate.labels import Judged
from tailgate.observation import Observation
from tailgate.trace.format import SUFFIX, Contents, Encoder, decode, encode_header


class TraceWriter:
    """Appends observations to a new file."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Create the file and its folder.

        Args:
            path: Where; must not exist yet.
            header: What the trace says of itself: ``role``, ``run_id`` and whatever helps a reader.

        Raises:
            TraceError: The file exists, or cannot be created.
        """
        self._encoder = Encoder()
        self.path = path
        self.written = 0
        """Observations that are in the file."""
        self.dropped = 0
        """Observations that are not, because the disk refused them or the writer was told so."""
        self.labels_dropped = 0
        """Labels that came after their observations and are not in the file."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TraceError(f"the folder {path.parent} cannot be created: {error.strerror}") from error
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError as error:
            raise TraceError(f"{path} exists; traces are never overwritten, so choose another folder") from error
        except OSError as error:
            raise TraceError(f"{path} cannot be created: {error.strerror}") from error
        self._size = 0
        self._torn = False
        try:
            self._write(encode_header(header))
        except OSError as error:
            os.close(self._file)
            path.unlink()
            raise TraceError(f"{path} cannot be written: {error.strerror}") from error

    def append(self, items: Sequence[Observation | Judged]) -> None:
        """Write these observations and labels: all, or where the disk refuses none; observations are counted then as
        dropped.
        """
        batch = self._encoder.encode(items)
        try:
            self._write(batch.data)
        except OSError:
            self.drop(batch.count, batch.labels)
        else:
            self._encoder.commit(batch)
            self.written += batch.count

    def drop(self, count: int, labels: int = 0) -> None:
        """Account for observations, and labels, that will never be appended."""
        self._encoder.skip(count)
        self.dropped += count
        self.labels_dropped += labels

    def sync(self) -> None:
        """Have the disk itself hold everything appended so far."""
        os.fsync(self._file)

    def close(self) -> None:
        """Append the closing record if the disk takes it, sync and close."""
        try:
            with contextlib.suppress(OSError):
                self._write(self._encoder.end())
            self.sync()
        finally:
            os.close(self._file)

    def _write(self, data: bytes) -> None:
        """All of it, or where the disk refuses none."""
        view = memoryview(data)
        try:
            if self._torn:
                self._truncate()
            self._torn = True
            while view:
                view = view[os.write(self._file, view) :]
            self._torn = False
        except OSError:
            # A disk that refuses this too is asked again before anything is written after the half of a record.
            with contextlib.suppress(OSError):
                self._truncate()
            raise
        self._size += len(data)

    def _truncate(self) -> None:
        os.ftruncate(self._file, self._size)
        self._torn = False


def read_trace(path: Path) -> Contents:
    """Everything sound in one trace file.

    Raises:
        TraceError: It cannot be read, or is no trace.
    """
    try:
        return decode(path.read_bytes(), str(path))
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from error


def read_folder(folder: Path) -> list[Contents]:
    """Every trace of a folder, in the order of their names.

    Raises:
        TraceError: There is no such folder, or no trace in it.
    """
    return [read_trace(path) for path in trace_paths(folder)]


def trace_paths(folder: Path) -> list[Path]:
    """Every trace's path, in the order of their names; errors as for `read_folder`."""
    if not folder.is_dir():
        raise TraceError(f"{folder} is not a folder; name the one that --trace wrote to")
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise TraceError(f"{folder} holds no *{SUFFIX} file; name the folder that --trace wrote to")
    return paths
