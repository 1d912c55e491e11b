"""What a run leaves in its folder besides its records: the header of its trace, its summary, and answers."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tailgate.errors import TraceError
from tailgate.trace.files import read_trace
from tailgate_loadgen.options import MinQuality, Options
from tailgate_loadgen.sender import Job
from tailgate_loadgen.summary import Facts, summarize

TRACE_NAME = "client.trace"
SUMMARY_NAME = "summary.json"
ANSWERS_NAME = "answers"


def trace_header(options: Options, job: Job, rate: float, start_unix_s: float, version: str) -> dict[str, Any]:
    """What the trace says of its run: all that is needed to repeat it, and to tell whether two are comparable."""
    return {
        "role": "client",
        "run_id": job.run_id,
        "tailgate": version,
        "target": options.target,
        "model": options.model,
        "dataset": options.dataset,
        "dataset_digest": job.dataset.digest,
        "dataset_samples": len(job.dataset),
        "payload": options.payload,
        "datatype": job.dataset.datatype,
        "shape": list(job.dataset.shape),
        "rate": rate,
        "arrivals": options.arrivals,
        "deadline_s": options.deadline_s,
        "on_deadline": options.on_deadline,
        "condition": None if options.condition is None else asdict(options.condition),
        "max_lag_s": options.max_lag_s,
        # A run that may end earlier has no number of passes that it was to make.
        "passes": options.passes if options.until is None else None,
        "until": None if options.until is None else {**asdict(options.until), "most_passes": options.passes},
        "samples": job.schedule.total // options.passes,
        "scheduled": job.schedule.total,
        "warmup": options.warmup,
        "seed": options.seed,
        "seeds": dict(job.schedule.seeds),
        "schedule_sha256": job.schedule.sha256,
        "shard": None if job.shard is None else {"index": job.shard.index, "of": job.shard.of},
        "start_unix_s": start_unix_s,
        "clock": "latency_s and lag_s: monotonic, from the scheduled instant; arrival_unix_s: start_unix_s + schedule",
    }


def write_summary(
    folder: Path,
    header: Mapping[str, Any],
    min_quality: MinQuality | None,
    *,
    interrupted: bool,
    not_needed: int = 0,
    stopping: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Sum up the trace in this folder and write that beside it.

    Args:
        folder: Where the trace lies.
        header: What it says of its run.
        min_quality: What the run has to reach, if anything.
        interrupted: Whether it was stopped before its end.
        not_needed: Requests of passes that were not begun, because those before them were enough.
        stopping: What is to be said of that.

    Returns:
        The summary, with the header in it under `run`.

    Raises:
        TraceError: The trace cannot be read back, or the summary not be written.
    """
    scheduled, shard = range(header["scheduled"]), header["shard"]
    facts = Facts(
        deadline_s=header["deadline_s"],
        rate=header["rate"],
        samples=header["samples"],
        scheduled=len(scheduled[shard["index"] :: shard["of"]] if shard else scheduled),
        interrupted=interrupted,
        not_needed=not_needed,
        is_share=bool(shard),
        max_lag_s=header["max_lag_s"],
        min_quality=min_quality,
    )
    records = read_trace(folder / TRACE_NAME).records
    summary = {"run": dict(header), **summarize(records[records["pass_index"] >= 0], facts), "stopping": stopping}
    write_json(folder / SUMMARY_NAME, summary)
    return summary


def write_answers(folder: Path, answers: Mapping[str, bytes]) -> None:
    """Write each answer, a ModelInferResponse as it came, into a file named after its request's id.

    Raises:
        TraceError: The disk refuses.
    """
    try:
        for request_id, answer in answers.items():
            (folder / ANSWERS_NAME).mkdir(exist_ok=True)
            (folder / ANSWERS_NAME / f"{request_id}.pb").write_bytes(answer)
    except OSError as error:
        raise TraceError(f"{folder / ANSWERS_NAME} cannot be written: {error.strerror}") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file that is either there in full or not at all.

    Raises:
        TraceError: The disk refuses.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f"{path.name}.", suffix=".partial", delete=False, encoding="utf-8"
        ) as file:
            temporary = Path(file.name)
            json.dump(content, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise TraceError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
