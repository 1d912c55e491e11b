"""Trace files: what was acknowledged survives; what the disk refused is counted; nothing is overwritten."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tailgate.errors import TraceError
from tailgate.observation import Observation
from tailgate.trace.files import TraceWriter, read_folder, read_trace
from tailgate.trace.format import RECORD, Contents

Make = Callable[..., Observation]
NumbersIn = Callable[[Contents], list[int]]

HEADER = {"role": "client", "run_id": "a"}


def test_a_trace_is_never_overwritten(observation: Make, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.trace"
    writer = TraceWriter(path, HEADER)
    writer.append([observation(0)])
    writer.close()
    before = path.read_bytes()
    with pytest.raises(TraceError, match="exists; traces are never overwritten"):
        TraceWriter(path, HEADER)
    assert path.read_bytes() == before


def test_a_trace_that_cannot_be_created_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceError, match="cannot be created"):
        TraceWriter(tmp_path / "file" / "a.trace", HEADER)


def test_a_disk_without_room_for_a_header_is_an_error_in_words(tmp_path: Path) -> None:
    result = in_subprocess(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            TraceWriter(path, HEADER)
        except TraceError as error:
            print(error, path.exists())
        """,
        tmp_path / "a.trace",
    )
    assert "cannot be written: File too large False" in result


def test_folders_are_read_in_the_order_of_names_and_refused_in_words(tmp_path: Path) -> None:
    for name in ("b", "a"):
        writer = TraceWriter(tmp_path / f"{name}.trace", {"run_id": name})
        writer.close()
    (tmp_path / "notes.txt").write_text("no trace")
    assert [contents.header["run_id"] for contents in read_folder(tmp_path)] == ["a", "b"]
    with pytest.raises(TraceError, match="is not a folder"):
        read_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TraceError, match=r"holds no \*.trace file"):
        read_folder(tmp_path / "empty")
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path / "none.trace")


def in_subprocess(body: str, path: Path) -> str:
    """Run these lines in a process of their own, with the helpers of this file; returns what it printed."""
    result = subprocess.run([sys.executable, "-c", script(body), str(path)], check=True, capture_output=True, text=True)
    return result.stdout


def script(body: str) -> str:
    prelude = f"""
    import os, signal, sys
    from pathlib import Path
    from tailgate.errors import TraceError
    from tailgate.observation import Observation
    from tailgate.outcome import Outcome
    from tailgate.trace.files import TraceWriter
    HEADER, path = {HEADER!r}, Path(sys.argv[1])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    def observation(number):
        return Observation(f"id-{{number}}", "digits", "1", 1.7e9, 0.05, 0.01, Outcome.OK, 3, 3)
    """
    return textwrap.dedent(prelude) + textwrap.dedent(body)


