"""`tailgate token`: what it prints is what a proxy takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from tailgate.access.tokens import Scope
from tailgate.errors import UsageError
from tailgate_proxy.access.command import COMMAND
from tailgate_proxy.access.token_file import TokenFile


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    return COMMAND.run(parser.parse_args(arguments))


async def test_its_line_lets_its_token_in(capsys: pytest.CaptureFixture[str], tmp_path: Path, start_proxy: Any) -> None:
    assert run("ci", "--scopes", "infer,label") == 0
    printed = capsys.readouterr()
    token = printed.err.strip()
    path = tmp_path / "tokens"
    path.write_text(printed.out)
    path.chmod(0o600)
    (one,) = TokenFile(path).tokens
    assert (one.name, one.scopes) == ("ci", frozenset((Scope.INFER, Scope.LABEL)))
    assert token not in printed.out
    running = await start_proxy(tokens=str(path))
    assert await running.infer("1/a", authorization=f"Bearer {token}")


def test_no_two_tokens_are_alike(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(100):
        run("ci", "--scopes", "infer")
    assert len(set(capsys.readouterr().err.split())) == 100


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("c/i", "--scopes", "infer"), "name has other characters than letters, digits, '.', '_' and '-'"),
        (("ci", "--scopes", "infer,all"), "scopes has 'all'; expected some of infer, label, metrics, admin"),
        (("ci", "--scopes", ""), "scopes has something else; expected some of infer"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(*arguments)
    assert sentence in str(caught.value)
