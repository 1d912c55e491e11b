"""Tokens and TLS as a person gives them, to real proxies: who is let in runs, and who is not runs nothing in vain."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tailgate.cli
from tailgate.access.tokens import TOKEN_BYTES, Scope, Token, digest_of, make_token
from tailgate_loadgen.calls import CLIENTS, ClientName

if TYPE_CHECKING:
    from tests.loadgen.conftest import Authority, Ran, Server

    Load = Callable[..., Ran]

PATIENT: dict[str, Any] = {"deadline": "60s", "rate": 100, "samples": 20, "warmup": 2}
"""A run in which nothing is late, however busy the machine."""


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> ClientName:
    name: ClientName = request.param
    return name


@dataclass(frozen=True)
class Tokens:
    """Tokens in files of their own, and the proxy's file that knows some of them.

    Attributes:
        proxy: The proxy's file.
        infer, label, unknown: Files of tokens; the proxy does not know the last.
    """

    proxy: Path
    infer: Path
    label: Path
    unknown: Path


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    folder = tmp_path_factory.mktemp("tokens")
    made = Tokens(*(folder / name for name in ("proxy", "infer", "label", "unknown")))
    lines = []
    for path, scope in ((made.infer, Scope.INFER), (made.label, Scope.LABEL), (made.unknown, None)):
        token = make_token(secrets.token_bytes(TOKEN_BYTES))
        path.write_text(f"{token}\n")
        if scope is not None:
            lines.append(Token(path.name, frozenset({scope}), digest_of(token.encode())).line())
    made.proxy.write_text("".join(f"{line}\n" for line in lines))
    return made


@pytest.fixture(scope="module")
def locked(start_proxy: Callable[..., str], server: Server, tokens: Tokens) -> str:
    """A proxy that asks for tokens."""
    return start_proxy(server.address, "--tokens", str(tokens.proxy))


@pytest.fixture(scope="module")
def sealed(start_proxy: Callable[..., str], server: Server, tokens: Tokens, authority: Authority) -> str:
    """One that serves over TLS, too, and asks clients for certificates."""
    cert, key = map(str, authority.issue())
    options = ("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", str(authority.ca))
    return start_proxy(server.address, "--tokens", str(tokens.proxy), *options)


@pytest.fixture(scope="session")
def shown(authority: Authority) -> dict[str, Any]:
    """Options of a client that the sealed proxy lets in, but for the token."""
    cert, key = authority.issue("client.example")
    return {"ca": authority.ca, "cert": cert, "key": key}


def asked(server: Server) -> int:
    """Inferences that reached the server behind the proxies."""
    return len(server.log.read_text().splitlines())


def assert_nowhere(token: str, ran: Ran) -> None:
    """The token stands in nothing that the run said or wrote."""
    assert token not in ran.error + ran.output
    files = [path for path in ran.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if token.encode() in path.read_bytes()]


def test_a_run_over_tls_with_a_certificate_and_a_token_is_let_in_and_tells_the_token_nobody_else(
    load: Load, sealed: str, shown: dict[str, Any], tokens: Tokens
) -> None:
    ran = load("--tls", target=sealed, token_file=tokens.infer, keep_answers=3, **shown, **PATIENT)
    assert ran.status == 0, ran.error
    assert ran.summary["outcomes"] == {"ok": 20}
    generator = ran.trace.header["generator"]
    assert generator["tls"]
    assert generator["share"] is None
    assert "none is made over TLS" in generator["uncalibrated_because"]
    assert_nowhere(tokens.infer.read_text().strip(), ran)


def test_a_token_is_enough_where_no_tls_is_spoken_and_may_come_out_of_a_pipe(
    load: Load, locked: str, tokens: Tokens
) -> None:
    reading, writing = os.pipe()
    os.write(writing, tokens.infer.read_bytes())
    os.close(writing)
    try:
        ran = load(target=locked, token_file=f"/dev/fd/{reading}", **PATIENT)
    finally:
        os.close(reading)
    assert ran.status == 0, ran.error
    assert ran.summary["outcomes"] == {"ok": 20}
    assert not ran.trace.header["generator"]["tls"]


REFUSED = {
    None: "asks for a token (a token is needed; send it as 'authorization: Bearer TOKEN'); name the file that holds "
    "one with --token-file",
    "unknown": "does not take the token of --token-file {} (the token is not known here; ask for a new one); take one "
    "that it knows",
    "label": "does not let the token of --token-file {} do this (the token of 'label' has scope label, and this needs "
    "infer); take one that may infer",
}


@pytest.mark.parametrize("which", REFUSED)
def test_whom_the_proxy_does_not_let_in_is_told_so_before_anything_is_sent(
    load: Load, locked: str, server: Server, tokens: Tokens, which: str | None
) -> None:
    before = asked(server)
    path = None if which is None else getattr(tokens, which)
    for warmup in (0, 2):
        ran = load(target=locked, token_file=path, **PATIENT | {"warmup": warmup})
        assert (ran.status, ran.error) == (2, f"tailgate load: target {locked} {REFUSED[which].format(path)}\n")
        assert not ran.folder.exists()
    assert asked(server) == before


@pytest.mark.parametrize("model", ["locked", "forbidden"])
def test_a_target_that_refuses_only_inferences_ends_the_run_in_its_warm_up_and_is_not_quoted_with_the_token(
    load: Load, server: Server, tokens: Tokens, model: str
) -> None:
    before = asked(server)
    ran = load(target=server.address, model=model, token_file=tokens.infer, **PATIENT)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert ran.error.startswith("tailgate load: the target does not ")
    assert f"the token of --token-file {tokens.infer} " in ran.error
    assert "(not with 'Bearer …')" in ran.error
    assert not ran.folder.exists()
    assert asked(server) == before + 1
    bare = load(target=server.address, model=model, **PATIENT)
    assert (bare.status, bare.error.count("\n")) == (2, 1)
    assert "(not with None)" in bare.error
    assert "--token-file" in bare.error


@pytest.mark.parametrize("model", ["locked", "forbidden"])
def test_a_probe_of_such_a_target_ends_at_its_first_call(
    server: Server, tokens: Tokens, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    before, out = asked(server), str(tmp_path / "out")
    options = ["--token-file", str(tokens.infer), "--quiet", "--out", out]
    assert tailgate.cli.main(["probe", server.address, "--model", model, *options]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"tailgate probe: target {server.address} does not ")
    assert f"the token of --token-file {tokens.infer} " in said
    assert "(not with 'Bearer …')" in said
    assert asked(server) == before + 1


def test_a_proxy_that_speaks_tls_runs_nothing_for_whom_it_does_not_trust_or_who_does_not_trust_it(
    *, load: Load, sealed: str, locked: str, server: Server, shown: dict[str, Any], stranger: Authority, tokens: Tokens
) -> None:
    before = asked(server)
    cert, key = stranger.issue("client.example")
    over, clear = (f"target {sealed} cannot be reached{how}" for how in (" over TLS: ", "; start it, give the right"))
    cases: list[tuple[str, dict[str, Any], str]] = [
        (sealed, {}, clear),
        (sealed, shown | {"ca": stranger.ca}, f"{over}certificate verify failed: "),
        (sealed, {"ca": shown["ca"]}, f"{over}the connection to the target broke"),
        (sealed, shown | {"cert": cert, "key": key}, f"{over}the connection to the target broke"),
        (sealed, shown | {"server_name": "other.example"}, f"{over}certificate verify failed: Hostname mismatch"),
        (locked, shown, f"target {locked} cannot be reached over TLS: "),
    ]
    for target, options, expected in cases:
        ran = load(*(["--tls"] if options else []), target=target, token_file=tokens.infer, **options, **PATIENT)
        assert (ran.status, ran.error.count("\n")) == (2, 1), ran.error
        assert ran.error.startswith(f"tailgate load: {expected}")
        assert not ran.folder.exists()
    assert asked(server) == before


def test_several_processes_show_what_one_would(
    sealed: str, shown: dict[str, Any], tokens: Tokens, tmp_path: Path, server: Server
) -> None:
    command = [sys.executable, "-m", "tailgate", "load", "--target", sealed, "--model", "right", "--dataset", "digits"]
    command += ["--tls", "--token-file", str(tokens.infer), "--procs", "2", "--max-lag", "60s", "--quiet"]
    command += [part for name, path in shown.items() for part in (f"--{name}", str(path))]
    command += [part for name, value in PATIENT.items() for part in (f"--{name}", str(value))]
    command += ["--trace", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")]
    before = asked(server)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["outcomes"] == {"ok": 20}
    assert asked(server) == before + 20 + 2 * PATIENT["warmup"]


def test_how_many_processes_it_takes_over_tls_is_not_known(
    load: Load, sealed: str, shown: dict[str, Any], tokens: Tokens
) -> None:
    ran = load("--tls", target=sealed, token_file=tokens.infer, procs="auto", **shown, **PATIENT)
    assert (ran.status, ran.error.count("\n")) == (2, 1)
    assert "--procs is auto, which rests on a calibration, and none is made over TLS, which costs more" in ran.error