@pytest.mark.parametrize("acknowledged", [1, 7, 60, 400])
def test_everything_acknowledged_before_kill_9_is_read_back(
    numbers_in: NumbersIn, tmp_path: Path, acknowledged: int
) -> None:
    body = """
    writer, number = TraceWriter(path, HEADER), 0
    while True:
        batch = [observation(number + i) for i in range(1 + number % 5)]
        writer.append(batch)
        number += len(batch)
        os.write(1, b"%d\\n" % number)
    """
    path = tmp_path / "a.trace"
    with subprocess.Popen([sys.executable, "-c", script(body), str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split(b"\n")
    counts = [int(line) for line in [*lines, *rest[:-1]]]  # what follows the last newline was cut short
    contents = read_trace(path)
    assert len(contents.records) >= counts[-1] >= acknowledged
    assert numbers_in(contents) == list(range(len(contents.records)))
    assert contents.damaged == contents.missing == 0
    assert contents.torn_bytes < RECORD.itemsize


def test_a_full_disk_costs_counted_observations_and_nothing_else(numbers_in: NumbersIn, tmp_path: Path) -> None:
    """The limit is the process's own, so that it can be lifted again: the disk is full, then has room."""
    body = """
    import resource
    writer = TraceWriter(path, HEADER)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer.append([observation(number) for number in range(10)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 128 * 3 + 50, unlimited[1]))
    for start in range(10, 30, 5):
        writer.append([observation(number) for number in range(start, start + 5)])
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    writer.append([observation(number) for number in range(30, 40)])
    writer.close()
    print(writer.written, writer.dropped)
    """
    assert in_subprocess(body, tmp_path / "a.trace").split() == ["20", "20"]
    contents = read_trace(tmp_path / "a.trace")
    assert numbers_in(contents) == [*range(10), *range(30, 40)]
    assert contents.missing == 20
    assert contents.damaged == contents.torn_bytes == 0


def test_a_disk_full_within_a_batch_leaves_no_half_batch_behind(tmp_path: Path) -> None:
    body = """
    import resource
    writer = TraceWriter(path, HEADER)
    size = path.stat().st_size
    for spare in range(1, 128 * 4, 37):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + spare, resource.RLIM_INFINITY))
        writer.append([observation(0), observation(1)])
        assert path.stat().st_size == size, spare
    print(writer.dropped)
    """
    assert int(in_subprocess(body, tmp_path / "a.trace")) == 2 * len(range(1, 128 * 4, 37))


def test_a_name_that_could_not_be_written_is_written_with_the_next_batch(numbers_in: NumbersIn, tmp_path: Path) -> None:
    body = """
    import resource
    writer = TraceWriter(path, HEADER)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, resource.RLIM_INFINITY))
    writer.append([observation(0)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.append([observation(1)])
    writer.close()
    """
    in_subprocess(body, tmp_path / "a.trace")
    contents = read_trace(tmp_path / "a.trace")
    assert numbers_in(contents) == [1]
    assert contents.names[int(contents.records["model"][0])] == "digits"


def test_a_disk_that_will_not_even_shorten_the_file_leaves_no_half_record_in_it(
    numbers_in: NumbersIn, tmp_path: Path
) -> None:
    body = """
    import resource
    writer, truncate = TraceWriter(path, HEADER), os.ftruncate
    def refuse(*_):
        raise OSError(5, "Input/output error")
    writer.append([observation(0)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 200, resource.RLIM_INFINITY))
    os.ftruncate = refuse
    writer.append([observation(1), observation(2)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.append([observation(3)])
    os.ftruncate = truncate
    writer.append([observation(4)])
    writer.close()
    print(writer.written, writer.dropped)
    """
    assert in_subprocess(body, tmp_path / "a.trace").split() == ["2", "3"]
    contents = read_trace(tmp_path / "a.trace")
    assert numbers_in(contents) == [0, 4]
    assert (contents.missing, contents.damaged, contents.torn_bytes, contents.closed) == (3, 0, 0, True)


def test_what_was_dropped_last_is_missing_in_a_closed_trace(observation: Make, tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "a.trace", HEADER)
    writer.append([observation(0)])
    writer.drop(5)
    assert (read_trace(tmp_path / "a.trace").missing, read_trace(tmp_path / "a.trace").closed) == (0, False)
    writer.close()
    assert (read_trace(tmp_path / "a.trace").missing, read_trace(tmp_path / "a.trace").closed) == (5, True)


def test_a_disk_without_room_for_the_closing_record_leaves_a_trace_that_is_not_closed(
    numbers_in: NumbersIn, tmp_path: Path
) -> None:
    body = """
    import resource
    writer = TraceWriter(path, HEADER)
    writer.append([observation(0)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, resource.RLIM_INFINITY))
    writer.close()
    """
    in_subprocess(body, tmp_path / "a.trace")
    contents = read_trace(tmp_path / "a.trace")
    assert (numbers_in(contents), contents.closed, contents.torn_bytes) == ([0], False, 0)


def test_fifty_writers_killed_at_random_moments_lose_nothing_acknowledged(
    numbers_in: NumbersIn, tmp_path: Path
) -> None:
    """Each is a fork of one process. Every other is killed within 10 ms of its beginning, wherever it is then; the rest
    within 10 ms of what they first acknowledged, so that they are killed at work however slow the machine is.
    """
    body = """
    import random, time
    chance = random.Random(11)
    for attempt in range(50):
        ours, theirs = os.pipe()
        writing = os.fork()
        if not writing:
            writer, number = TraceWriter(path / f"{attempt}.trace", HEADER), 0
            while True:
                batch = [observation(number + i) for i in range(1 + number % 7)]
                writer.append(batch)
                number += len(batch)
                os.write(theirs, b"%d\\n" % number)
        os.close(theirs)
        first = os.read(ours, 1).decode() if attempt % 2 else ""
        time.sleep(chance.uniform(0, 0.01))
        os.kill(writing, signal.SIGKILL)
        os.waitpid(writing, 0)
        with open(ours) as pipe:
            # A last line without its end was cut short.
            acknowledged = (first + pipe.read()).rpartition("\\n")[0].split()
        print(acknowledged[-1] if acknowledged else 0)
    """
    acknowledged = [int(line) for line in in_subprocess(body, tmp_path).split()]
    assert len(acknowledged) == 50
    assert sum(count > 0 for count in acknowledged) >= 25  # they were killed at work
    for attempt, count in enumerate(acknowledged):
        path = tmp_path / f"{attempt}.trace"
        if count == 0 and (not path.exists() or path.read_bytes().count(b"\n") < 2):
            continue  # killed before there was a trace
        contents = read_trace(path)
        assert len(contents.records) >= count
        assert numbers_in(contents) == list(range(len(contents.records)))
        assert contents.damaged == contents.missing == 0
        assert contents.torn_bytes < RECORD.itemsize
