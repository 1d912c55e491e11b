"""Counts and times of one model since start, in the terms of the V2 statistics extension. No clock: times come in."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailgate.pb import inference_pb2 as pb
from tailgate_server.signature import VERSION


@dataclass(slots=True)
class _Duration:
    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.ns += ns

    def message(self) -> pb.StatisticDuration:
        return pb.StatisticDuration(count=self.count, ns=self.ns)


@dataclass(slots=True)
class _Stages:
    compute_input: _Duration = field(default_factory=_Duration)
    compute_infer: _Duration = field(default_factory=_Duration)
    compute_output: _Duration = field(default_factory=_Duration)

    def add(self, stages: StageTimes) -> None:
        self.compute_input.add(stages.input_ns)
        self.compute_infer.add(stages.infer_ns)
        self.compute_output.add(stages.output_ns)


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Nanoseconds that one run of the model spent in its stages."""

    input_ns: int
    infer_ns: int
    output_ns: int


class Statistics:
    """Adds up what happened to the requests that named one model; each is counted once, as a success or a failure."""

    def __init__(self, name: str) -> None:
        """Nothing has happened yet to the model `name`."""
        self._name = name
        self._last_inference_ms = 0
        self._inferences = 0
        self._executions = 0
        self._success = _Duration()
        self._fail = _Duration()
        self._queue = _Duration()
        self._stages = _Stages()
        self._by_batch_size: dict[int, _Stages] = {}

    def executed(self, rows: int, stages: StageTimes, unix_ms: int) -> None:
        """The model ran once, over `rows` images, and was done at this Unix time in milliseconds."""
        self._executions += 1
        self._inferences += rows
        self._last_inference_ms = max(self._last_inference_ms, unix_ms)
        self._by_batch_size.setdefault(rows, _Stages()).add(stages)

    def succeeded(self, total_ns: int, queue_ns: int, stages: StageTimes) -> None:
        """A request was answered `total_ns` after it came, having waited `queue_ns` for its batch."""
        self._success.add(total_ns)
        self._queue.add(queue_ns)
        self._stages.add(stages)

    def failed(self, total_ns: int) -> None:
        """A request ended without an answer, for whatever reason, `total_ns` after it came."""
        self._fail.add(total_ns)

    def message(self) -> pb.ModelStatistics:
        """Everything so far, as the wire carries it."""
        return pb.ModelStatistics(
            name=self._name,
            version=VERSION,
            last_inference=self._last_inference_ms,
            inference_count=self._inferences,
            execution_count=self._executions,
            inference_stats=pb.InferStatistics(
                success=self._success.message(),
                fail=self._fail.message(),
                queue=self._queue.message(),
                compute_input=self._stages.compute_input.message(),
                compute_infer=self._stages.compute_infer.message(),
                compute_output=self._stages.compute_output.message(),
            ),
            batch_stats=[
                pb.InferBatchStatistics(
                    batch_size=size,
                    compute_input=stages.compute_input.message(),
                    compute_infer=stages.compute_infer.message(),
                    compute_output=stages.compute_output.message(),
                )
                for size, stages in sorted(self._by_batch_size.items())
            ],
        )
