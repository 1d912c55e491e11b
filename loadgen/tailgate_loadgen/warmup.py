"""Requests sent before the clock starts, so that connections are open, models loaded and caches filled."""

from __future__ import annotations

import time

import grpc.aio

from tailgate.deadline import Deadline
from tailgate.errors import Status, UsageError
from tailgate.observation import Observation
from tailgate.protocol.names import REQUEST_ID
from tailgate_loadgen.sender import Job, Stub, judge
from tailgate_loadgen.sharing import Shard

TIMEOUT_S = 10.0
MAX_TOTAL_S = 30.0
"""A target that is slow to warm up delays the run, but not for ever."""

_HOPELESS = (Status.INVALID_ARGUMENT, Status.NOT_FOUND, Status.UNIMPLEMENTED, Status.UNAUTHENTICATED)


async def warm_up(stub: Stub, job: Job, count: int) -> list[Observation]:
    """Send the first samples of the schedule one after the other, without label and under ids of their own.

    Args:
        stub: Of ModelInfer.
        job: What will be sent.
        count: How many, or fewer if they take too long.

    Returns:
        What became of each. They belong to no pass, but stand in the trace, so that its books balance with a proxy's.

    Raises:
        UsageError: The target refuses the request as such, and so would refuse every one of the run.
    """
    give_up_s = time.monotonic() + MAX_TOTAL_S
    observations: list[Observation] = []
    for number in range(count):
        if time.monotonic() > give_up_s:
            break
        observations.append(await _send(stub, job, number))
    return observations


async def _send(stub: Stub, job: Job, number: int) -> Observation:
    shard = job.shard or Shard(0, 1)
    request_id = f"{job.run_id}-warmup-{shard.index + number * shard.of}"
    sample = int(job.schedule.sample[number % len(job.schedule)])
    body = job.frame.build(request_id, job.dataset.payload(sample))
    start_unix_s, deadline = time.time(), Deadline(time.monotonic(), TIMEOUT_S)
    answer, status = b"", Status.OK
    try:
        answer = await stub(body, timeout=TIMEOUT_S, metadata=[(REQUEST_ID, request_id)])
    except grpc.aio.AioRpcError as error:
        status = Status(error.code().value[0])
        if status in _HOPELESS:
            raise UsageError(
                f"the target refuses the requests of this run with {status.name} ({error.details()}); "
                "see --model, --payload and --crop"
            ) from error
    ended_s = time.monotonic()
    outcome, predicted = judge(status, answer, late=deadline.passed(ended_s))
    return Observation(
        request_id=request_id,
        model=job.model,
        version="",
        arrival_unix_s=start_unix_s,
        budget_s=deadline.budget_s,
        latency_s=ended_s - deadline.start_s,
        outcome=outcome,
        predicted=predicted,
        status=status,
        sample=sample,
    )
