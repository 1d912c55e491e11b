"""Deadlines: what is late, what has expired, and what clients may write."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tailgate.deadline import MAX_BUDGET_S, Deadline, earliest, parse_deadline_ms, parse_grpc_timeout
from tailgate.errors import InvalidRequest

instants = st.floats(-1e9, 1e9)
budgets = st.floats(-10, 4000)


@given(instants, budgets, instants)
@example(0.0, 0.05, 0.05)
def test_late_is_exactly_elapsed_above_budget_so_that_a_trace_read_back_agrees(
    start_s: float, budget_s: float, now_s: float
) -> None:
    deadline = Deadline(start_s, budget_s)
    latency_s = now_s - start_s  # what an observation and a trace keep
    assert deadline.passed(now_s) == (latency_s > budget_s)
    assert deadline.passed(now_s) == (deadline.remaining_s(now_s) < 0)


@given(instants, budgets)
def test_no_time_passes_between_a_deadlines_start_and_itself(start_s: float, budget_s: float) -> None:
    deadline = Deadline(start_s, budget_s)
    assert deadline.remaining_s(start_s) == budget_s
    assert deadline.at_s == start_s + budget_s
    assert deadline.passed(start_s) == (budget_s < 0)


@given(instants, st.floats(-10, 0))
def test_an_expired_deadline_keeps_its_negative_budget(start_s: float, budget_s: float) -> None:
    deadline = earliest(start_s, 1.0, budget_s)
    assert deadline.expired_on_arrival
    assert deadline.budget_s == budget_s


@given(st.floats(1e-9, 4000))
def test_any_budget_above_zero_has_not_expired(budget_s: float) -> None:
    assert not Deadline(5.0, budget_s).expired_on_arrival


@given(instants, st.lists(st.none() | budgets, min_size=1).filter(lambda given: any(g is not None for g in given)))
def test_the_tightest_budget_counts_and_none_says_nothing(start_s: float, given_s: list[float | None]) -> None:
    deadline = earliest(start_s, *given_s)
    assert deadline.start_s == start_s
    assert deadline.budget_s == min([MAX_BUDGET_S, *(budget for budget in given_s if budget is not None)])


def test_no_budget_is_longer_than_the_longest() -> None:
    assert earliest(0.0, math.inf, parse_grpc_timeout("99999999H")).budget_s == MAX_BUDGET_S


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0n", 0.0),
        ("0S", 0.0),
        ("1n", 1e-9),
        ("250u", 250e-6),
        ("50m", 0.05),
        ("2S", 2.0),
        ("3M", 180.0),
        ("1H", 3600.0),
        ("00000001S", 1.0),
        ("99999999H", 99999999 * 3600.0),
    ],
)
def test_grpc_timeouts_of_the_specification_are_read(text: str, seconds: float) -> None:
    assert parse_grpc_timeout(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "S",
        "5",
        "-1S",
        "+1S",
        "abc",
        "1.5S",
        "1 S",
        " 1S",
        "1S ",
        "1S\n",
        "1s",
        "1h",
        "1us",
        "123456789m",
        "١S",
        "1_0S",
    ],
)
def test_a_malformed_grpc_timeout_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(InvalidRequest, match="grpc-timeout is ") as raised:
        parse_grpc_timeout(text)
    assert repr(text) in str(raised.value)


@given(st.integers(0, 99_999_999), st.sampled_from([("H", 3600), ("M", 60), ("S", 1)]))
def test_whole_grpc_units_are_exact(number: int, unit: tuple[str, int]) -> None:
    assert parse_grpc_timeout(f"{number}{unit[0]}") == number * unit[1]


@given(st.integers(0, 99_999_999), st.sampled_from([("m", 10**3), ("u", 10**6), ("n", 10**9)]))
def test_parts_of_a_second_are_the_nearest_float(number: int, unit: tuple[str, int]) -> None:
    assert parse_grpc_timeout(f"{number}{unit[0]}") == float(Fraction(number, unit[1]))


@given(st.integers(0, 99_999_999))
def test_the_same_milliseconds_are_the_same_budget_in_either_header(milliseconds: int) -> None:
    assert parse_grpc_timeout(f"{milliseconds}m") == parse_deadline_ms(str(milliseconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50", 0.05),
        ("12.5", 0.0125),
        ("0", 0.0),
        ("-3", -0.003),
        ("+5", 0.005),
        ("1e3", 1.0),
        (".5", 0.0005),
        ("5.", 0.005),
    ],
)
def test_a_deadline_in_milliseconds_is_read(text: str, seconds: float) -> None:
    assert parse_deadline_ms(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "nan", "NaN", "inf", "-inf", "Infinity", "1e400", "1_000", " 5", "5 ", "５", "0x10", "50ms", "5,0", "--5"],
)
def test_a_deadline_that_is_no_finite_number_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(InvalidRequest, match="tailgate-deadline-ms is ") as raised:
        parse_deadline_ms(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("beginning", ["", "9.", ".", "9e"])
def test_a_long_text_that_is_nearly_a_number_is_refused_as_soon_as_any_other(beginning: str) -> None:
    """Where looking takes the square of the length, this does not end: a header comes before any token is looked at."""
    with pytest.raises(InvalidRequest, match="tailgate-deadline-ms is "):
        parse_deadline_ms(beginning + "9" * 1_000_000 + "x")


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_any_finite_number_of_milliseconds_is_that_many_thousandths(value: float) -> None:
    assert parse_deadline_ms(repr(value)) == value / 1e3


@given(st.text(max_size=12))
def test_no_text_makes_a_budget_that_is_not_finite(text: str) -> None:
    for parse in (parse_deadline_ms, parse_grpc_timeout):
        with contextlib.suppress(InvalidRequest):
            assert math.isfinite(parse(text))
