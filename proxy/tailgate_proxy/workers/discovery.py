"""The file that tells Prometheus where the workers' metrics are: its file-based service discovery (`file_sd`).

Readers see the old document or the new one, never a part: it is written beside its place and renamed into it. It names
every worker, also one that is down at the moment, so that `up` says so. It is there from before the first worker is
ready (empty, then) until the last has ended, and removed at an orderly end only: one that is left over names a proxy
that was killed.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tailgate.config import Address
from tailgate.errors import ConfigError

Publish = Callable[[Mapping[int, Address]], None]
"""Takes the admin address of every worker, by number."""

_EVERY_INTERFACE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound

_log = logging.getLogger(__name__)


def targets(admins: Mapping[int, Address], machine: str) -> list[dict[str, Any]]:
    """The document: one group for each worker, labelled with its number.

    Args:
        admins: By worker.
        machine: This machine's name. It stands in for "every interface", which at Prometheus's end would mean itself.
    """
    hosts = {a.host: machine if a.bare_host in _EVERY_INTERFACE else a.host for a in admins.values()}
    return [
        {"targets": [str(Address(hosts[admin.host], admin.port))], "labels": {"worker": str(number)}}
        for number, admin in sorted(admins.items())
    ]


@contextmanager
def discovery(path: Path | None) -> Iterator[Publish]:
    """Keep the file while the block runs; yields the function that fills it. With None there is no file.

    Raises:
        ConfigError: It cannot be written now. Later, that is logged, and costs no request.
    """
    if path is None:
        yield lambda _admins: None
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, [])
    except OSError as error:
        raise ConfigError(f"--discovery {path} cannot be written: {error.strerror}") from error

    def publish(admins: Mapping[int, Address]) -> None:
        try:
            _write(path, targets(admins, socket.gethostname()))
        except OSError as error:
            _log.error("%s cannot be written, so Prometheus does not learn of a change: %s", path, error.strerror)

    try:
        yield publish
    finally:
        path.unlink(missing_ok=True)


def _write(path: Path, document: list[dict[str, Any]]) -> None:
    # The name's end keeps patterns such as *.json from meeting it.
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        beside.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
