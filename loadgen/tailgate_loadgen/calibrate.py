"""`tailgate load calibrate`: how many requests one process of this machine can send, to a target that does nothing.

Closed loop: a fixed number of requests is waited for at any time, so the sender is never idle. What else runs on the
machine can only lower what is found, so the best of some rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tailgate.cli import EXIT_OK
from tailgate.errors import ConfigError, Status, UsageError
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import LABEL, REQUEST_ID
from tailgate.units import parse_duration
from tailgate_loadgen.calibration import keep_calibration, this_machine
from tailgate_loadgen.calls import MAX_MESSAGE_BYTES, Client, ClientName, Ended
from tailgate_loadgen.capacity import SHARE, Calibration
from tailgate_loadgen.event_loop import run_on_loop
from tailgate_loadgen.options import NO_CALIBRATION, read_calibration_path
from tailgate_loadgen.sender import judge
from tailgate_loadgen.target import open_client
from tailgate_loadgen.tied import tied

SIZES = (1_000, 12_000, 150_528, 602_112)
"""Bytes of a tensor: nearly nothing, a digit as FP32, an image of 224 × 224 as pixels and as FP32."""
OUTSTANDING = 32
ROUNDS = 3
WARMUP_S = 0.3
TIMEOUT_S = 30.0
BUSY = 0.8
"""A sender that had less of a processor than this was held up by something else."""


@dataclass(frozen=True)
class Round:
    """What one measurement found.

    Attributes:
        requests_per_s: That ended.
        processor: CPU seconds a second that this process had.
    """

    requests_per_s: float
    processor: float


def calibrate(namespace: argparse.Namespace) -> int:
    """Measure, show and keep; returns the exit status.

    Raises:
        UsageError: An option has no meaning, the target did not start, or what was found cannot be kept.
    """
    seconds = parse_duration(namespace.time, "--time")
    sizes = _sizes(namespace.size)
    path, client = read_calibration_path(namespace), namespace.client
    if path is None:
        raise ConfigError(f"--calibration is {NO_CALIBRATION!r}, and what is measured has to be kept; name a file")
    found: dict[int, float] = {}
    with null_target() as address:
        for size in sizes:
            frame, payload = RequestFrame("null", "image", "UINT8", (1, size)), memoryview(bytes(size))
            request_bytes = len(frame.build("calibration-00-000000", payload))
            rounds = [run_on_loop(measure(client, address, frame, payload, seconds)) for _ in range(ROUNDS)]
            best = max(rounds, key=lambda one: one.requests_per_s)
            if not best.requests_per_s:
                raise UsageError(f"no request of {request_bytes} bytes ended within --time {namespace.time}; take more")
            found[request_bytes] = best.requests_per_s
            _say(request_bytes, best)
    keep_calibration(path, this_machine(client), Calibration(found, time.time()))
    print(f"kept in {path}")
    return EXIT_OK


@contextmanager
def null_target() -> Iterator[str]:
    """A target that does nothing, in a process of its own; its address.

    Raises:
        UsageError: It did not start.
    """
    command = tied([sys.executable, "-m", "tailgate_loadgen.null_target"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 — our own module
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise UsageError("the target that does nothing did not start; it said why above")
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


async def measure(
    client_name: ClientName, address: str, frame: RequestFrame, payload: memoryview, seconds: float
) -> Round:
    """Requests a second with `OUTSTANDING` of them waited for at any time.

    Raises:
        UsageError: A request failed.
    """
    loop = asyncio.get_running_loop()
    async with open_client(client_name, address) as client:
        start_s = loop.time() + WARMUP_S
        asking = [_Asker(client, frame, payload, number, start_s, start_s + seconds) for number in range(OUTSTANDING)]
        for one in asking:
            one.ask()
        await asyncio.sleep(WARMUP_S)
        before_s, spent_before_s = loop.time(), time.process_time()
        await asyncio.gather(*(one.done for one in asking))
        wall_s, spent_s = loop.time() - before_s, time.process_time() - spent_before_s
    return Round(sum(one.counted for one in asking) / seconds, spent_s / wall_s)


class _Asker:
    """One of many: does what a run does for a request, one after the other.

    Attributes:
        counted: How many ended in the time.
        done: When it has asked its last; fails with the first request that does.
    """

    def __init__(  # noqa: PLR0917 - what one of many does
        self, client: Client, frame: RequestFrame, payload: memoryview, number: int, start_s: float, end_s: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._client, self._frame, self._payload = client, frame, payload
        self._number, self._start_s, self._end_s = number, start_s, end_s
        self._asked = 0
        self.counted = 0
        self.done: asyncio.Future[None] = self._loop.create_future()

    def ask(self) -> None:
        request_id = f"calibration-{self._number}-{self._asked}"
        self._asked += 1
        call = self._client.prepare(
            self._frame.before(request_id, len(self._payload)), self._payload, ((REQUEST_ID, request_id), (LABEL, "0"))
        )
        call.begin(TIMEOUT_S, self._ended)

    def _ended(self, ended: Ended) -> None:
        if ended.status is not Status.OK:
            why = f"the target that does nothing ended a request with {ended.status.name} ({ended.message})"
            self.done.set_exception(UsageError(f"{why}; calibrate again"))
            return
        judge(Status.OK, ended.answer, late=False)
        now_s = self._loop.time()
        self.counted += self._start_s <= now_s < self._end_s
        if now_s < self._end_s:
            self.ask()
        else:
            self.done.set_result(None)


def _sizes(given: Sequence[int] | None) -> Sequence[int]:
    for size in given or ():
        if not 1 <= size < MAX_MESSAGE_BYTES:
            raise ConfigError(f"--size is {size}; expected bytes of a tensor, from 1 to {MAX_MESSAGE_BYTES - 1}")
    return sorted(set(given)) if given else SIZES


def _say(request_bytes: int, best: Round) -> None:
    rate = best.requests_per_s
    print(f"{request_bytes:,} bytes: {rate:,.0f} requests a second at most, of which a run may use {SHARE * rate:,.0f}")
    if best.processor < BUSY:
        print(
            f"  in it this process had {best.processor:.0%} of a processor, so something else held it up: the machine "
            "is busy, and can send more than that; calibrate again when it is quiet"
        )
