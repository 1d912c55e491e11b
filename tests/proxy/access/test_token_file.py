"""The file of tokens in a running proxy: new tokens come into use, old ones go, and a bad file changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tailgate.errors import ConfigError
from tailgate.protocol.envelope import RequestFrame
from tailgate_proxy.access import token_file
from tailgate_proxy.access.token_file import TokenFile

StartProxy = Any  # defined in conftest.py, which tests do not import
Tokens = Any


@pytest.fixture
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_file, "LOOK_INTERVAL_S", 0.01)


async def let_in(running: Any, tokens: Tokens, name: str) -> bool:
    pairs = [("authorization", tokens.bearer(name))]
    call = running.call(RequestFrame("scripted", "image", "UINT8", (1, 4)).build("1/a", b"abcd"), 20.0, pairs)
    code = await call.code()
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED)
    return bool(code is grpc.StatusCode.OK)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("look_often")
async def test_a_new_file_is_used_at_once_on_connections_that_are_open(start_proxy: StartProxy, tokens: Tokens) -> None:
    tokens.write("infer")
    running = await start_proxy(tokens=str(tokens.path))
    file = running.proxy._guard.file
    assert await let_in(running, tokens, "infer")
    tokens.write("infer,label")
    await until(lambda: file.reloads == 1)
    assert not await let_in(running, tokens, "infer")
    assert await let_in(running, tokens, "infer,label")
    assert file.failures == 0


@pytest.mark.usefixtures("look_often")
@pytest.mark.parametrize("spoil", ["a mistake", "not text", "gone"])
async def test_a_bad_file_leaves_the_tokens_in_use_and_says_so_once(
    spoil: str, start_proxy: StartProxy, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    file = running.proxy._guard.file
    if spoil == "gone":
        tokens.path.unlink()
    else:
        tokens.path.write_bytes(b"ci infer tg_plain" if spoil == "a mistake" else b"\xff\xfe")
    await until(lambda: file.failures >= 3)
    assert await let_in(running, tokens, "infer")
    said = [record.getMessage() for record in caplog.records if "the tokens in use stay in use" in record.getMessage()]
    assert len(said) == 1
    assert str(tokens.path) in said[0]
    assert "tg_plain" not in said[0]
    assert file.reloads == 0
    tokens.write("admin")
    await until(lambda: file.reloads == 1)
    assert not await let_in(running, tokens, "infer")


async def test_a_file_is_used_once_two_looks_have_seen_the_same(tokens: Tokens) -> None:
    file = TokenFile(tokens.path)
    before = file.tokens
    tokens.write("infer")
    await file.look()
    assert file.tokens == before
    tokens.write("label")
    await file.look()
    assert file.tokens == before
    await file.look()
    assert [token.name for token in file.tokens] == ["label"]
    assert (file.reloads, file.failures) == (1, 0)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)])
def test_a_file_that_every_user_may_read_or_write_is_warned_of(
    mode: int, warned: bool, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.path.chmod(mode)
    TokenFile(tokens.path)
    assert ("is open to every user of this machine" in caplog.text) is warned


def test_a_file_without_tokens_lets_nobody_in_and_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens"
    path.write_text("# nobody yet\n")
    assert TokenFile(path).tokens == ()
    assert "has no token in it, so nobody is let in" in caplog.text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "--tokens {} cannot be read: No such file or directory"),
        (b"\xff", "--tokens {} is not text in UTF-8"),
        (b"ci\n", "--tokens {}: line 1: it has 1 fields"),
    ],
)
async def test_a_proxy_does_not_start_with_a_file_it_cannot_use(
    content: bytes | None, sentence: str, tmp_path: Path, start_proxy: StartProxy
) -> None:
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        await start_proxy(tokens=str(path))
    assert sentence.format(path) in str(caught.value)


@pytest.mark.usefixtures("look_often")
async def test_a_file_is_noticed_however_it_was_replaced(
    start_proxy: StartProxy, tokens: Tokens, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tokens.path)
    running = await start_proxy(tokens=str(link))
    other = type(tokens)(tmp_path / "other")
    other.write("label")
    other_link = tmp_path / "other-link"
    other_link.symlink_to(other.path)
    other_link.replace(link)
    await until(lambda: running.proxy._guard.file.reloads == 1)
    assert [token.name for token in running.proxy._guard.file.tokens] == ["label"]


async def test_what_an_administrator_calls_is_logged_with_the_name_of_the_token(
    start_proxy: StartProxy, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    running = await start_proxy(tokens=str(tokens.path))
    path = "/inference.GRPCInferenceService/RepositoryModelLoad"
    metadata = grpc.aio.Metadata(("authorization", tokens.bearer("admin")))
    await running.channel.unary_unary(path)(b"", timeout=20.0, metadata=metadata)
    assert f"{path} is called with the token of admin" in caplog.text
    assert "secret" not in caplog.text
