"""Requests sent before the clock starts, so that connections are open, models loaded and caches filled."""

from __future__ import annotations

import time

from tailgate.deadline import Deadline
from tailgate.errors import Status, UsageError
from tailgate.observation import Observation
from tailgate.protocol.names import REQUEST_ID
from tailgate_loadgen.calls import Client, ask
from tailgate_loadgen.credentials import NO_CREDENTIALS, Credentials
from tailgate_loadgen.sender import Job, judge
from tailgate_loadgen.sharing import Shard

TIMEOUT_S = 10.0
MAX_TOTAL_S = 30.0
"""A target that is slow to warm up delays the run, but not for ever."""

_HOPELESS = (Status.INVALID_ARGUMENT, Status.NOT_FOUND, Status.UNIMPLEMENTED)


async def warm_up(client: Client, job: Job, count: int, credentials: Credentials = NO_CREDENTIALS) -> list[Observation]:
    """Send the first samples of the schedule one after the other, without label and under ids of their own.

    Args:
        client: Makes the calls.
        job: What will be sent.
        count: How many, or fewer if they take too long.
        credentials: What the client shows to the target.

    Returns:
        What became of each. They belong to no pass, but stand in the trace, so that its books balance with a proxy's.

    Raises:
        UsageError: The target does not let us in, or refuses the request as such, and so would refuse every one of
            the run.
    """
    give_up_s = time.monotonic() + MAX_TOTAL_S
    observations: list[Observation] = []
    for number in range(count):
        if time.monotonic() > give_up_s:
            break
        observations.append(await _send(client, job, number, credentials))
    return observations


async def _send(client: Client, job: Job, number: int, credentials: Credentials) -> Observation:
    shard = job.shard or Shard(0, 1)
    request_id = f"{job.run_id}-warmup-{shard.index + number * shard.of}"
    sample = int(job.schedule.sample[number % len(job.schedule)])
    payload = job.dataset.payload(sample)
    before = job.frame.before(request_id, len(payload))
    start_unix_s, deadline = time.time(), Deadline(time.monotonic(), TIMEOUT_S)
    ended = await ask(client, before, payload, TIMEOUT_S, ((REQUEST_ID, request_id),))
    status = ended.status
    if (refusal := credentials.refusal("the target", status, ended.message)) is not None:
        raise refusal
    if status in _HOPELESS:
        said = credentials.without_token(ended.message)
        raise UsageError(
            f"the target refuses the requests of this run with {status.name} ({said}); "
            "see --model, --payload and --crop"
        )
    ended_s = time.monotonic()
    outcome, predicted = judge(status, ended.answer, late=deadline.passed(ended_s))
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
