"""Whether a request is let in: what it presents, held against the tokens there are.

Must not live here: which call needs which scope, what is done about a refusal.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto

from tailgate.access.tokens import Scope, Token, digest_of
from tailgate.errors import PermissionDenied, Unauthenticated


class Reason(StrEnum):
    """Why a request is refused."""

    MISSING = auto()
    """It came without a token."""
    UNKNOWN = auto()
    """Its token is none of those in the file."""
    SCOPE = auto()
    """Its token is known and not good for this."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request is not let in.

    Attributes:
        reason: For counters.
        error: For the client: its status, and a sentence that never repeats a token.
    """

    reason: Reason
    error: Unauthenticated | PermissionDenied


def presented(authorization: bytes, *, basic: bool = False) -> bytes:
    """The token that an ``authorization`` field presents; empty where it presents none.

    Args:
        authorization: ``Bearer TOKEN`` (RFC 6750 §2.1).
        basic: Whether the password of ``Basic`` (RFC 7617) counts as well, whoever the user is.

    >>> presented(b"Bearer abc"), presented(b"Basic eDphYmM="), presented(b"Basic eDphYmM=", basic=True)
    (b'abc', b'', b'abc')
    """
    scheme, _, rest = authorization.partition(b" ")
    scheme, rest = scheme.lower(), rest.strip(b" ")
    if scheme == b"bearer":
        return rest
    if basic and scheme == b"basic":
        try:
            return base64.b64decode(rest, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def decide(tokens: Sequence[Token], token: bytes, needed: Sequence[Scope]) -> Token | Refusal:
    """Whether a request is let in, and by whose token.

    Every token is looked at, each in constant time, whichever of them fits: how long it takes does not tell how much of
    a guess was right.

    Args:
        tokens: That are good for something.
        token: What the request presented.
        needed: Scopes any of which is enough.
    """
    if not token:
        return Refusal(Reason.MISSING, Unauthenticated("a token is needed; send it as 'authorization: Bearer TOKEN'"))
    digest, found = digest_of(token), None
    for one in tokens:
        if hmac.compare_digest(one.digest, digest):
            found = one
    if found is None:
        return Refusal(Reason.UNKNOWN, Unauthenticated("the token is not known here; ask for a new one"))
    if found.scopes.isdisjoint(needed):
        has, needs = ", ".join(sorted(found.scopes)), " or ".join(needed)
        error = PermissionDenied(f"the token of {found.name!r} has scope {has}, and this needs {needs}")
        return Refusal(Reason.SCOPE, error)
    return found
