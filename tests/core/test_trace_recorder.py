"""The recorder: nobody waits for the disk, and nothing is lost uncounted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tailgate.labels import Judged, Label
from tailgate.observation import Observation
from tailgate.trace.files import TraceWriter, read_trace
from tailgate.trace.format import Contents
from tailgate.trace.recorder import Recorder

Make = Callable[..., Observation]
NumbersIn = Callable[[Contents], list[int]]

HEADER = {"role": "client", "run_id": "a"}


def test_everything_recorded_is_in_the_file_after_close(
    observation: Make, numbers_in: NumbersIn, tmp_path: Path
) -> None:
    recorder = Recorder(TraceWriter(tmp_path / "a.trace", HEADER))
    for number in range(5000):
        recorder.record(observation(number))
    recorder.close()
    contents = read_trace(tmp_path / "a.trace")
    assert numbers_in(contents) == list(range(5000))
    assert (recorder.written, recorder.dropped, contents.missing) == (5000, 0, 0)


class StalledDisk(TraceWriter):
    """A writer whose disk does nothing until it is let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, HEADER)
        self.stalled, self.go_on = threading.Event(), threading.Event()

    def append(self, items: object) -> None:
        self.stalled.set()
        self.go_on.wait()
        super().append(items)  # type: ignore[arg-type]  # handed on as it came


def test_what_overflows_while_the_disk_stalls_is_counted_exactly(
    observation: Make, numbers_in: NumbersIn, tmp_path: Path
) -> None:
    writer = StalledDisk(tmp_path / "a.trace")
    recorder = Recorder(writer, max_pending=10)
    recorder.record(observation(0))
    assert writer.stalled.wait(120)  # the first is with the disk now, so ten more can wait
    for number in range(1, 101):
        recorder.record(observation(number))
    for number in range(7):
        recorder.record(Judged(observation(number), Label(f"id-{number}", 3)))
    assert (recorder.dropped, recorder.labels_dropped) == (90, 7)
    writer.go_on.set()
    recorder.close()
    contents = read_trace(tmp_path / "a.trace")
    assert (recorder.written, recorder.dropped, recorder.labels_dropped) == (11, 90, 7)
    assert numbers_in(contents) == list(range(11))
    assert (contents.missing, contents.closed) == (90, True)


def test_a_failing_sync_does_not_end_the_recorder(observation: Make, numbers_in: NumbersIn, tmp_path: Path) -> None:
    class NoSync(TraceWriter):
        syncs, failing = 0, True

        def sync(self) -> None:
            type(self).syncs += 1
            if self.failing:
                raise OSError(5, "Input/output error")
            super().sync()

    writer = NoSync(tmp_path / "a.trace", HEADER)
    recorder = Recorder(writer)
    number = 0
    while NoSync.syncs < 2:
        recorder.record(observation(number))
        number += 1
        threading.Event().wait(0.01)
    writer.failing = False
    recorder.close()
    assert recorder.written == number
    assert numbers_in(read_trace(tmp_path / "a.trace")) == list(range(number))


def test_a_fault_in_writing_costs_its_batch_is_logged_once_and_does_not_end_the_recorder(
    observation: Make, numbers_in: NumbersIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(TraceWriter):
        appends, working = 0, False
        tried = threading.Event()

        def append(self, items: object) -> None:
            self.appends += 1
            if self.working:
                super().append(items)  # type: ignore[arg-type]  # handed on as it came
            else:
                self.tried.set()
                raise MemoryError

    writer = Faulty(tmp_path / "a.trace", HEADER)
    with caplog.at_level(logging.WARNING, "tailgate.trace.recorder"):
        recorder = Recorder(writer)
        for number in range(3):  # three batches, each lost
            writer.tried.clear()
            with recorder._lock:  # so that they are of one batch
                recorder._pending += [observation(number), Judged(observation(number), Label(f"id-{number}", 3))]
            assert writer.tried.wait(120)
        writer.working = True
        recorder.record(observation(3))
        recorder.close()
    assert (recorder.written, recorder.dropped, recorder.labels_dropped) == (1, 3, 3)
    contents = read_trace(tmp_path / "a.trace")
    assert (numbers_in(contents), contents.missing) == ([3], 3)
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_what_is_recorded_after_the_end_is_counted_as_dropped(observation: Make, tmp_path: Path) -> None:
    recorder = Recorder(TraceWriter(tmp_path / "a.trace", HEADER))
    recorder.record(observation(0))
    recorder.close()
    recorder.record(observation(1))
    assert (recorder.written, recorder.dropped) == (1, 1)
