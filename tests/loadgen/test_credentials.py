"""Options of credentials: what they mean, and every mistake is one sentence that does not repeat a token."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization as pem

from tailgate.errors import ConfigError
from tailgate_loadgen.credentials import Credentials, add_credential_options, read_credentials
from tailgate_loadgen.tls import Tls

if TYPE_CHECKING:
    from tests.loadgen.conftest import Authority


def read(*arguments: object) -> Credentials:
    parser = argparse.ArgumentParser()
    add_credential_options(parser)
    return read_credentials(parser.parse_args([str(one) for one in arguments]))


def sentence(*arguments: object) -> str:
    with pytest.raises(ConfigError) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_options_become_credentials_that_never_show_the_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"\n tg_secret-1\r\n")
    credentials = read("--token-file", path)
    assert credentials.metadata == (("authorization", "Bearer tg_secret-1"),)
    assert "secret" not in repr(credentials)
    assert pickle.loads(pickle.dumps(credentials)) == credentials  # as a process of ours gets it
    assert credentials.without_token("Bearer tg_secret-1 and tg_secret") == "Bearer … and tg_secret"
    assert (read(), read().metadata, read().without_token("said")) == (Credentials(), (), "said")
    assert read("--tls", "--server-name", "model.example").tls == Tls(server_name="model.example")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory; name the file that holds the token"),
        (b"", "is empty; write the token into it"),
        (b" \n", "is empty; write the token into it"),
        (b"ci infer sha256:00\n", "holds something else than one token; it should hold the token alone, as"),
        (b"Bearer tg_secret", "holds something else than one token"),
        (b"tg_secret\ntg_secret\n", "holds something else than one token"),
        ("tg_secrét".encode(), "holds something else than one token"),
        (b"tg_secret\0", "holds something else than one token"),
        (b"x" * 8193, "holds something else than one token"),
    ],
)
def test_a_file_that_holds_no_token_gets_one_sentence_without_what_is_in_it(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    said = sentence("--token-file", path)
    assert said.startswith(f"--token-file {path} {expected}")
    assert "secr" not in said
    assert sentence("--token-file", tmp_path).startswith(f"--token-file {tmp_path} cannot be read: Is a directory")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--ca", "x"], "--ca is given without --tls; add it, or the target is called in the clear"),
        (["--cert", "x", "--key", "x"], "--cert is given without --tls"),
        (["--server-name", "x"], "--server-name is given without --tls"),
        (["--tls", "--cert", "x"], "--cert is given without --key; give both, a certificate chain and its key in PEM"),
        (["--tls", "--key", "x"], "--key is given without --cert"),
        (["--tls", "--ca", "nowhere"], "--ca nowhere cannot be read: No such file or directory; name a file in PEM"),
        (["--tls", "--cert", "nowhere", "--key", "nowhere"], "--cert nowhere cannot be read: No such file or"),
        (["--tls", "--server-name", ".x"], "--server-name is '.x', which is no name ("),
        (["--tls", "--server-name", ""], "--server-name is '', which is no name ("),
    ],
)
def test_options_of_tls_that_do_not_go_together_get_one_sentence(arguments: list[str], expected: str) -> None:
    assert sentence(*arguments).startswith(expected)


def test_files_of_tls_that_cannot_be_used_get_one_sentence(authority: Authority, tmp_path: Path) -> None:
    (cert, key), (other, _) = authority.issue(), authority.issue()
    hidden, junk = tmp_path / "hidden", tmp_path / "junk"
    junk.write_text("-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n")
    secret = pem.load_pem_private_key(key.read_bytes(), None)
    shut = pem.BestAvailableEncryption(b"secret")
    hidden.write_bytes(secret.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, shut))
    for bundle in (junk, key):
        assert sentence("--tls", "--ca", bundle).startswith(f"--ca {bundle} is no bundle of certificates in PEM (")
    assert sentence("--tls", "--ca", tmp_path).startswith(f"--ca {tmp_path} cannot be read: Is a directory")
    for pair in ((junk, key), (cert, junk), (cert, hidden), (other, key), (key, key), (cert, cert)):
        said = sentence("--tls", "--cert", pair[0], "--key", pair[1])
        assert said.startswith(f"--cert {pair[0]} with --key {pair[1]} cannot be used (")
        assert said.endswith("and the key that belongs to it, without a passphrase")
