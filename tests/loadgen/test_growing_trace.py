"""A trace that is read while it is written gives every record once, wherever it is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.errors import TraceError
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.trace.files import TraceWriter, read_trace
from tailgate.trace.format import RECORD
from tailgate_loadgen.growing_trace import GrowingTrace


def written(path: Path, count: int) -> bytes:
    writer = TraceWriter(path, {"role": "client"})
    for number in range(count):
        writer.append([Observation(str(number), f"m-{number % 3}", "", 1.0, 1.0, 0.5, Outcome.OK, sample=number)])
    writer.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[int]]:
    path = tmp_path_factory.mktemp("trace") / "client.trace"
    data = written(path, 12)
    return data, read_trace(path).records["sample"].tolist()


@given(cuts=st.lists(st.integers(0, 4000), max_size=12))
def test_every_record_is_read_once_wherever_the_file_ends_when_it_is_looked_at(
    whole: tuple[bytes, list[int]], tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    data, samples = whole
    path = tmp_path_factory.mktemp("growing") / "client.trace"
    growing, found = GrowingTrace(path), list[int]()
    for end in [*sorted(cuts), len(data)]:
        path.write_bytes(data[:end])
        found += growing.take()["sample"].tolist()
    assert found == samples
    assert not len(growing.take())


def test_a_file_that_is_not_there_yet_has_nothing_and_one_that_is_no_trace_is_told(tmp_path: Path) -> None:
    growing = GrowingTrace(tmp_path / "client.trace")
    assert growing.take().dtype == RECORD
    assert not len(growing.take())
    (tmp_path / "client.trace").write_bytes(b"something\nelse\n")
    with pytest.raises(TraceError, match="is not a trace"):
        growing.take()


def test_a_damaged_record_is_left_out(tmp_path: Path) -> None:
    data = bytearray(written(tmp_path / "client.trace", 5))
    data[-3 * RECORD.itemsize + 60] ^= 1
    (tmp_path / "client.trace").write_bytes(data)
    found = GrowingTrace(tmp_path / "client.trace").take()
    assert len(found) == 4
    assert np.array_equal(found["sample"], read_trace(tmp_path / "client.trace").records["sample"])
