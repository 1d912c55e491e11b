"""The accounts of one proxy: everything that an observation, and a label that comes after it, is handed to."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from tailgate import __version__
from tailgate.gauges import DetectorState, Gauges, PastErrorCounts
from tailgate.labels import Judged
from tailgate.ledger import Ledger, latency_buckets_s
from tailgate.monitor import Monitor
from tailgate.observation import Observation
from tailgate.protocol.answers import UNKNOWN_CLASS
from tailgate.trace.files import TraceWriter
from tailgate.trace.format import SUFFIX
from tailgate.trace.recorder import Recorder
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.feedback.desk import LabelDesk
from tailgate_proxy.known_models import OTHER
from tailgate_proxy.objectives import Objectives, role_of
from tailgate_proxy.shadows.labels import CopyLabels

COUNT_INTERVAL_S: Final = 1.0
"""How often labels and windows are looked at."""

_log = logging.getLogger(__name__)


class Accounts:
    """Counts, windows, labels and trace.

    Attributes:
        ledger: The live counters.
        monitor: The windows and the detector.
        labels: Where labels meet their requests.
        copies: The live counters of copies for other upstreams; they stand in no other book.
        copy_labels: Where labels meet copies of their requests.
    """

    def __init__(self, config: ProxyConfig, slices: tuple[str, ...]) -> None:
        """Everything at zero; a trace is not written before `open_trace`.

        Args:
            config: Of the proxy.
            slices: Every slice there can be.
        """
        deadlines_s = [config.deadline, *(m.deadline for m in config.models.values() if m.deadline is not None)]
        self._config = config
        self._slices = slices
        self._objectives = Objectives(config)
        self._recorder: Recorder | None = None
        self.ledger = Ledger(latency_buckets_s(deadlines_s))
        self.monitor = Monitor(
            wait_s=config.window_wait,
            bounds_s=self.ledger.bounds_s,
            objectives=self._objectives,
            label_wait_s=config.label_wait + config.label_settle,
            deadline_s=self._objectives.deadline_s,
        )
        self.labels = LabelDesk(
            self._judge,
            wait_s=config.label_wait,
            settle_s=config.label_settle,
            max_predictions=config.max_predictions,
            max_labels=config.max_labels,
        )
        self.copies = Ledger(self.ledger.bounds_s)
        self.copy_labels = CopyLabels(
            self.copies.judge,
            wait_s=config.label_wait + config.label_settle,
            most=config.max_predictions,
            now_s=self.labels.now_s,
        )

    def open_trace(self) -> None:
        """Begin the trace, if there is to be one.

        Raises:
            TraceError: It cannot be created.
        """
        config = self._config
        if config.trace is not None:
            self._recorder = Recorder(TraceWriter(_trace_path(config.trace), _trace_header(config)))

    def open(self, model: str, version: str) -> None:
        """Have the counts of a model begin at zero, in every slice."""
        for part in self._slices:
            self.ledger.open(model, version, part)
            if version and model != OTHER:  # what is shown to people begins with what there is
                self.monitor.open(model, version, part)

    def use(self, config: ProxyConfig) -> None:
        """Go by another configuration from now on, in what may change."""
        self._config = config
        self._objectives.use(config)
        self.monitor.renew_objectives()

    @property
    def sinks(self) -> list[Callable[[Observation], None]]:
        """What every observation is handed to. The trace comes first: a label for it may be there already."""
        record = [] if self._recorder is None else [self._recorder.record]
        return [*record, self.ledger.book, self._watch, self.labels.observe]

    async def keep_counting(self) -> None:
        """Do what has to be done about once a second: labels settle, windows become final."""
        while True:
            await asyncio.sleep(COUNT_INTERVAL_S)
            self.labels.advance()
            self.copy_labels.advance()
            for alarm in self.monitor.advance(time.time()):
                _log.warning("time-critical accuracy has fallen: %s", alarm)

    async def close(self) -> None:
        """Judge by the labels that are there, and close the trace."""
        self.labels.finish()
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)

    def gauges(self) -> Gauges:
        """What is known here of what stands beside the counts."""
        config, recorder = self._config, self._recorder
        models = {model for model, _, _ in self.ledger.series if model != OTHER}
        objectives = {model: own for model in models if (own := self._objectives.get(model)) is not None}
        return Gauges(
            deadlines_s={model: self._objectives.deadline_s(model) for model in models},
            objectives={model: own.objective for model, own in objectives.items()},
            floors={model: own.floor for model, own in objectives.items()},
            roles={
                (model, version): role_of(config, model, version)
                for model, version, _ in self.ledger.series
                if version and model != OTHER
            },
            labels=self.labels.counts(),
            detectors={
                key: DetectorState(detector.statistic, detector.threshold, detector.alarms)
                for key, detector in self.monitor.detectors.items()
            },
            past_errors={
                key: PastErrorCounts(past.answers, past.expected, past.right, past.sizes.copy())
                for key, past in self.monitor.expectations.pasts().items()
            },
            trace_written=recorder.written if recorder else 0,
            trace_dropped=recorder.dropped if recorder else 0,
            trace_labels_dropped=recorder.labels_dropped if recorder else 0,
        )

    def _watch(self, observation: Observation) -> None:
        self.monitor.observe(observation)
        if observation.label != UNKNOWN_CLASS:
            self.monitor.judge(observation)

    def _judge(self, judged: Judged) -> None:
        """A label came after its request."""
        observation, weight = judged.observation, judged.given.weight
        self.ledger.judge(observation, weight)
        self.monitor.judge(observation, weight)
        if self._recorder is not None:
            self._recorder.record(judged)
        self.copy_labels.given(judged.given)


def _trace_path(folder: Path) -> Path:
    """A new file for every start, so that no restart touches what an earlier one recorded."""
    return folder / f"proxy-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}{SUFFIX}"


def _trace_header(config: ProxyConfig) -> dict[str, object]:
    return {
        "role": "proxy",
        "run_id": uuid4().hex,
        "tailgate": __version__,
        "started_unix_s": time.time(),
        "clock": "latency_s: arrival at the proxy until the answer is handed to the client's stream, monotonic",
        "mode": config.mode.value,
        "deadline_s": config.deadline,
        "upstream": ",".join(str(address) for pool in config.pools.values() for address in pool.addresses),
    }
