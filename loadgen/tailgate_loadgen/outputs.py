"""What a run leaves in its folder besides its records: the header of its trace, and its summary."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tailgate.errors import TraceError
from tailgate_loadgen.options import Options
from tailgate_loadgen.sender import Job

TRACE_NAME = "client.trace"
SUMMARY_NAME = "summary.json"


def trace_header(options: Options, job: Job, start_unix_s: float, version: str) -> dict[str, Any]:
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
        "rate": options.rate,
        "arrivals": options.arrivals,
        "deadline_s": options.deadline_s,
        "on_deadline": options.on_deadline,
        "passes": options.passes,
        "samples": len(job.schedule) // options.passes,
        "warmup": options.warmup,
        "seed": options.seed,
        "seeds": dict(job.schedule.seeds),
        "schedule_sha256": job.schedule.sha256,
        "start_unix_s": start_unix_s,
        "clock": "latency_s and lag_s: monotonic, from the scheduled instant; arrival_unix_s: start_unix_s + schedule",
    }


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
