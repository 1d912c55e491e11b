"""The file of tokens: what is written is read, and every mistake is one sentence that repeats no token."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.access.tokens import MAX_TOKENS, Scope, Token, digest_of, make_token, read_scopes, read_tokens
from tailgate.errors import ConfigError

DIGEST = "sha256:" + hashlib.sha256(b"secret").hexdigest()
OTHER = "sha256:" + hashlib.sha256(b"other").hexdigest()
names = st.text("abcXYZ019_.-", min_size=1, max_size=64)
scopes = st.frozensets(st.sampled_from(list(Scope)), min_size=1)
lists_of_tokens = st.lists(
    st.builds(Token, names, scopes, st.binary(min_size=32, max_size=32)), max_size=20, unique_by=lambda one: one.digest
)


@given(lists_of_tokens)
def test_tokens_that_were_written_are_read_again(tokens: list[Token]) -> None:
    assert read_tokens("".join(f"{token.line()}\n" for token in tokens), "tokens") == tuple(tokens)


def test_spaces_comments_empty_lines_and_large_digits_make_no_difference() -> None:
    text = f"# who may\n\n  ci \t infer,label   {DIGEST.upper()}\r\n   # the end"
    assert read_tokens(text, "tokens") == (
        Token("ci", frozenset((Scope.INFER, Scope.LABEL)), hashlib.sha256(b"secret").digest()),
    )


def test_one_name_may_have_an_old_token_and_a_new_one() -> None:
    assert [token.name for token in read_tokens(f"ci infer {DIGEST}\nci infer {OTHER}\n", "tokens")] == ["ci", "ci"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ci infer\n", "tokens: line 1: it has 2 fields; expected 'NAME SCOPES sha256:DIGEST', as `tailgate token`"),
        (f"ci infer, label {DIGEST}", "tokens: line 1: it has 4 fields; expected 'NAME SCOPES sha256:DIGEST'"),
        ("\nci infer tg_mine", "tokens: line 2: digest is not 'sha256:' and 64 hexadecimal digits; write the digest"),
        (f"ci infer {DIGEST[:-1]}", "tokens: line 1: digest is not 'sha256:' and 64 hexadecimal digits"),
        (f"ci infre {DIGEST}", "tokens: line 1: scopes has 'infre'; expected some of infer, label, metrics, admin"),
        (f"ci infer, {DIGEST}", "tokens: line 1: scopes has something else; expected some of infer,"),
        (f"c/i infer {DIGEST}", "tokens: line 1: name has other characters than letters, digits, '.', '_' and '-'"),
        (f"{'c' * 65} infer {DIGEST}", "tokens: line 1: name has other characters than"),
        (f"a infer {DIGEST}\nb label {DIGEST}", "tokens: line 2: digest is that of line 1; give each line a token"),
    ],
)
def test_every_mistake_is_one_sentence_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_tokens(text, "tokens")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_mistakes_are_said_at_once() -> None:
    with pytest.raises(ConfigError, match=r"line 1: .*; tokens: line 3: "):
        read_tokens(f"one\nci infer {DIGEST}\ntwo", "tokens")


@pytest.mark.parametrize("text", ["{0} infer", "ci {0} " + DIGEST, "ci infer {0}", "{0}", "ci infer sha256:{0}"])
def test_a_token_that_was_written_by_mistake_is_not_repeated(text: str) -> None:
    token = make_token(bytes(range(32)))
    with pytest.raises(ConfigError) as caught:
        read_tokens(text.format(token), "tokens")
    assert token not in str(caught.value)


def test_there_may_be_only_so_many() -> None:
    lines = [Token("ci", frozenset((Scope.INFER,)), bytes([n // 256, n % 256]) * 16).line() for n in range(300)]
    assert len(read_tokens("\n".join(lines[:MAX_TOKENS]), "tokens")) == MAX_TOKENS
    with pytest.raises(ConfigError, match="it has 257 tokens; at most 256 are taken"):
        read_tokens("\n".join(lines[: MAX_TOKENS + 1]), "tokens")


def test_a_digest_is_what_other_tools_make_of_the_token() -> None:
    assert digest_of(b"secret") == hashlib.sha256(b"secret").digest()


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_tokens_fit_into_a_header_and_differ_as_their_chance_does(chance: bytes, other: bytes) -> None:
    assert re.fullmatch(r"tg_[A-Za-z0-9_-]{43}", make_token(chance))
    assert (make_token(chance) == make_token(other)) == (chance == other)


def test_scopes_are_read_whatever_their_order() -> None:
    assert read_scopes("admin,infer") == {Scope.ADMIN, Scope.INFER}
    with pytest.raises(ValueError, match="something else"):
        read_scopes("")
