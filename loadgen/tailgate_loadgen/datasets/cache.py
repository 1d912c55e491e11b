"""Prepared rows of a set of files, made once and kept: decoding 50,000 images takes minutes, mapping them seconds."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL

from tailgate.errors import DatasetError
from tailgate_loadgen.datasets.row_file import DamagedFile, MappedRows, write_rows

_FORMAT = 1
_BLOCK = 256  # prepared ahead of the writer; bounds what waits in memory


class Report(Protocol):
    """Is told what goes on."""

    def progress(self, what: str, done: int, total: int) -> None:
        """So much of it is done."""

    def note(self, text: str) -> None:
        """Something worth knowing afterwards."""


def cached_rows(
    folder: Path,
    files: Sequence[Path],
    recipe: Sequence[object],
    make_row: Callable[[Path], bytes],
    report: Report,
) -> MappedRows:
    """The rows of these files: mapped from the cache, or made and put there first.

    Args:
        folder: Of the cache.
        files: One for each row.
        recipe: Whatever else a row depends on, besides its file and the versions of Pillow and numpy.
        make_row: Reads a file and makes its row; called on several threads.
        report: Told of progress.

    Raises:
        DatasetError: A file cannot be read, or the cache cannot be written.
    """
    affinity = hasattr(os, "sched_getaffinity")  # not on every platform
    threads = len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
    path = folder / f"{cache_key(files, recipe)}.rows"
    if path.exists():
        report.progress("verifying prepared images", 0, len(files))
        try:
            return MappedRows(path, threads)
        except DamagedFile as error:
            report.note(f"{path} is damaged ({error}) and is made anew")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(path, _in_threads(make_row, files, threads, report))
        return MappedRows(path, threads)
    except (OSError, DamagedFile) as error:
        raise DatasetError(f"the cache {folder} cannot be used ({error}); name another folder with --cache") from error


def cache_key(files: Sequence[Path], recipe: Sequence[object]) -> str:
    """Changes with any file's name, size or time of change, with the recipe, and with what decodes.

    Raises:
        DatasetError: A file cannot be looked at.
    """
    digest = hashlib.sha256(json.dumps([_FORMAT, PIL.__version__, np.__version__, *recipe]).encode())
    for file in files:
        try:
            status = file.stat()
        except OSError as error:
            raise DatasetError(f"{file} cannot be read: {error.strerror}") from error
        digest.update(f"\n{file.absolute()}\0{status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def _in_threads(
    make_row: Callable[[Path], bytes], files: Sequence[Path], threads: int, report: Report
) -> Iterator[bytes]:
    """Rows in order. Threads suffice: Pillow holds no lock while it decodes and resizes."""
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(files), _BLOCK):
            report.progress("preparing images", start, len(files))
            yield from pool.map(make_row, files[start : start + _BLOCK])
    report.progress("preparing images", len(files), len(files))
