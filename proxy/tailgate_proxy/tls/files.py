"""Which files each side's TLS is made of, and which of them belong together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tailgate.errors import ConfigError
from tailgate_proxy.config import ProxyConfig


class Side(StrEnum):
    """Towards whom TLS is spoken."""

    SERVER = "server"
    REST = "rest"
    """Clients, too, but such as speak HTTP/1.1."""
    UPSTREAM = "upstream"


@dataclass(frozen=True)
class File:
    """A file and the option that names it.

    >>> str(File("--tls-cert", Path("certs/proxy.pem")))
    '--tls-cert certs/proxy.pem'
    """

    option: str
    path: Path

    def read(self) -> bytes:
        """What is in it.

        Raises:
            ConfigError: It cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self} cannot be read: {error.strerror}") from error

    def __str__(self) -> str:
        """The option and the path."""
        return f"{self.option} {self.path}"


@dataclass(frozen=True)
class Pair:
    """A certificate, with the chain that leads to its authority, and its private key."""

    certificate: File
    key: File


Fingerprint = tuple[bytes | None, ...]
"""Digests of a side's files, None for one that cannot be read: equal as long as nothing has changed in them."""


@dataclass(frozen=True)
class Files:
    """What one side's TLS is made of.

    Attributes:
        side: Which.
        pair: What it shows to the peer; None: nothing.
        authorities: Whose signature on the peer's certificate it trusts; None: for a server, no client shows one; for
            the upstream, the system's.
    """

    side: Side
    pair: Pair | None
    authorities: File | None

    def fingerprint(self) -> Fingerprint:
        """Of what is in the files now.

        Contents, not times of change: files are also replaced by moving a link to the folder they are in.
        """
        files = (*((self.pair.certificate, self.pair.key) if self.pair else ()), self.authorities)
        return tuple(_digest(file) for file in files if file is not None)


def server_files(config: ProxyConfig) -> Files | None:
    """What clients are served with; None: without TLS.

    Raises:
        ConfigError: Options that belong together are not all given.
    """
    pair = _pair("--tls-cert", config.tls_cert, "--tls-key", config.tls_key)
    authorities = _file("--tls-client-ca", config.tls_client_ca)
    if pair is None and authorities is not None:
        raise ConfigError(
            f"{authorities.option} is given without --tls-cert and --tls-key; certificates of clients need TLS"
        )
    return None if pair is None else Files(Side.SERVER, pair, authorities)


def upstream_files(config: ProxyConfig) -> Files | None:
    """What the upstream is called with; None: without TLS.

    Raises:
        ConfigError: Options that belong together are not all given.
    """
    pair = _pair("--upstream-cert", config.upstream_cert, "--upstream-key", config.upstream_key)
    authorities = _file("--upstream-ca", config.upstream_ca)
    if config.upstream_tls:
        return Files(Side.UPSTREAM, pair, authorities)
    given = {
        "--upstream-ca": config.upstream_ca,
        "--upstream-cert": config.upstream_cert,
        "--upstream-server-name": config.upstream_server_name,
    }
    for option, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{option} is given without --upstream-tls; add it, or the upstream is called in the clear"
            )
    return None


def _file(option: str, path: Path | None) -> File | None:
    return None if path is None else File(option, path)


def _pair(cert_option: str, cert: Path | None, key_option: str, key: Path | None) -> Pair | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        given, missing = (key_option, cert_option) if cert is None else (cert_option, key_option)
        raise ConfigError(f"{given} is given without {missing}; give both, a certificate chain and its key in PEM")
    return Pair(File(cert_option, cert), File(key_option, key))


def _digest(file: File) -> bytes | None:
    try:
        return hashlib.sha256(file.read()).digest()
    except ConfigError:
        return None
