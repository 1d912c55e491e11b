"""Bearer tokens and the file that names them: one line a token, as text.

The file holds no token, only its digest, so that whoever reads it can do nothing with it. Tokens are random and long
(`make_token`), which is why a plain SHA-256 will do: there is no dictionary to try.

Must not live here: what a token is asked for (`decision.py`), which call needs which scope, where files are.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final

from tailgate.errors import ConfigError


class Scope(StrEnum):
    """What a token is good for."""

    INFER = auto()
    """Inference, and what a client asks of models before it: metadata, readiness, statistics."""
    LABEL = auto()
    """Labels given afterwards."""
    METRICS = auto()
    """Reading metrics, and nothing else: for Prometheus."""
    ADMIN = auto()
    """The admin port's pages, and calls that change the upstream, such as loading a model."""


MAX_TOKENS: Final = 256
"""Each is compared with what a request presents, so that the time it takes says nothing; that bounds it."""

TOKEN_BYTES: Final = 32
"""Of chance in a token."""

_PREFIX: Final = "sha256:"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_DIGEST: Final = re.compile(_PREFIX + r"[0-9a-f]{64}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z_-]{1,16}", re.ASCII)
_SCOPES: Final = "infer, label, metrics, admin"


@dataclass(frozen=True, slots=True)
class Token:
    """One line of the file.

    Attributes:
        name: Of whoever has the token; it stands in messages and logs.
        scopes: What it is good for.
        digest: SHA-256 of the token.
    """

    name: str
    scopes: frozenset[Scope]
    digest: bytes

    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.name} {','.join(scope for scope in Scope if scope in self.scopes)} {_PREFIX}{self.digest.hex()}"


def make_token(chance: bytes) -> str:
    """A token made of so many random bytes, in letters that a header can carry.

    >>> make_token(bytes(32))[:8]
    'tg_AAAAA'
    """
    return "tg_" + base64.urlsafe_b64encode(chance).rstrip(b"=").decode()


def digest_of(token: bytes) -> bytes:
    """What stands in the file for it."""
    return hashlib.sha256(token).digest()


def read_tokens(text: str, name: str) -> tuple[Token, ...]:
    """The tokens of a file: ``NAME SCOPES sha256:DIGEST`` a line, beside empty lines and those that begin with ``#``.

    One name may stand in several lines: its old token and its new one, while clients change over.

    Args:
        text: What is in the file.
        name: What to call the file in a sentence.

    Raises:
        ConfigError: Something is wrong; a sentence for each mistake, with its line. What could be a token written there
            by mistake is not repeated.
    """
    tokens: dict[bytes, tuple[int, Token]] = {}
    mistakes = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            token = _read_line(line.split())
        except ValueError as error:
            mistakes.append(f"{name}: line {number}: {error}")
            continue
        first, _ = tokens.setdefault(token.digest, (number, token))
        if first != number:
            mistakes.append(f"{name}: line {number}: digest is that of line {first}; give each line a token of its own")
    if len(tokens) > MAX_TOKENS:
        mistakes.append(f"{name}: it has {len(tokens)} tokens; at most {MAX_TOKENS} are taken")
    if mistakes:
        raise ConfigError("; ".join(mistakes))
    return tuple(token for _, token in tokens.values())


def read_scopes(text: str) -> frozenset[Scope]:
    """Scopes with commas between them.

    Raises:
        ValueError: One is none.
    """
    words = text.split(",")
    wrong = next((word for word in words if word not in list(Scope)), None)
    if wrong is not None:
        named = repr(wrong) if _WORD.fullmatch(wrong) else "something else"
        raise ValueError(f"scopes has {named}; expected some of {_SCOPES}, with commas and no spaces between them")
    return frozenset(Scope(word) for word in words)


def read_name(text: str) -> str:
    """The name of whoever has a token.

    Raises:
        ValueError: It is none.
    """
    if not _NAME.fullmatch(text):
        raise ValueError("name has other characters than letters, digits, '.', '_' and '-', or more than 64 of them")
    return text


def _read_line(fields: list[str]) -> Token:
    if len(fields) != 3:
        raise ValueError(
            f"it has {len(fields)} fields; expected 'NAME SCOPES sha256:DIGEST', as `tailgate token` prints it"
        )
    name, scopes, digest = fields
    if not _DIGEST.fullmatch(digest.lower()):
        raise ValueError(
            f"digest is not '{_PREFIX}' and 64 hexadecimal digits; write the digest that `tailgate token` prints, "
            "never the token itself"
        )
    return Token(read_name(name), read_scopes(scopes), bytes.fromhex(digest[len(_PREFIX) :]))
