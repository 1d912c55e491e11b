"""A probe of a proxy that asks for a token, over TLS: each of its clients is let in, and no report tells a token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tailgate.access.tokens import Scope, Token, digest_of, make_token
from tailgate.cli import main
from tailgate.errors import Status
from tailgate_loadgen.credentials import Credentials
from tailgate_loadgen.probe.caller import Caller
from tailgate_loadgen.probe.inputs import message, tensors_of
from tailgate_loadgen.probe.patient import PatientClients
from tailgate_loadgen.target import describe, open_channel
from tailgate_loadgen.tls import Tls

if TYPE_CHECKING:
    from tests.loadgen.conftest import Authority

QUICK = ("--model", "sleeps", "--rounds", "6", "--groups", "2", "--burst", "8", "--no-malformed", "--quiet")
TOKEN = make_token(bytes(range(32)))


@pytest.fixture
def sealed(
    start_server: Callable[..., str], start_proxy: Callable[..., str], authority: Authority, tmp_path: Path
) -> str:
    """A proxy that lets in who has the token and a certificate."""
    known = tmp_path / "tokens"
    known.write_text(Token("probe", frozenset({Scope.INFER}), digest_of(TOKEN.encode())).line())
    cert, key = map(str, authority.issue())
    tls = ("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", str(authority.ca))
    return start_proxy(start_server(service_s=0.03), "--tokens", str(known), *tls)


async def test_every_client_of_a_probe_shows_the_token_and_the_certificate(sealed: str, authority: Authority) -> None:
    credentials = Credentials(TOKEN, tls=Tls(authority.ca, *authority.issue("client.example")))
    async with open_channel(sealed, credentials) as channel:
        described = await describe(channel, sealed, "sleeps", credentials)
        body = message("sleeps", "", tensors_of(described.metadata, {}, None)).SerializeToString()
        caller, patient = Caller(channel, "sleeps", credentials), PatientClients(sealed, credentials)
        assert (await caller.ask(body, 60.0)).status is Status.OK
        assert (await caller.said("")).server == "scripted"
        await patient.connect(3)
        assert [(await patient.start(body, 120.0, 60.0)).status for _ in range(3)] == [Status.OK] * 3
        patient.close()


def test_a_report_of_who_asked_for_a_token_does_not_hold_it(sealed: str, authority: Authority, tmp_path: Path) -> None:
    held, out, (cert, key) = tmp_path / "probe.token", tmp_path / "out", authority.issue("client.example")
    held.write_text(TOKEN)
    shown = ["--token-file", held, "--tls", "--ca", authority.ca, "--cert", cert, "--key", key]
    assert main(["probe", sealed, *QUICK, *map(str, shown), "--out", str(out)]) == 0
    for name in ("probe.json", "probe.html"):
        said = (out / name).read_text()
        assert TOKEN not in said
        assert "UNAUTHENTICATED" not in said


@pytest.mark.parametrize("options", [[], ["--token-file", "unknown"]])
def test_a_probe_that_is_not_let_in_measures_nothing_and_says_why(
    *,
    start_server: Callable[..., str],
    start_proxy: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("unknown").write_text(TOKEN)
    Path("tokens").write_text("")
    address = start_proxy(start_server(), "--tokens", str(tmp_path / "tokens"))
    assert main(["probe", address, *QUICK, *options, "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"tailgate probe: target {address} ")
    assert "--token-file" in said
    assert not list(Path("out").iterdir())
