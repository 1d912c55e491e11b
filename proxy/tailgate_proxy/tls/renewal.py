"""New files come into use without a restart; unusable ones never replace usable ones.

`Watch` decides when changed files are worth a look. `Renewal` is its shell: it reads, and hands over what it made.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass

from tailgate.errors import ConfigError
from tailgate_proxy.tls.certificates import Validity, examine
from tailgate_proxy.tls.contexts import RenewableContext, authorities_expiry_s, make_context
from tailgate_proxy.tls.files import Files, Fingerprint

_log = logging.getLogger(__name__)


class Watch:
    """Tells when files that have changed have also settled: they are written one after the other.

    >>> watch = Watch((b"old",))
    >>> watch.due((b"old",)), watch.due((b"new",)), watch.due((b"new",))
    (False, False, True)
    """

    def __init__(self, loaded: Fingerprint) -> None:
        """Of files that are in use."""
        self.loaded = loaded
        self._seen = loaded

    def due(self, found: Fingerprint) -> bool:
        """Whether these, found now, are others than those in use, and the same as last time."""
        settled, self._seen = found == self._seen, found
        return settled and found != self.loaded


@dataclass(frozen=True)
class Loaded:
    """A side's files, read.

    Attributes:
        context: Made from them.
        fingerprint: Theirs.
        validity: Of the certificate shown to the peer, if there is one.
        authorities_expiry_s: When the last authority of the bundle expires, if there is a bundle.
    """

    context: ssl.SSLContext
    fingerprint: Fingerprint
    validity: Validity | None
    authorities_expiry_s: float | None


def load(files: Files) -> Loaded:
    """Read a side's files and make a context from them.

    Raises:
        ConfigError: One cannot be used.
    """
    before = files.fingerprint()
    pair = files.pair
    validity = None if pair is None else examine(pair, pair.certificate.read(), pair.key.read())
    if files.authorities is not None:
        files.authorities.read()  # OpenSSL's own sentence does not tell a missing file from an unreadable one
    context = make_context(files)
    if files.fingerprint() != before:
        raise ConfigError(f"the files of TLS ({files.side.value}) changed while they were read; try again")
    return Loaded(context, before, validity, None if files.authorities is None else authorities_expiry_s(context))


class Renewal:
    """One side's context, and the newest of its files in it."""

    def __init__(self, files: Files, server_name: str | None, now_s: float) -> None:
        """Read the files. A certificate that is not valid now is used all the same: peers refuse it, and are told why.

        Args:
            files: Which.
            server_name: The name that the peer's certificate must have, for an upstream.
            now_s: Seconds since the epoch.

        Raises:
            ConfigError: They cannot be used.
        """
        self.files = files
        self.loaded = load(files)
        self.context = RenewableContext(files.side, self.loaded.context, server_name)
        self.reloads = 0
        self.failures = 0
        self._watch = Watch(self.loaded.fingerprint)
        self._told = ""
        problem = self._problem(self.loaded, now_s)
        if problem:
            _log.warning("%s; it is used, but peers will not take it", problem)

    async def look(self, now_s: float) -> None:
        """Put new files to use, if there are any; the loop waits neither for the disk nor for OpenSSL."""
        if not self._watch.due(await asyncio.to_thread(self.files.fingerprint)):
            return
        try:
            found = await asyncio.to_thread(load, self.files)
            problem = self._problem(found, now_s)
            if problem:
                raise ConfigError(problem)
        except ConfigError as error:
            self._refuse(str(error))
        else:
            self._take(found)

    def _take(self, found: Loaded) -> None:
        self.context.current = found.context
        self.loaded = found
        self._watch.loaded = found.fingerprint
        self.reloads += 1
        self._told = ""
        _log.info("TLS (%s): new files are in use", self.files.side.value)

    def _refuse(self, sentence: str) -> None:
        """Counted at every look, so that a rate shows how things are; said once."""
        self.failures += 1
        if sentence != self._told:
            _log.warning("TLS (%s): the files in use stay in use: %s", self.files.side.value, sentence)
            self._told = sentence

    def _problem(self, found: Loaded, now_s: float) -> str:
        problem = "" if found.validity is None else found.validity.problem(now_s)
        return f"{self.files.pair.certificate} {problem}" if problem and self.files.pair else ""
