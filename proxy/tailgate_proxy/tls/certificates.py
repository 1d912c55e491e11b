"""What is in a certificate and its key: whether they belong together, and from when until when they are valid.

Bytes in, facts or one sentence out. Whether a certificate is trusted is OpenSSL's to judge, at the peer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tailgate.errors import ConfigError
from tailgate_proxy.tls.files import Pair


@dataclass(frozen=True)
class Validity:
    """From when until when a certificate is valid, in seconds since the epoch."""

    not_before_s: float
    not_after_s: float

    def problem(self, now_s: float) -> str:
        """What is wrong with it at this time, or nothing.

        >>> Validity(0.0, 60.0).problem(61.0)
        'expired at 1970-01-01T00:01:00Z'
        >>> Validity(0.0, 60.0).problem(60.0)
        ''
        """
        if now_s > self.not_after_s:
            return f"expired at {_utc(self.not_after_s)}"
        if now_s < self.not_before_s:
            return f"is not valid before {_utc(self.not_before_s)}"
        return ""


def examine(pair: Pair, certificate: bytes, key: bytes) -> Validity:
    """When the certificate, the first in its file, is valid.

    Args:
        pair: Names the two, for the sentences.
        certificate: PEM, with the chain behind it.
        key: PEM.

    Raises:
        ConfigError: One is not what it should be, or they do not belong together.
    """
    try:
        leaf = x509.load_pem_x509_certificate(certificate)
        public_key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{pair.certificate} does not begin with a certificate in PEM") from error
    try:
        private_key = load_pem_private_key(key, password=None)
    except TypeError as error:
        raise ConfigError(f"{pair.key} is encrypted; give a key without a passphrase") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{pair.key} is no private key in PEM") from error
    if _der(private_key.public_key()) != _der(public_key):
        raise ConfigError(f"{pair.key} is not the key of {pair.certificate}; give the two that belong together")
    return Validity(leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp())


def _der(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]  # any kind of public key has it
    return encoded


def _utc(time_s: float) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
