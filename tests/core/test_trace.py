"""Traces: what was acknowledged is there, what is damaged is found, what could not be written is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import Status, TraceError
from tailgate.observation import Observation, Verdict
from tailgate.outcome import Outcome
from tailgate.trace.format import RECORD, UNNAMED, Contents, Encoder, decode, encode_header, request_key
from tailgate.trace.views import response_times_s, scores

Make = Callable[..., Observation]
TraceOf = Callable[[Sequence[Observation]], bytes]
NumbersIn = Callable[[Contents], list[int]]

HEADER = {"role": "client", "run_id": "a"}

START = len(encode_header(HEADER))

int32 = st.integers(-(2**31), 2**31 - 1)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=16)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    return Observation(
        request_id=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=80)),
        model=draw(names),
        version=draw(names),
        arrival_unix_s=draw(st.floats(0, 4e9)),
        budget_s=draw(st.floats(-10, 3600)),
        latency_s=draw(st.floats(0, 3600)),
        outcome=draw(st.sampled_from(Outcome)),
        predicted=draw(int32),
        label=draw(int32),
        status=draw(st.sampled_from(Status)),
        lag_s=draw(st.floats(0, 10, width=32)),
        pass_index=draw(int32),
        sample=draw(int32),
        slice=draw(names),
    )


# ---- Round trip


@given(st.lists(st.lists(observations(), max_size=5), max_size=4))
def test_every_field_of_every_observation_reads_back_as_it_was(batches: list[list[Observation]]) -> None:
    encoder, data = Encoder(), encode_header(HEADER)
    for given_batch in batches:
        batch = encoder.encode(given_batch)
        encoder.commit(batch)
        data += batch.data
    contents = decode(data, "trace")
    expected = [o for given_batch in batches for o in given_batch]
    assert (contents.damaged, contents.torn_bytes, contents.missing) == (0, 0, 0)
    assert len(contents.records) == len(expected)
    for row, o in zip(contents.records, expected, strict=True):
        assert contents.names[int(row["model"])] == o.model
        assert contents.names[int(row["version"])] == o.version
        assert contents.slices[int(row["slice"])] == o.slice
        assert row["request_id"] == request_key(o.request_id)
        for field in ("arrival_unix_s", "budget_s", "latency_s", "lag_s"):
            assert row[field] == getattr(o, field)
        for field in ("outcome", "status", "pass_index", "sample", "predicted", "label"):
            assert int(row[field]) == int(getattr(o, field))


@given(st.lists(observations(), min_size=1))
def test_times_and_scores_read_back_are_those_of_the_observations(
    trace_of: TraceOf, given_batch: list[Observation]
) -> None:
    records = decode(trace_of(given_batch), "trace").records
    assert response_times_s(records).tolist() == [o.response_time_s for o in given_batch]
    assert scores(records).tolist() == [float(o.verdict is Verdict.RIGHT) for o in given_batch]


def test_a_header_says_all_it_was_given_and_how_records_are_laid_out() -> None:
    header = decode(encode_header({**HEADER, "note": "größer ≠ klein"}), "trace").header
    assert header["note"] == "größer ≠ klein"
    assert header["record_bytes"] == RECORD.itemsize == 128
    assert [tuple(field) for field in header["record"]] == RECORD.descr


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 5000])
def test_request_ids_of_any_length_keep_a_key_that_tells_them_apart(
    observation: Make, trace_of: TraceOf, length: int
) -> None:
    one, other = "a" * length, "a" * (length - 1) + "b" if length else "b"
    keys = decode(trace_of([observation(0, request_id=one), observation(1, request_id=other)]), "trace").records
    assert keys["request_id"].tolist() == [request_key(one), request_key(other)]
    assert request_key(one) != request_key(other)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_request_key_survives_the_field_that_holds_it(request_id: str) -> None:
    key = request_key(request_id)
    assert np.array([key], "S64")[0] == key


def test_more_names_than_there_are_numbers_do_not_stop_the_trace(observation: Make, trace_of: TraceOf) -> None:
    made_up = [observation(number, model=f"m{number}", version="") for number in range(UNNAMED + 10)]
    contents = decode(trace_of(made_up), "trace")
    assert len(contents.records) == len(made_up)
    assert contents.damaged == contents.missing == 0
    assert len(contents.names) == UNNAMED
    assert set(contents.records["model"][-11:].tolist()) == {UNNAMED}


def test_slices_beyond_those_that_have_a_number_are_written_as_none(observation: Make, trace_of: TraceOf) -> None:
    contents = decode(trace_of([observation(number, slice=f"s{number}") for number in range(300)]), "trace")
    found = [contents.slices[number] for number in contents.records["slice"].tolist()]
    assert found == [f"s{number}" for number in range(255)] + [""] * 45


def test_long_names_are_kept_as_far_as_they_fit(observation: Make, trace_of: TraceOf) -> None:
    contents = decode(trace_of([observation(0, model="é" * 40)]), "trace")
    assert contents.names[int(contents.records["model"][0])] == "é" * 32


# ---- Damage


def test_a_tail_torn_at_any_byte_costs_the_torn_record_only(
    observation: Make, trace_of: TraceOf, numbers_in: NumbersIn
) -> None:
    data = trace_of([observation(number) for number in range(3)])
    whole = len(data) - RECORD.itemsize
    for cut in range(1, RECORD.itemsize):
        contents = decode(data[:-cut], "trace")
        assert numbers_in(contents) == [0, 1]
        assert contents.torn_bytes == RECORD.itemsize - cut
        assert contents.damaged == contents.missing == 0
    assert numbers_in(decode(data[:whole], "trace")) == [0, 1]


@given(st.integers(0, 4), st.integers(0, 8 * RECORD.itemsize - 1))
def test_any_single_flipped_bit_is_found_and_costs_one_record_only(
    observation: Make, trace_of: TraceOf, numbers_in: NumbersIn, record: int, bit: int
) -> None:
    given_batch = [observation(number) for number in range(3)]
    data = bytearray(trace_of(given_batch))  # two names, then three observations
    data[START + record * RECORD.itemsize + bit // 8] ^= 1 << bit % 8
    contents = decode(bytes(data), "trace")
    assert contents.damaged == 1
    assert numbers_in(contents) == [number for number in range(3) if number != record - 2]
    assert contents.missing == (1 if record in (2, 3) else 0)  # nothing is known to follow the last one


@given(st.binary(min_size=1, max_size=400))
def test_noise_after_the_header_is_never_taken_for_an_observation(noise: bytes) -> None:
    contents = decode(encode_header(HEADER) + noise, "trace")
    assert len(contents.records) == 0
    assert contents.damaged == len(noise) // RECORD.itemsize
    assert contents.torn_bytes == len(noise) % RECORD.itemsize


@given(st.integers(0, START - 1), st.integers(0, 7))
def test_a_damaged_header_is_an_error_in_words(observation: Make, trace_of: TraceOf, byte: int, bit: int) -> None:
    data = bytearray(trace_of([observation(0)]))
    data[byte] ^= 1 << bit
    with pytest.raises(TraceError, match=r"^some\.trace (is not a trace|is a trace of format|has a damaged header)"):
        decode(bytes(data), "some.trace")


@pytest.mark.parametrize("length", [0, 5, START // 2, START - 1])
def test_a_header_cut_short_is_an_error_in_words(trace_of: TraceOf, length: int) -> None:
    with pytest.raises(TraceError, match=r"^some\.trace "):
        decode(trace_of([])[:length], "some.trace")


def test_a_newer_format_is_refused_by_its_number(trace_of: TraceOf) -> None:
    with pytest.raises(TraceError, match="format '2'; this version reads format 1"):
        decode(trace_of([]).replace(b"tailgate-trace 1", b"tailgate-trace 2", 1), "some.trace")
