"""What is done when: all that can be done for a request is done before its instant, and every end is made one row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest

from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate.protocol.envelope import RequestFrame
from tailgate_loadgen.arrivals import Constant
from tailgate_loadgen.calibrate import null_target
from tailgate_loadgen.calls import CLIENTS, Call, Client, ClientName, Ended, Metadata, Payload
from tailgate_loadgen.datasets.dataset import Dataset, MemoryRows
from tailgate_loadgen.schedule import make_schedule
from tailgate_loadgen.seeds import derive_seeds
from tailgate_loadgen.sender import Job, Sender
from tailgate_loadgen.target import open_client

COUNT = 20


def job_of(rate: float) -> Job:
    frame = RequestFrame("m", "image", "UINT8", (1, 3))
    dataset = Dataset(MemoryRows([b"abc"] * COUNT), np.zeros(COUNT, np.int64), (), "UINT8", (1, 3))
    schedule = make_schedule(dataset_size=COUNT, passes=1, rate=rate, arrivals=Constant(), seeds=derive_seeds(0))
    return Job("run", "m", frame, dataset, schedule, 60.0, "cancel", None, frozenset())


class Noted:
    """A client, and a note of what is done with it."""

    def __init__(self, client: Client, notes: list[str]) -> None:
        self.client = client
        self.notes = notes

    def prepare(self, before: bytes, payload: Payload, metadata: Metadata = ()) -> Call:
        self.notes.append("prepared")
        return NotedCall(self.client.prepare(before, payload, metadata), self.notes)

    def put_first(self, urgent: Callable[[], None]) -> None:
        self.client.put_first(urgent)


class NotedCall:
    def __init__(self, call: Call, notes: list[str]) -> None:
        self.call = call
        self.notes = notes

    @property
    def sent_s(self) -> float:
        return self.call.sent_s

    @property
    def ended_s(self) -> float:
        return self.call.ended_s

    def begin(self, timeout_s: float, on_end: Callable[[Ended], None], more: Metadata = ()) -> None:
        self.notes.append("begun")
        self.call.begin(timeout_s, on_end, more)

    def cancel(self) -> None:
        self.call.cancel()


async def send(name: ClientName, rate: float, notes: list[str], on_end: Callable[[Observation], None]) -> bool:
    loop = asyncio.get_running_loop()
    with null_target() as address:
        async with open_client(name, address) as client:
            sender = Sender(
                Noted(client, notes), job_of(rate), start_s=loop.time() + 0.1, start_unix_s=time.time() + 0.1,
                on_start=lambda: notes.append("due"), on_end=on_end,
            )  # fmt: skip
            return await sender.run()


@pytest.mark.parametrize("rate", [100.0, 1e6])
@pytest.mark.parametrize("name", CLIENTS)
async def test_each_request_is_prepared_before_its_instant_and_sent_at_it(name: ClientName, rate: float) -> None:
    notes: list[str] = []
    ended: list[Observation] = []
    assert await send(name, rate, notes, ended.append)
    assert notes == ["prepared", "due", "begun"] * COUNT
    assert sorted(one.sample for one in ended) == list(range(COUNT))
    assert {one.outcome for one in ended} == {Outcome.OK}
    assert all(0 < one.lag_s <= one.latency_s for one in ended)


@pytest.mark.parametrize("name", CLIENTS)
async def test_what_goes_wrong_with_a_row_ends_the_run_instead_of_being_lost(name: ClientName) -> None:
    rows: list[Observation] = []

    def full(row: Observation) -> None:
        rows.append(row)
        if len(rows) == 5:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        await send(name, 100.0, [], full)
