"""A way to misuse the proxy, as data: what is done, and under which settings it has to be withstood."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fuzz.adversary.peer import Target


@dataclass(frozen=True)
class Case:
    """One of them.

    Attributes:
        name: In words.
        attack: Does it, once, and asserts what the attacker itself has to see. It may be repeated.
        settings: Of the proxy, where its defaults would take too long to show it.
    """

    name: str
    attack: Callable[[Target], Awaitable[None]]
    settings: Mapping[str, object] = field(default_factory=dict)


def words(attack: Callable[[Target], Awaitable[None]]) -> str:
    """A function's name in words."""
    return attack.__name__.replace("_", " ")
