"""All ways to misuse the proxy, in one list: `tests/proxy/test_abuse.py` and `bench/abuse.py` go through it."""

from __future__ import annotations

from typing import Final

from fuzz.adversary import floods, frames, headers, messages, slow, strangers
from fuzz.adversary.case import Case

CASES: Final[tuple[Case, ...]] = (
    *strangers.CASES,
    *frames.CASES,
    *floods.CASES,
    *headers.CASES,
    *messages.CASES,
    *slow.CASES,
)
