"""Every mistake with TLS's options and files is one sentence, before anything is served."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import rsa

from tailgate.config import read_config
from tailgate.errors import ConfigError
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.tls.sides import Tls

Authority = Any  # defined in conftest.py, which tests do not import
GIVEN = {"upstream": "127.0.0.1:8001", "deadline": "50ms"}


def sentence(**options: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Tls(read_config(ProxyConfig, None, GIVEN | options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tls_cert": "c"}, "--tls-cert is given without --tls-key; give both, a certificate chain and its key in PEM"),
        ({"tls_key": "k"}, "--tls-key is given without --tls-cert"),
        ({"tls_client_ca": "c"}, "--tls-client-ca is given without --tls-cert and --tls-key"),
        ({"upstream_tls": True, "upstream_cert": "c"}, "--upstream-cert is given without --upstream-key"),
        ({"upstream_ca": "c"}, "--upstream-ca is given without --upstream-tls; add it, or the upstream is called in"),
        ({"upstream_cert": "c", "upstream_key": "k"}, "--upstream-cert is given without --upstream-tls"),
        ({"upstream_server_name": "x"}, "--upstream-server-name is given without --upstream-tls"),
        ({"upstream_tls": True, "upstream_server_name": ".x"}, "--upstream-server-name '.x' is no name"),
        ({"upstream_tls": True, "upstream_ca": "nowhere"}, "--upstream-ca nowhere cannot be read: No such file or"),
    ],
)
def test_options_that_do_not_go_together_are_one_sentence(options: dict[str, object], expected: str) -> None:
    assert sentence(**options).startswith(expected)


@pytest.mark.parametrize("side", ["tls", "upstream"])
def test_files_that_cannot_be_used_are_one_sentence(side: str, authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue().write(tmp_path, "own")
    other_cert, other_key = authority.issue(key=rsa.generate_private_key(65537, 2048)).write(tmp_path, "other")
    third_key = authority.issue().write(tmp_path, "third")[1]
    hidden, junk, folder = tmp_path / "hidden.key", tmp_path / "junk", tmp_path / "folder"
    secret = pem.load_pem_private_key(Path(key).read_bytes(), None)
    hidden.write_bytes(
        secret.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"secret"))
    )
    junk.write_text("-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n")
    folder.mkdir()

    def said(cert: object, key: object, **more: object) -> str:
        given = {"upstream_tls": True} if side == "upstream" else {}
        return sentence(**given, **{f"{side}_cert": str(cert), f"{side}_key": str(key)}, **more)

    assert said("nowhere", key) == f"--{side}-cert nowhere cannot be read: No such file or directory"
    assert said(folder, key) == f"--{side}-cert {folder} cannot be read: Is a directory"
    assert said(cert, "nowhere") == f"--{side}-key nowhere cannot be read: No such file or directory"
    assert said(junk, key) == f"--{side}-cert {junk} does not begin with a certificate in PEM"
    assert said(key, key) == f"--{side}-cert {key} does not begin with a certificate in PEM"
    assert said(cert, junk) == f"--{side}-key {junk} is no private key in PEM"
    assert said(cert, cert) == f"--{side}-key {cert} is no private key in PEM"
    assert said(cert, hidden) == f"--{side}-key {hidden} is encrypted; give a key without a passphrase"
    for wrong in (other_key, third_key):
        assert said(cert, wrong).startswith(f"--{side}-key {wrong} is not the key of --{side}-cert {cert}")
    assert said(other_cert, key).startswith(f"--{side}-key {key} is not the key of --{side}-cert {other_cert}")
    ca = "tls_client_ca" if side == "tls" else "upstream_ca"
    option = f"--{ca.replace('_', '-')}"
    assert said(cert, key, **{ca: str(junk)}).startswith(f"{option} {junk} is no bundle of certificates in PEM: ")
    assert said(cert, key, **{ca: str(hidden)}).startswith(f"{option} {hidden} is no bundle of certificates in PEM: ")


def test_a_key_too_weak_for_openssl_is_one_sentence(authority: Authority, tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    cert, key = authority.issue(key=weak).write(tmp_path, "weak")
    assert (
        sentence(tls_cert=cert, tls_key=key)
        == f"--tls-cert {cert} with --tls-key {key} cannot be used: ee key too small"
    )


@pytest.mark.parametrize(
    "arrange",
    [
        lambda cert, key: (cert + key, cert + key),  # both in one file
        lambda cert, key: (
            b"subject=/CN=x\n" + cert,
            b"Bag Attributes\n    name: x\n" + key,
        ),  # with remarks, as openssl writes
    ],
)
def test_files_as_other_tools_write_them_are_taken(
    arrange: Callable[[bytes, bytes], tuple[bytes, bytes]], authority: Authority, tmp_path: Path
) -> None:
    issued = authority.issue()
    cert, key = issued.write(tmp_path, "own")
    for path, content in zip((cert, key), arrange(issued.cert_pem, issued.key_pem), strict=True):
        Path(path).write_bytes(content)
    tls = Tls(read_config(ProxyConfig, None, GIVEN | {"tls_cert": cert, "tls_key": key}))
    assert tls.expiries_s() == {"server": issued.certificate.not_valid_after_utc.timestamp()}


def test_without_options_there_is_no_tls_and_no_metric_of_it() -> None:
    tls = Tls(read_config(ProxyConfig, None, GIVEN))
    assert (tls.server, tls.upstream, tls.expiries_s(), tls.counts()) == (None, None, {}, {})


def test_a_mistake_exits_with_2_before_anything_is_served(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tailgate", "proxy", "--upstream", "127.0.0.1:1", "--deadline", "50ms"]
    command += ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--tls-cert", "nowhere", "--tls-key", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "--tls-cert nowhere cannot be read: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
