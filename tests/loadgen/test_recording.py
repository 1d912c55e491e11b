"""Instants to replay: from CSV files as people have them, and from traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tailgate.errors import ConfigError, TraceError
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.trace.files import TraceWriter
from tailgate_loadgen.arrival_spec import Recording
from tailgate_loadgen.recording import read_instants


def from_csv(tmp_path: Path, text: str) -> list[float]:
    path = tmp_path / "instants.csv"
    path.write_text(text, encoding="utf-8")
    return list(read_instants(Recording("csv", path)).tolist())


@pytest.mark.parametrize(
    ("text", "instants_s"),
    [
        ("0.5\n1\n3e1\n", [0.5, 1, 30]),
        ("timestamp,size\n2,x\n1.5,y\n", [1.5, 2]),
        ("\ufeffTIMESTAMP,Tokens\r\n1970-01-01 00:00:01.5000000,3\r\n1970-01-01T02:00:02+02:00,4\r\n", [1.5, 2]),
        ("7\n\n7\n", [7, 7]),
    ],
)
def test_the_first_column_is_seconds_or_dates_and_the_first_line_may_name_it(
    tmp_path: Path, text: str, instants_s: list[float]
) -> None:
    assert from_csv(tmp_path, text) == instants_s


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("at\n1\nnoon\n", "has 'noon' in line 3; expected seconds, or a date"),
        ("1\ninf\n", "has 'inf' in line 2"),
        ("at\n", "holds no instant"),
        ("", "holds no instant"),
    ],
)
def test_a_csv_without_instants_gets_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_csv(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv cannot be read: No such file"):
        read_instants(Recording("csv", tmp_path / "none.csv"))
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match="is no CSV in UTF-8"):
        read_instants(Recording("csv", tmp_path / "picture"))
    with pytest.raises(TraceError, match="is not a trace"):
        read_instants(Recording("trace", tmp_path / "picture"))


def write(path: Path, role: str, arrivals_unix_s: list[float], first_pass: int = 0) -> None:
    writer = TraceWriter(path, {"role": role})
    writer.append(
        [
            Observation(str(at), "m", "", at, 1.0, 0.1, Outcome.OK, pass_index=first_pass + number, sample=0)
            for number, at in enumerate(arrivals_unix_s)
        ]
    )
    writer.close()


def test_the_trace_of_a_client_is_replayed_without_its_warm_up(tmp_path: Path) -> None:
    write(tmp_path / "client.trace", "client", [4.0, 6.0, 5.0], first_pass=-1)
    write(tmp_path / "proxy-1.trace", "proxy", [9.0])
    assert read_instants(Recording("trace", tmp_path)).tolist() == [5, 6]
    assert read_instants(Recording("trace", tmp_path / "client.trace")).tolist() == [5, 6]


def test_the_traces_of_all_workers_of_a_proxy_are_replayed_together(tmp_path: Path) -> None:
    write(tmp_path / "proxy-1.trace", "proxy", [4.0, 6.0], first_pass=-9)
    write(tmp_path / "proxy-2.trace", "proxy", [5.0])
    instants_s = read_instants(Recording("trace", tmp_path))
    assert instants_s.dtype == np.float64
    assert instants_s.tolist() == [4, 5, 6]
