"""A load run's trace of millions of rows, as the load generator would have left it."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tailgate.errors import Status
from tailgate.outcome import Outcome
from tailgate.trace.format import END, NAME, OBSERVATION, RECORD, encode_header

FloatArray = npt.NDArray[np.float64]

RUN_ID, DEADLINE_S = "bench", 0.05


def write_run(folder: Path, response_s: FloatArray, score: FloatArray) -> Path:
    """One client's trace and the summary beside it; returns the folder.

    Args:
        folder: Where; made if it is missing.
        response_s: Seconds, float `[passes, samples]`.
        score: 1 where the answer names the label, else 0, float `[samples]`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    passes, samples = response_s.shape
    header = {
        "role": "client",
        "run_id": RUN_ID,
        "model": "resnet50",
        "deadline_s": DEADLINE_S,
        "on_deadline": "wait",
        "passes": passes,
        "samples": samples,
    }
    with (folder / "client.trace").open("wb") as file:
        file.write(encode_header(header))
        file.write(_sealed(_names()))
        for index in range(passes):
            file.write(_sealed(_pass_rows(index, response_s[index], score)))
        end = np.zeros(1, RECORD)
        end["kind"], end["sequence"] = END, passes * samples
        file.write(_sealed(end))
    verdict = {"run": {"run_id": RUN_ID}, "valid": True, "invalid_because": []}
    (folder / "summary.json").write_text(json.dumps(verdict), encoding="utf-8")
    return folder


def _names() -> npt.NDArray[np.void]:
    rows = np.zeros(2, RECORD)
    rows["kind"], rows["model"], rows["request_id"] = NAME, (0, 1), (b"resnet50", b"1")
    return rows


def _pass_rows(index: int, response_s: FloatArray, score: FloatArray) -> npt.NDArray[np.void]:
    samples = len(score)
    rows = np.zeros(samples, RECORD)
    rows["kind"], rows["status"], rows["version"] = OBSERVATION, Status.OK, 1
    rows["outcome"] = np.where(response_s <= DEADLINE_S, Outcome.OK, Outcome.OK_LATE)
    rows["sequence"] = index * samples + np.arange(samples)
    rows["pass_index"], rows["sample"], rows["latency_s"] = index, np.arange(samples), response_s
    rows["arrival_unix_s"], rows["budget_s"] = 1.7e9 + index * 500 + np.arange(samples) / 100, DEADLINE_S
    rows["predicted"], rows["label"] = score, 1
    rows["request_id"] = [b"%d-%d" % (index, sample) for sample in range(samples)]
    return rows


def _sealed(rows: npt.NDArray[np.void]) -> bytes:
    """The rows with their checksums."""
    size = RECORD.itemsize
    view = memoryview(rows.tobytes())
    rows["crc32"] = [zlib.crc32(view[at : at + size - 4]) for at in range(0, len(view), size)]
    return rows.tobytes()
