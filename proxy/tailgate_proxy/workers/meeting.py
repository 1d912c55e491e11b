"""The folder where workers have sockets to ask each other about labels: private, and gone at the end."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_PATH = 90
"""Of the folder. The address of a Unix socket has room for 107 bytes, on some systems 103."""

_log = logging.getLogger(__name__)


@contextmanager
def meeting_place() -> Iterator[Path | None]:
    """A folder that only this user may enter, while the block runs; None, and a warning, where there can be none."""
    try:
        folder = _new_folder()
    except OSError as error:
        _log.warning("no folder for sockets between workers, so each finds labels only for its own requests: %s", error)
        yield None
        return
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> Path:
    usual = tempfile.gettempdir()
    parent = usual if len(usual.encode()) <= LONGEST_PATH - len("/tailgate-12345678") else "/tmp"  # noqa: S108 - mkdtemp
    return Path(tempfile.mkdtemp(prefix="tailgate-", dir=parent))
