"""What the tests of the core share: an observation to start from, and traces made of such."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailgate.errors import Status
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.report.command import COMMAND
from tailgate.trace.files import TraceWriter
from tailgate.trace.format import Contents, Encoder, encode_header

HEADER = {"role": "client", "run_id": "a"}


@pytest.fixture(scope="session")
def observation() -> Callable[..., Observation]:
    """A plain observation with this number as its sample and in its id; any field can be given another value."""

    def make(number: int, **changes: Any) -> Observation:
        plain = Observation(
            request_id=f"id-{number}",
            model="digits",
            version="1",
            arrival_unix_s=1.7e9 + number,
            budget_s=0.05,
            latency_s=0.01,
            outcome=Outcome.OK,
            predicted=3,
            label=3,
            pass_index=0,
            sample=number,
        )
        return plain._replace(**changes)

    return make


@pytest.fixture(scope="session")
def trace_of() -> Callable[[Sequence[Observation]], bytes]:
    """A trace's bytes: header, a record for each name in the order of their first use, then the observations."""

    def make(observations: Sequence[Observation]) -> bytes:
        return encode_header(HEADER) + Encoder().encode(observations).data

    return make


@pytest.fixture(scope="session")
def numbers_in() -> Callable[[Contents], list[int]]:
    """The numbers that `observation` made these records from."""

    def read(contents: Contents) -> list[int]:
        return [int(request_id[3:]) for request_id in contents.records["request_id"].tolist()]

    return read


CLIENT = {"role": "client", "run_id": "run", "deadline_s": 0.05, "on_deadline": "wait", "rate": 100.0}


@pytest.fixture(scope="session")
def replay(observation: Callable[..., Observation]) -> Callable[..., list[Observation]]:
    """Five passes of forty samples, of which every tenth is answered wrong; half of the fourth pass comes late."""

    def make(*, cut: bool = False) -> list[Observation]:
        found: list[Observation] = []
        for index in range(5):
            for sample in range(40):
                late = index == 3 and sample % 2 == 0
                changes: dict[str, Any] = {
                    "pass_index": index,
                    "sample": sample,
                    "arrival_unix_s": 1000.0 + index * 10 + sample * 0.25,
                    "latency_s": 0.2 if late else 0.01 + sample / 2000,
                    "predicted": 4 if sample % 10 == 1 else 3,
                    "request_id": f"run-{index}-{sample}",
                }
                if late and cut:
                    changes |= {"outcome": Outcome.DEADLINE_IN_FLIGHT, "predicted": -1, "latency_s": 0.05}
                    changes |= {"status": Status.DEADLINE_EXCEEDED}
                elif late:
                    changes |= {"outcome": Outcome.OK_LATE}
                found.append(observation(sample, **changes))
        return found

    return make


@pytest.fixture(scope="session")
def write_trace() -> Callable[..., Path]:
    """Writes a trace of a load run into a folder, which it returns; `header` replaces or adds fields."""

    def write(folder: Path, observations: Sequence[Observation], name: str = "client", **header: Any) -> Path:
        writer = TraceWriter(folder / f"{name}.trace", CLIENT | header)
        writer.append(observations)
        writer.close()
        return folder

    return write


@pytest.fixture(scope="session")
def report() -> Callable[..., None]:
    """Runs `tailgate report` with these arguments."""

    def run(*arguments: str | Path) -> None:
        parser = argparse.ArgumentParser()
        COMMAND.configure(parser)
        assert COMMAND.run(parser.parse_args([str(argument) for argument in arguments])) == 0

    return run


MEAN_LATENCY_S = {("small", "quiet"): 0.01, ("small", "busy"): 0.02, ("large", "quiet"): 0.03, ("large", "busy"): 0.07}


@pytest.fixture(scope="session")
def model_passes(observation: Callable[..., Observation]) -> Callable[..., list[Observation]]:
    """Twelve passes of thirty samples by a model under a condition, which is slow in one of them.

    The small model is wrong more often; under contention the large one is later than 50 ms.
    """

    def make(model: str, condition: str, *, passes: int = 12) -> list[Observation]:
        generator, found = np.random.default_rng(len(model) * 100 + len(condition)), list[Observation]()
        for index in range(passes):
            for sample in range(30):
                slow = 3 if index == 4 and sample > 20 else 1
                changes: dict[str, Any] = {
                    "model": model,
                    "pass_index": index,
                    "arrival_unix_s": 1000 + index * 10 + sample * 0.25,
                    "latency_s": MEAN_LATENCY_S[model, condition] * slow * float(generator.uniform(0.8, 1.2)),
                    "predicted": 4 if model == "small" and sample % 5 == 0 else 3,
                    "request_id": f"run-{index}-{sample}",
                }
                found.append(observation(sample, **changes))
        return found

    return make


@pytest.fixture(scope="session")
def report_runs(
    write_trace: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    model_passes: Callable[..., list[Observation]],
) -> list[Path]:
    """Two models, each under two conditions: runs that support every figure."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        write_trace(
            folder / f"{model}-{condition}",
            model_passes(model, condition),
            model=model,
            condition={"name": condition},
            dataset_digest="d",
            samples=30,
            passes=12,
        )
        for model, condition in MEAN_LATENCY_S
    ]


@pytest.fixture(scope="session")
def whole_report(
    report_runs: list[Path], report: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Their report, with pictures and CSV files."""
    out = tmp_path_factory.mktemp("whole")
    report(*report_runs, "--out", out, "--png", "--csv")
    return out
