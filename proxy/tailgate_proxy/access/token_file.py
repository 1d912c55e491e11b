"""The file of tokens: read at the start, and again whenever it has changed; a bad one never replaces a good one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tailgate.access.tokens import Token, read_tokens
from tailgate.errors import ConfigError
from tailgate_proxy.tls.renewal import Watch

LOOK_INTERVAL_S: Final = 1.0
"""How often the file is looked at. What has changed is used once two looks have seen the same, so a token that is taken
out is good for two of these at most, and for what reading takes."""

_OPTION: Final = "--tokens"
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Loaded:
    tokens: tuple[Token, ...]
    digest: bytes
    open_to_others: bool


class TokenFile:
    """The tokens in use.

    Attributes:
        tokens: Themselves.
        reloads: Times that a new file was put to use.
        failures: Looks at a new file that found it unusable; goes on while it is.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ConfigError: It cannot be read, or has mistakes.
        """
        self._path = path
        loaded = _load(path)
        self.tokens = loaded.tokens
        self.reloads = 0
        self.failures = 0
        self._watch = Watch((loaded.digest,))
        self._told = ""
        self._warn(loaded)

    async def keep_looking(self) -> None:
        """Look at the file for ever."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            await self.look()

    async def look(self) -> None:
        """Put a new file to use, if there is one; the loop does not wait for the disk."""
        if not self._watch.due((await asyncio.to_thread(_digest, self._path),)):
            return
        try:
            loaded = await asyncio.to_thread(_load, self._path)
        except ConfigError as error:
            self._refuse(str(error))
            return
        self.tokens = loaded.tokens
        self._watch.loaded = (loaded.digest,)
        self.reloads += 1
        self._told = ""
        _log.info("%s %s: %d tokens are in use now", _OPTION, self._path, len(self.tokens))
        self._warn(loaded)

    def _refuse(self, sentence: str) -> None:
        """Counted at every look, so that a rate shows how things are; said once."""
        self.failures += 1
        if sentence != self._told:
            _log.warning("the tokens in use stay in use: %s", sentence)
            self._told = sentence

    def _warn(self, loaded: _Loaded) -> None:
        if not loaded.tokens:
            _log.warning(
                "%s %s has no token in it, so nobody is let in; `tailgate token` makes one", _OPTION, self._path
            )
        if loaded.open_to_others:
            _log.warning("%s %s is open to every user of this machine; chmod o= %s", _OPTION, self._path, self._path)


def _load(path: Path) -> _Loaded:
    try:
        with path.open("rb") as file:
            content, mode = file.read(), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise ConfigError(f"{_OPTION} {path} cannot be read: {error.strerror}") from error
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{_OPTION} {path} is not text in UTF-8") from error
    return _Loaded(read_tokens(text, f"{_OPTION} {path}"), _digest_of(content), bool(mode & _OTHERS))


def _digest(path: Path) -> bytes | None:
    try:
        return _digest_of(path.read_bytes())
    except OSError:
        return None


def _digest_of(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
