"""Durations as people type and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import ConfigError
from tailgate.units import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50ms", 0.05),
        ("9ms", 0.009),
        ("250us", 250e-6),
        ("250µs", 250e-6),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        (" 7 ms ", 0.007),
    ],
)
def test_a_duration_is_read_with_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "50", "ms", "0ms", "0.0s", "-5ms", "5 parsecs", "1e3ms", "nan s", "infs", "5ms5", "9" * 400 + "s"]
)
def test_what_is_no_duration_is_refused_by_name_and_value(text: str) -> None:
    with pytest.raises(ConfigError, match="--deadline is ") as raised:
        parse_duration(text, "--deadline")
    assert repr(text) in str(raised.value)
    assert "50ms" in str(raised.value)


@given(st.integers(1, 10**6))
def test_whole_milliseconds_are_the_float_that_is_nearest(number: int) -> None:
    assert parse_duration(f"{number}ms") == number / 1000


@given(st.floats(1e-6, 5e4))
def test_what_is_printed_reads_back_to_four_digits(seconds: float) -> None:
    number, unit = format_duration(seconds).split(" ")
    assert parse_duration(f"{float(number):f} {unit}") == pytest.approx(seconds, rel=1e-3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 µs"), (2e-6, "2 µs"), (0.05, "50 ms"), (0.0814, "81.4 ms"), (2.0, "2 s"), (71.59, "71.59 s")],
)
def test_a_duration_is_printed_in_the_unit_in_which_it_reads_best(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
