"""Folders that a command is told to use."""

from __future__ import annotations

from pathlib import Path

from tailgate.errors import UsageError


def make_folder(name: str, folder: Path) -> None:
    """Make a folder.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{name} {folder} cannot be made a folder: {error.strerror}; name another") from error
