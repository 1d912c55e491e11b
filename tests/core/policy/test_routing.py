"""Where a request goes: as if every rule were asked in turn, the same every time, by weight among several."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.policy.routing import (
    LONGEST,
    MAX_REMEMBERED,
    RoutingTable,
    Rule,
    covers,
    matches,
    unreachable,
)

letters = st.text("ab", max_size=4)
patterns = st.text("ab*?", min_size=1, max_size=5)
versions = st.sampled_from(["", "1", "2"])
fields = st.dictionaries(st.sampled_from([b"x", b"y"]), st.sampled_from([b"0", b"1"]))
upstreams = st.sampled_from(["u", "v", "w"])
rules = st.builds(
    Rule,
    model=patterns,
    version=st.none() | versions,
    headers=fields.map(lambda found: tuple(sorted(found.items()))),
    weights=upstreams.map(lambda name: ((name, 1.0),)),
)


def naive_match(pattern: str, model: str) -> bool:
    """By trying every way to cut the name."""
    if not pattern:
        return not model
    if pattern[0] == "*":
        return any(naive_match(pattern[1:], model[cut:]) for cut in range(len(model) + 1))
    return bool(model) and pattern[0] in ("?", model[0]) and naive_match(pattern[1:], model[1:])


def naive(given: list[Rule], model: str, version: str, found: Mapping[bytes, bytes]) -> Rule | None:
    for rule in given:
        if (
            naive_match(rule.model, model)
            and rule.version in (None, version)
            and all(found.get(name) == value for name, value in rule.headers)
        ):
            return rule
    return None


@given(patterns, letters)
def test_a_pattern_matches_what_some_cut_of_the_name_matches(pattern: str, model: str) -> None:
    assert matches(pattern, model) == naive_match(pattern, model)


def test_what_is_no_wildcard_stands_for_itself() -> None:
    assert matches("a.c[1]+\n*", "a.c[1]+\n")
    assert not matches("a.c", "abc")
    assert matches("a?c", "a\nc")


@given(st.lists(rules, max_size=6), letters, versions, fields)
def test_a_table_decides_as_if_every_rule_were_asked_in_turn(
    given: list[Rule], model: str, version: str, found: dict[bytes, bytes]
) -> None:
    table = RoutingTable(given, "default")
    expected = naive(given, model, version, found)
    for _ in range(2):  # the second time from what it remembers
        assert table.rule(model, version, found) == expected
        target = table.target(model, version, found, "id")
        assert target == ("default" if expected is None else expected.weights[0][0])
    assert table.reads == {name for rule in given for name, _ in rule.headers}


@given(st.lists(rules, max_size=6), letters, versions, fields)
def test_a_rule_called_unreachable_is_reached_by_nobody(
    given: list[Rule], model: str, version: str, found: dict[bytes, bytes]
) -> None:
    dead = dict(unreachable(given))
    reached = naive(given, model, version, found)
    for at, taker in dead.items():
        assert taker < at
        assert given[at] is not reached or given.index(given[at]) < at
        if naive_match(given[at].model, model) and given[at].fits(version, found):
            assert naive_match(given[taker].model, model)
            assert given[taker].fits(version, found)


@pytest.mark.parametrize(
    ("earlier", "later", "covered"),
    [
        ("*", "resnet50", True),
        ("*", "res*", True),
        ("res*", "resnet50", True),
        ("res*", "resnet*", True),
        ("resnet*", "res*", False),
        ("resnet50", "resnet50", True),
        ("resnet50", "resnet5?", False),
        ("resnet5?", "resnet50", True),
        ("?*", "*?", True),
        ("*?", "*", False),
        ("*net*", "res*", False),
        ("a*b*c", "a?b*c*c", True),
    ],
)
def test_which_patterns_take_all_that_others_would(earlier: str, later: str, covered: bool) -> None:
    def rule(model: str) -> Rule:
        return Rule(model, None, (), (("u", 1.0),))

    assert covers(rule(earlier), rule(later)) is covered


def test_a_rule_with_fewer_conditions_takes_all_of_one_with_more_and_not_the_other_way_round() -> None:
    weights = (("u", 1.0),)
    plain, versioned = Rule("m", None, (), weights), Rule("m", "2", (), weights)
    header = Rule("m", "2", ((b"x", b"1"),), weights)
    assert unreachable([plain, versioned, header]) == [(1, 0), (2, 0)]
    assert unreachable([versioned, header, plain]) == [(1, 0)]
    assert unreachable([header, versioned, plain]) == []


def test_made_up_names_are_not_remembered_without_end_nor_matched_at_any_length() -> None:
    table = RoutingTable([Rule("a*b*c*d*", None, (), (("u", 1.0),)), Rule("*", "9", (), (("v", 1.0),))], "default")
    for number in range(2 * MAX_REMEMBERED):
        assert table.target(f"abcd{number}", "", {}, "id") == "u"
    assert len(table._remembered) == MAX_REMEMBERED
    assert table.target("abcd" * LONGEST, "", {}, "id") == "default"
    assert table.target("abcd" * LONGEST, "9", {}, "id") == "v"


def shared(**weights: float) -> Rule:
    return Rule("*", None, (), tuple(weights.items()))


@given(st.integers(0, 2**32))
def test_the_shares_of_several_are_their_weights_as_far_as_chance_allows(seed: int) -> None:
    weights = {"a": 5.0, "b": 3.0, "c": 2.0, "none": 0.0}
    count = 2000
    got = Counter(shared(**weights).target(f"{seed}/{number}") for number in range(count))
    assert got["none"] == 0
    for name, weight in weights.items():
        share = weight / 10.0
        # Six standard deviations: once in half a thousand million looks.
        assert abs(got[name] - count * share) <= 6.0 * math.sqrt(count * share * (1.0 - share))


@given(st.text(), st.permutations(["a", "b", "c"]), st.floats(0.1, 1e6))
def test_one_id_goes_the_same_way_whatever_the_order_and_the_unit_of_the_weights(
    request_id: str, order: list[str], unit: float
) -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 4.0}
    other = shared(**{name: weights[name] * unit for name in order})
    assert other.target(request_id) == shared(**weights).target(request_id)


@given(st.text(), st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_where_a_weight_changes_requests_move_only_towards_what_has_gained(
    request_id: str, before: float, after: float
) -> None:
    old = shared(stable=90.0, other=5.0, canary=before).target(request_id)
    new = shared(stable=90.0, other=5.0, canary=after).target(request_id)
    if new != old:
        assert (old if after < before else new) == "canary"


def test_an_id_goes_where_it_went_in_earlier_versions_and_other_processes() -> None:
    rule = shared(stable=60.0, canary=40.0)
    went = "".join(rule.target(f"order-{number}")[0] for number in range(30))
    assert went == "ssssssssscccssssssssssccccsscc"
