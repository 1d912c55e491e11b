"""The decision: who has the right token is let in, everybody else is told why not, and nothing else."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.access.decision import Reason, Refusal, decide, presented
from tailgate.access.tokens import Scope, Token, digest_of
from tailgate.errors import PermissionDenied, Unauthenticated

secrets = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8, unique=True)
scopes = st.frozensets(st.sampled_from(list(Scope)), min_size=1)
needs = st.lists(st.sampled_from(list(Scope)), min_size=1, max_size=2)


def tokens_of(known: Sequence[bytes], has: Sequence[frozenset[Scope]]) -> list[Token]:
    return [Token(f"client-{number}", has[number % len(has)], digest_of(secret)) for number, secret in enumerate(known)]


@given(secrets, st.lists(scopes, min_size=1, max_size=8), needs, st.binary(max_size=20))
def test_a_token_lets_in_if_it_is_known_and_good_for_one_of_the_scopes(
    known: list[bytes], has: list[frozenset[Scope]], needed: list[Scope], stranger: bytes
) -> None:
    tokens = tokens_of(known, has)
    for secret, token in zip(known, tokens, strict=True):
        verdict = decide(tokens, secret, needed)
        if token.scopes & set(needed):
            assert verdict == token
        else:
            assert isinstance(verdict, Refusal)
            assert (verdict.reason, type(verdict.error)) == (Reason.SCOPE, PermissionDenied)
            assert token.name in str(verdict.error)
    if stranger not in known:
        verdict = decide(tokens, stranger, needed)
        assert isinstance(verdict, Refusal)
        assert verdict.reason is (Reason.UNKNOWN if stranger else Reason.MISSING)
        assert type(verdict.error) is Unauthenticated


@given(secrets)
def test_a_part_of_a_token_or_more_than_it_lets_nobody_in(known: list[bytes]) -> None:
    tokens = tokens_of(known, [frozenset(Scope)])
    for secret in known:
        for guess in (secret[:-1], secret + b"x", secret.hex().encode(), digest_of(secret)):
            if guess not in known:
                assert isinstance(decide(tokens, guess, [Scope.INFER]), Refusal)


@pytest.mark.parametrize("presenting", [b"first", b"last", b"none of them"])
def test_every_token_is_compared_in_constant_time_whichever_fits(
    monkeypatch: pytest.MonkeyPatch, presenting: bytes
) -> None:
    compared: list[bytes] = []
    in_constant_time = hmac.compare_digest

    def compare_digest(known: bytes, given: bytes) -> bool:
        compared.append(known)
        return in_constant_time(known, given)

    tokens = tokens_of([b"first", b"second", b"third", b"last"], [frozenset((Scope.INFER,))])
    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    decide(tokens, presenting, [Scope.INFER])
    assert compared == [token.digest for token in tokens]


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        (b"", b""),
        (b"Bearer abc", b"abc"),
        (b"bearer   abc ", b"abc"),
        (b"BEARER a b", b"a b"),
        (b"Bearer", b""),
        (b"abc", b""),
        (b"Basic " + b64encode(b"me:abc"), b""),
        (b"Token abc", b""),
    ],
)
def test_a_token_is_what_comes_after_bearer(authorization: bytes, token: bytes) -> None:
    assert presented(authorization) == token


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        (b"Basic " + b64encode(b"me:abc"), b"abc"),
        (b"basic " + b64encode(b":a:b"), b"a:b"),
        (b"Basic " + b64encode(b"abc"), b""),
        (b"Basic !", b""),
        (b"Basic", b""),
        (b"Bearer abc", b"abc"),
    ],
)
def test_a_person_gives_it_as_the_password(authorization: bytes, token: bytes) -> None:
    assert presented(authorization, basic=True) == token


@given(st.binary())
def test_whatever_is_presented_is_read_without_a_fault(authorization: bytes) -> None:
    for basic in (False, True):
        presented(authorization, basic=basic)
        presented(b"Basic " + authorization, basic=basic)


@given(st.binary(min_size=4, max_size=20))
def test_a_refusal_never_repeats_what_was_presented(token: bytes) -> None:
    tokens = tokens_of([token], [frozenset((Scope.LABEL,))])
    for verdict in (decide(tokens, token, [Scope.INFER]), decide([], token, [Scope.INFER])):
        assert isinstance(verdict, Refusal)
        assert token.decode("latin-1") not in str(verdict.error) or token.decode("latin-1") in _WORDS


_WORDS = "the token of 'client-0' has scope label, and this needs infer the token is not known here; ask for a new one"
