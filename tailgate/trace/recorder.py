"""The thread that writes a trace, so that nobody who makes an observation ever waits for a disk."""

from __future__ import annotations

import contextlib
import logging
import threading

from tailgate.labels import Judged
from tailgate.observation import Observation
from tailgate.trace.files import TraceWriter

FLUSH_INTERVAL_S = 0.1
FLUSHES_PER_SYNC = 10
MAX_PENDING = 100_000
"""Observations held while the disk stalls, about 30 MB; beyond it they are dropped, and counted."""

_log = logging.getLogger(__name__)


class Recorder:
    """A sink for observations in front of a `TraceWriter`.

    What was recorded is with the operating system a tenth of a second later, and on the disk a second later.
    `record` may be called from any one thread.
    """

    def __init__(self, writer: TraceWriter, max_pending: int = MAX_PENDING) -> None:
        """Start the thread; `close` ends it."""
        self._writer = writer
        self._max_pending = max_pending
        self._pending: list[Observation | Judged] = []
        self._overflow = 0
        self._labels_overflow = 0
        self._warned = False
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._worker = threading.Thread(target=self._run, name="trace-recorder", daemon=True)
        self._worker.start()

    @property
    def written(self) -> int:
        """Observations in the file."""
        return self._writer.written

    @property
    def dropped(self) -> int:
        """Observations lost to a full or stalled disk, to a fault in writing, or because they came after `close`."""
        with self._lock:
            return self._writer.dropped + self._overflow

    @property
    def labels_dropped(self) -> int:
        """Labels lost likewise."""
        with self._lock:
            return self._writer.labels_dropped + self._labels_overflow

    def record(self, item: Observation | Judged) -> None:
        """Take an observation, or a label that came after one; never waits for the disk."""
        with self._lock:
            if len(self._pending) < self._max_pending:
                self._pending.append(item)
            elif isinstance(item, Observation):
                self._overflow += 1
            else:
                self._labels_overflow += 1

    def close(self) -> None:
        """Write what is pending, sync and close the file; from then on ``written + dropped`` is what was recorded."""
        with self._lock:
            self._max_pending = 0
        self._closing.set()
        self._worker.join()
        self._flush()
        self._writer.close()

    def _run(self) -> None:
        flushes = 0
        while not self._closing.wait(FLUSH_INTERVAL_S):
            self._flush()
            flushes += 1
            if flushes % FLUSHES_PER_SYNC == 0:
                # A disk that fails to sync may do so later; this thread has to be there still.
                with contextlib.suppress(OSError):
                    self._writer.sync()

    def _flush(self) -> None:
        with self._lock:
            batch, self._pending = self._pending, []
            overflow, self._overflow = self._overflow, 0
            if overflow:
                self._writer.drop(overflow)
        fault = self._append(batch) if batch else None
        if (self._writer.dropped or self.labels_dropped) and not self._warned:
            self._warned = True
            _log.warning("%s: observations or labels are dropped, and counted", self._writer.path, exc_info=fault)

    def _append(self, batch: list[Observation | Judged]) -> Exception | None:
        """Hand a batch to the writer; whatever that raises costs the batch and never the thread."""
        before, labels_before = self._writer.written + self._writer.dropped, self._writer.labels_dropped
        try:
            self._writer.append(batch)
        except Exception as fault:  # noqa: BLE001 - nobody would hear of the death of this thread
            count = sum(isinstance(item, Observation) for item in batch)
            labels = len(batch) - count - (self._writer.labels_dropped - labels_before)
            self._writer.drop(before + count - self._writer.written - self._writer.dropped, labels)
            return fault
        return None
