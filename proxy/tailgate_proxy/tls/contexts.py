"""The standard library's TLS contexts, set as HTTP/2 asks (RFC 9113 §9.2), and one that can be renewed.

Theory. A context is settings, a certificate and trusted authorities, from which connections are made. To change one in
place is treacherous: a failed change leaves half of it done, a pair with another kind of key leaves the old pair in use
beside it, an authority is never forgotten. So contexts here are made once and never changed. asyncio is given a
`RenewableContext`, which makes each connection from the newest one: certificate and trust change together, at once, and
connections that are open live on.
"""

from __future__ import annotations

import logging
import ssl
from typing import Any, Self

from tailgate.errors import ConfigError
from tailgate_proxy.tls.files import File, Files, Side

ALPN = "h2"
HTTP_1_1 = "http/1.1"
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secret and authenticated, none of RFC 9113's appendix A. TLS 1.3 has no others."""

_log = logging.getLogger(__name__)


def make_context(files: Files) -> ssl.SSLContext:
    """A context of this side's files.

    Raises:
        ConfigError: OpenSSL does not take one of them.
    """
    server = files.side is not Side.UPSTREAM
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS)
    rest = files.side is Side.REST
    context.set_alpn_protocols([HTTP_1_1 if rest else ALPN])
    context.sslobject_class = Http1Object if rest else Http2Object
    if server:
        # No resumption: it would skip the look at a client's certificate, and connections here live long anyway.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    if files.pair is not None:
        certificate, key = files.pair.certificate, files.pair.key
        try:
            context.load_cert_chain(certificate.path, key.path, password="")  # an empty one, so that none is asked for
        except OSError as error:
            raise ConfigError(f"{certificate} with {key} cannot be used: {reason(error)}") from error
    if files.authorities is not None:
        _trust(context, files.authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    elif not server:
        context.load_default_certs()
    return context


def authorities_expiry_s(context: ssl.SSLContext) -> float | None:
    """When the last authority of a context's bundle expires, in seconds since the epoch; None: it has none."""
    known: list[dict[str, Any]] = context.get_ca_certs()
    return max((float(ssl.cert_time_to_seconds(one["notAfter"])) for one in known), default=None)


def reason(error: OSError) -> str:
    """Why OpenSSL, or the system, refused, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    code: str | None = getattr(error, "reason", None)  # only what OpenSSL itself raised has one
    return code.replace("_", " ").lower() if code else error.strerror or str(error)


class Handshakes:
    """Counts the handshakes of one side that failed."""

    def __init__(self, side: Side) -> None:
        """None has."""
        self.failures = 0
        self._side = side
        self._last = ""

    def failed(self, error: ssl.SSLError) -> None:
        """Count one. Of the upstream, log each new reason; a client could fill the log."""
        self.failures += 1
        why = reason(error)
        told = self._side is not Side.UPSTREAM or why == self._last
        _log.log(logging.DEBUG if told else logging.WARNING, "TLS handshake (%s) failed: %s", self._side.value, why)
        self._last = why

    def succeeded(self) -> None:
        """The next failure is news again."""
        self._last = ""


class Http1Object(ssl.SSLObject):
    """A handshake that is counted. Many a client of HTTP/1.1 does not say that it speaks that."""

    handshakes: Handshakes

    def do_handshake(self) -> None:
        """Go on with it."""
        try:
            super().do_handshake()
            self.agree()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self.handshakes.failed(error)
            raise
        self.handshakes.succeeded()

    def agree(self) -> None:
        """Look at what was agreed on."""


class Http2Object(Http1Object):
    """A handshake that does not agree on HTTP/2 has failed: nobody ever sees such a connection."""

    def agree(self) -> None:
        """Look at what was agreed on."""
        if self.selected_alpn_protocol() != ALPN:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "the peer did not agree on HTTP/2 (ALPN h2)")


class RenewableContext(ssl.SSLContext):
    """Makes every connection from the newest context. Used in any other way it has no certificate and trusts nobody."""

    def __new__(cls, _side: Side, current: ssl.SSLContext, _server_name: str | None) -> Self:
        """Of the same role as the context behind it."""
        return super().__new__(cls, current.protocol)

    def __init__(self, side: Side, current: ssl.SSLContext, server_name: str | None) -> None:
        """Begin with `current`.

        Args:
            side: For the count of handshakes.
            current: Made by `make_context`.
            server_name: Which name or address the peer's certificate must have; None for a server, or where it is
                the host that a connection is for.

        Raises:
            ConfigError: `server_name` is no name.
        """
        self.current = current
        self.handshakes = Handshakes(side)
        self._server_name = server_name
        if server_name is not None:
            try:
                self.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
            except ValueError as error:
                raise ConfigError(f"--upstream-server-name {server_name!r} is no name: {error}") from error

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 — the base class's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """A new connection's side of TLS; asyncio and uvloop call this once for each."""
        made = self.current.wrap_bio(incoming, outgoing, server_side, self._server_name or server_hostname, session)
        assert isinstance(made, Http1Object)
        made.handshakes = self.handshakes
        return made


def _trust(context: ssl.SSLContext, authorities: File) -> None:
    try:
        context.load_verify_locations(cafile=authorities.path)
    except OSError as error:
        raise ConfigError(f"{authorities} is no bundle of certificates in PEM: {reason(error)}") from error
