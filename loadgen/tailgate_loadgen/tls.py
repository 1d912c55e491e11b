"""TLS towards the target: the standard library's context for our own client, and the same in PEM for gRPC's library.

Everything fails closed: a target that is to be called over TLS is never called in the clear, its name and chain are
always checked, and a handshake that does not agree on HTTP/2 is no connection. Must not live here: options, sockets.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tailgate.errors import ConfigError

ALPN: Final = "h2"
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secret and authenticated, none of RFC 9113's appendix A. TLS 1.3 has no others."""
GOODBYE_S: Final = 0.2
"""Given to a target to say that it closes the connection, too: gRPC's servers never do, and nothing depends on it."""

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""What OpenSSL looks for in a folder of authorities."""
_WHERE: Final = re.compile(r"^\[SSL\] | \(_ssl\.c:[0-9]+\)$")
"""What the standard library puts around words of OpenSSL's."""


@dataclass(frozen=True)
class Tls:
    """What it is made of.

    Attributes:
        ca: Bundle of the authorities that the target's certificate must be of; None: the system's.
        cert: What is shown to the target, with the chain behind it; None, as its key then is: nothing.
        key: Its private key.
        server_name: Which name the target's certificate must have; None: the host that is called.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """For connections of our own.

        Raises:
            ConfigError: A file cannot be read or is not what it should be, or the name is none.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_ciphers(CIPHERS)
        context.set_alpn_protocols([ALPN])
        context.sslobject_class = _Http2Object
        self.shown()  # OpenSSL does not say which of its files cannot be read
        _trust(context, self.ca)
        if self.cert is not None and self.key is not None:
            _show(context, self.cert, self.key)
        if self.server_name is not None:
            try:
                context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=self.server_name)
            except ValueError as error:
                raise ConfigError(
                    f"--server-name is {self.server_name!r}, which is no name ({error}); give the one in the target's "
                    "certificate"
                ) from error
        return context

    def connecting(self, host: str) -> dict[str, Any]:
        """Arguments with which asyncio's loop connects to a host over TLS; a socket in the file system has none.

        Raises:
            ConfigError: As for `context`.
        """
        name = self.server_name or host or "localhost"
        return {"ssl": self.context(), "server_hostname": name, "ssl_shutdown_timeout": GOODBYE_S}

    def authorities(self) -> bytes | None:
        """What is trusted, in PEM: where that is the system's, what OpenSSL takes for it; None where it has none.

        Raises:
            ConfigError: A file cannot be read.
        """
        if self.ca is not None:
            return _read("--ca", self.ca)
        paths, found = ssl.get_default_verify_paths(), []
        files = [Path(paths.cafile)] if paths.cafile else []
        if paths.capath:
            files += sorted(file for file in Path(paths.capath).iterdir() if _HASHED.fullmatch(file.name))
        for file in files:
            with contextlib.suppress(OSError):  # links there may lead nowhere
                found.append(file.read_bytes())
        return b"\n".join(found) or None

    def shown(self) -> tuple[bytes | None, bytes | None]:
        """The key and the certificate that are shown, in PEM.

        Raises:
            ConfigError: A file cannot be read.
        """
        if self.cert is None or self.key is None:
            return None, None
        certificate = _read("--cert", self.cert)
        return _read("--key", self.key), certificate


class _Http2Object(ssl.SSLObject):
    """A handshake that does not agree on HTTP/2 has failed."""

    def do_handshake(self) -> None:
        """Go on with it."""
        super().do_handshake()
        if self.selected_alpn_protocol() != ALPN:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "it did not agree on HTTP/2 (ALPN h2)")


def reason(error: BaseException) -> str:
    """Why a connection failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        code: str | None = getattr(error, "reason", None)  # only what OpenSSL itself raised has one
        return code.replace("_", " ").lower() if code else _WHERE.sub("", error.strerror or str(error))
    return str(error) or "it closed the connection"


def _read(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{option} {path} cannot be read: {error.strerror}; name a file in PEM") from error


def _trust(context: ssl.SSLContext, authorities: Path | None) -> None:
    if authorities is None:
        context.load_default_certs()
        return
    _read("--ca", authorities)
    try:
        context.load_verify_locations(cafile=authorities)
    except ssl.SSLError as error:
        raise ConfigError(
            f"--ca {authorities} is no bundle of certificates in PEM ({reason(error)}); name the one of the authority "
            "that signed the target's"
        ) from error


def _show(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    try:
        context.load_cert_chain(cert, key, password="")  # an empty one, so that none is asked for
    except ssl.SSLError as error:
        raise ConfigError(
            f"--cert {cert} with --key {key} cannot be used ({reason(error)}); give a certificate in PEM, its chain "
            "behind it, and the key that belongs to it, without a passphrase"
        ) from error
