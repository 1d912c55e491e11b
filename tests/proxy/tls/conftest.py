"""Certificate authorities, real TLS upstreams and real TLS clients."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER

DAY = dt.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def key_pem(key: Key, passphrase: bytes | None = None) -> bytes:
    hidden = pem.BestAvailableEncryption(passphrase) if passphrase else pem.NoEncryption()
    return key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, hidden)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def cert_pem(self) -> bytes:
        return self.certificate.public_bytes(pem.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    @property
    def serial(self) -> int:
        return self.certificate.serial_number

    def write(self, folder: Path, name: str) -> tuple[str, str]:
        """Into two files; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(self.cert_pem)
        key.write_bytes(self.key_pem)
        return str(cert), str(key)


class Authority:
    """Issues certificates."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        self.certificate = (
            self._builder(self.name, self.key.public_key(), now - DAY, now + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(pem.Encoding.PEM)

    def write(self, folder: Path, name: str) -> str:
        path = folder / f"{name}.pem"
        path.write_bytes(self.pem)
        return str(path)

    def issue(
        self,
        host: str = "127.0.0.1",
        *,
        starts: dt.timedelta = -DAY,
        ends: dt.timedelta = 30 * DAY,
        key: Key | None = None,
    ) -> Issued:
        """For this host, valid from and until so long from now; for servers and clients alike."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tailgate test")])
        built = (
            self._builder(subject, key.public_key(), now + starts, now + ends)
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        return Issued(built.sign(self.key, hashes.SHA256()), key)

    def _builder(self, subject: x509.Name, key: Any, start: dt.datetime, end: dt.datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
        )


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The one that is trusted."""
    return Authority("trusted")


@pytest.fixture(scope="session")
def stranger() -> Authority:
    """One of the same name that is not."""
    return Authority("trusted")


@pytest.fixture
def issue_wrong(authority: Authority, stranger: Authority) -> Callable[[str], Issued]:
    """Issue a certificate with something wrong in it."""

    def issue(what: str) -> Issued:
        if what == "authority":
            return stranger.issue()
        if what == "name":
            return authority.issue("elsewhere.example")
        if what == "expired":
            return authority.issue(starts=-2 * DAY, ends=-DAY)
        assert what == "not yet valid"
        return authority.issue(starts=DAY)

    return issue


@pytest.fixture
def server_options(authority: Authority, tmp_path: Path) -> dict[str, str]:
    """Options of a proxy that serves over TLS."""
    cert, key = authority.issue().write(tmp_path, "proxy")
    return {"tls_cert": cert, "tls_key": key}


Connect = Callable[..., Callable[..., Awaitable[bytes]]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make a gRPC client over TLS, on a connection of its own: a function that sends a request by its id."""
    channels: list[grpc.aio.Channel] = []

    def make(address: object, authority: Authority | None, shown: Issued | None = None) -> Callable[..., Any]:
        options = [("grpc.use_local_subchannel_pool", 1)]
        if authority is None:
            channel = grpc.aio.insecure_channel(str(address), options=options)
        else:
            pair = (shown.key_pem, shown.cert_pem) if shown else (None, None)
            credentials = grpc.ssl_channel_credentials(authority.pem, *pair)
            channel = grpc.aio.secure_channel(str(address), credentials, options=options)
        channels.append(channel)
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)

        async def infer(request_id: str, timeout: float = 60.0) -> bytes:
            body = RequestFrame("scripted", "image", "UINT8", (1, 4)).build(request_id, b"abcd")
            return await method(body, timeout=timeout)

        return infer

    yield make
    for channel in channels:
        await channel.close()


@pytest.fixture
async def start_upstream(upstream: Any) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Start a scripted gRPC server over TLS, which asks for clients' certificates if it is given an authority."""
    running: list[Any] = []

    async def start(own: Issued, clients: Authority | None = None, address: Any = None) -> Any:
        credentials = grpc.ssl_server_credentials(
            [(own.key_pem, own.cert_pem)], clients.pem if clients else None, require_client_auth=clients is not None
        )
        scripted = type(upstream)(credentials=credentials)
        if address is not None:
            scripted.address = address
        await scripted.start()
        running.append(scripted)
        return scripted

    yield start
    for scripted in running:
        await scripted.stop()


@pytest.fixture
def trusting(authority: Authority) -> Callable[[], ssl.SSLContext]:
    """Make contexts of the standard library's for raw clients that trust the authority and offer HTTP/2."""

    def make() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=authority.pem.decode())
        context.set_alpn_protocols(["h2"])
        return context

    return make
