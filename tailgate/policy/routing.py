"""Which upstream a request goes to: by its model, its version and its headers, and by weight where there are several.

Rules stand in an order, and the first that a request matches decides. Among the upstreams of a rule the request's id
decides, by weighted rendezvous hashing: each upstream draws a number from its own name and the id, exponentially
distributed with its weight for a rate, and the smallest wins (the probability of which is weight over sum of weights;
Schindelhauer & Schomaker, "Weighted distributed hash tables", 2005). So one id goes the same way every time, in every
process and after every restart; and where weights change, requests move only towards what has gained.

Must not live here: what is done for a request otherwise, or what an upstream is.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MAX_REMEMBERED: Final = 1000
"""So many names of models that no rule spells out are remembered with the rules whose patterns they match."""

LONGEST: Final = 256
"""Names longer than this match no pattern but `*`: what matching costs rises steeply with their length."""

_RUN: Final = re.compile(r"[*?]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """One route.

    Attributes:
        model: The model's name, or a pattern: `*` is any text, `?` any one character.
        version: The version that is asked for; empty: none is; None: whatever is.
        headers: Fields that the request must have, with exactly these values.
        weights: Where to: upstreams, and how much of the rule's traffic each gets in proportion. At least one is above
            zero.
        shadow: The upstream that copies of its requests go to; empty: none.
        shadow_share: Of how many of them.
    """

    model: str
    version: str | None
    headers: tuple[tuple[bytes, bytes], ...]
    weights: tuple[tuple[str, float], ...]
    shadow: str = ""
    shadow_share: float = 0.0

    def fits(self, version: str, fields: Mapping[bytes, bytes]) -> bool:
        """Whether a request matches it, whose model does."""
        if self.version is not None and self.version != version:
            return False
        return all(fields.get(name) == value for name, value in self.headers)

    def target(self, request_id: str) -> str:
        """The upstream that a request goes to."""
        weights = self.weights
        if len(weights) == 1:
            return weights[0][0]
        best, chosen = math.inf, ""
        name = request_id.encode("utf-8", "surrogatepass")
        for upstream, weight in weights:
            if weight > 0.0:
                drawn = -math.log(uniform(upstream, name)) / weight
                if drawn < best:
                    best, chosen = drawn, upstream
        return chosen


class RoutingTable:
    """The rules, ready to be asked: what is left to do for a request is to look its model up.

    Attributes:
        reads: Names of the header fields that any rule looks at.
    """

    def __init__(self, rules: Sequence[Rule], default: str) -> None:
        """Decide by these rules; where none matches, `default` is where a request goes."""
        named = {rule.model for rule in rules if not is_pattern(rule.model)}
        self.reads: frozenset[bytes] = frozenset(name for rule in rules for name, _ in rule.headers)
        self._default = default
        self._named = {model: _candidates(rules, model) for model in named}
        self._patterns = [rule for rule in rules if is_pattern(rule.model)]
        self._any = tuple(rule for rule in self._patterns if _matches_all(rule.model))
        self._all_match = len(self._any) == len(self._patterns)
        self._remembered: dict[str, tuple[Rule, ...]] = {}

    def target(self, model: str, version: str, fields: Mapping[bytes, bytes], request_id: str) -> str:
        """The upstream that a request goes to."""
        rule = self.rule(model, version, fields)
        return self._default if rule is None else rule.target(request_id)

    def rule(self, model: str, version: str, fields: Mapping[bytes, bytes]) -> Rule | None:
        """The first rule that a request matches, if there is one."""
        candidates = self._named.get(model)
        if candidates is None:
            candidates = self._any if self._all_match or len(model) > LONGEST else self._by_pattern(model)
        for rule in candidates:
            if rule.fits(version, fields):
                return rule
        return None

    def _by_pattern(self, model: str) -> tuple[Rule, ...]:
        found = self._remembered.get(model)
        if found is None:
            found = _candidates(self._patterns, model)
            if len(self._remembered) < MAX_REMEMBERED:
                self._remembered[model] = found
        return found


def is_pattern(model: str) -> bool:
    """Whether a rule's model is a pattern."""
    return "*" in model or "?" in model


def matches(pattern: str, model: str) -> bool:
    """Whether a model's name matches a pattern."""
    return _compiled(pattern).fullmatch(model) is not None


def covers(earlier: Rule, later: Rule) -> bool:
    """Whether every request that matches `later` matches `earlier`, too. Says no where that is not certain."""
    return (
        _covers_pattern(_canonical(earlier.model), _canonical(later.model))
        and (earlier.version is None or earlier.version == later.version)
        and set(earlier.headers) <= set(later.headers)
    )


def unreachable(rules: Sequence[Rule]) -> list[tuple[int, int]]:
    """Rules that no request gets to, each with the first one before it that takes all of its requests; by position."""
    found = []
    for at, later in enumerate(rules):
        taker = next((index for index, earlier in enumerate(rules[:at]) if covers(earlier, later)), None)
        if taker is not None:
            found.append((at, taker))
    return found


def _candidates(rules: Sequence[Rule], model: str) -> tuple[Rule, ...]:
    """Those that requests for a model can match, up to the first that they always do."""
    found = []
    for rule in rules:
        if matches(rule.model, model):
            found.append(rule)
            if rule.version is None and not rule.headers:
                break
    return tuple(found)


def _matches_all(pattern: str) -> bool:
    return _canonical(pattern) == "*"


def _compiled(pattern: str) -> re.Pattern[str]:
    parts = [{"*": ".*", "?": "."}.get(character) or re.escape(character) for character in _canonical(pattern)]
    return re.compile("".join(parts), re.DOTALL)


def _canonical(pattern: str) -> str:
    """The pattern that matches the same, with the wildcards between two letters in one order and `*` only once."""
    return _RUN.sub(lambda run: "?" * run[0].count("?") + "*" * ("*" in run[0]), pattern)


def _covers_pattern(wide: str, narrow: str) -> bool:
    """Whether a pattern matches all that another one does: walked through together, a column for each place of `wide`.

    Both are canonical. What `narrow` has for `?` and `*` may be anything, so only the same wildcards of `wide` take it.
    """
    places = _behind_stars({0}, wide)
    for symbol in narrow:
        reached = set()
        for place in places:
            if place < len(wide):
                if wide[place] == "*":
                    reached.add(place)
                elif wide[place] == symbol or (wide[place] == "?" and symbol != "*"):
                    reached.add(place + 1)
        places = _behind_stars(reached, wide)
    return len(wide) in places


def _behind_stars(places: set[int], wide: str) -> set[int]:
    found = set(places)
    for place in sorted(places):
        at = place
        while at < len(wide) and wide[at] == "*":
            at += 1
            found.add(at)
    return found


def uniform(upstream: str, request_id: bytes, purpose: bytes = b"") -> float:
    """Even in (0, 1), the same every time, and independent of that for another upstream or purpose.

    Args:
        upstream: Its name, of at most 64 bytes.
        request_id: The request's.
        purpose: What it decides, in at most 16 bytes.
    """
    digest = hashlib.blake2b(request_id, digest_size=8, key=upstream.encode(), person=purpose).digest()
    return (int.from_bytes(digest) + 0.5) * 2.0**-64
