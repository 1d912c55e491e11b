"""Files that nobody ever finds half of: written beside their place, made durable, then renamed into it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tailgate.errors import UsageError


def write_whole_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written that is either there in full, also after a power failure, or not at all.

    The file that was there before stays until the new one takes its place. A writer that is killed leaves a hidden file
    ending in ``.partial`` behind, and nothing else.

    Args:
        path: Where; its folder is made if it is missing.
        write: Writes the content to the path that it is given, which lies in the same folder.

    Raises:
        UsageError: The disk refuses.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(partial)
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _sync(path: Path) -> None:
    """Have the disk itself hold a file's content, or a folder's names."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
