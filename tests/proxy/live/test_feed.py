"""Who gets which snapshot, and when: on a virtual clock, without HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate_proxy.live.feed import STOPPING, WAITING, Feed, Mailbox

OnVirtualTime = Callable[[Awaitable[Any]], Any]


class Counted:
    """Snapshots that say which one they are."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> dict[str, Any]:
        self.made += 1
        return {"quality": {"series": [{"number": self.made}], "total": {}}, "proxy": {}, "at_unix_s": float(self.made)}


def document(message: bytes | None) -> dict[str, Any]:
    assert message is not None
    event, data, *rest = message.decode().split("\n")
    assert (event, rest) == ("event: snapshot", ["", ""])
    read: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return read


def never() -> None:
    raise AssertionError("a client that listens is not cut off")


@given(st.lists(st.binary(), max_size=20), st.integers(1, 5))
def test_a_mailbox_keeps_the_newest_and_counts_what_it_dropped(messages: list[bytes], limit: int) -> None:
    async def run() -> None:
        mailbox = Mailbox(never, limit)
        for message in messages:
            mailbox.put(message)
        kept = messages[-limit:]
        assert [await mailbox.get() for _ in kept] == kept
        assert mailbox.dropped == len(messages) - len(kept)

    asyncio.run(run())


def test_one_snapshot_a_second_is_made_for_all(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        counted = Counted()
        feed = Feed(counted)
        boxes = [feed.join(never) for _ in range(50)]
        await asyncio.sleep(0.5)
        for second in range(1, 6):
            texts = [await box.get() for box in boxes if box is not None]
            assert len(texts) == 50
            assert len({id(text) for text in texts}) == 1
            assert document(texts[0])["at_unix_s"] == second == counted.made
            await asyncio.sleep(1)
        await asyncio.gather(feed.close(), *(drain(feed, box) for box in boxes if box is not None))

    on_virtual_time(run())


def test_a_frame_carries_the_document_as_it_was_made(on_virtual_time: OnVirtualTime, make_scene: Any) -> None:
    async def run() -> None:
        scene = make_scene()
        feed = Feed(scene.document)
        mailbox = feed.join(never)
        assert mailbox is not None
        assert document(await mailbox.get()) == json.loads(json.dumps(scene.document()))
        feed.leave(mailbox)

    on_virtual_time(run())


def test_nothing_is_made_while_nobody_watches(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        counted = Counted()
        feed = Feed(counted)
        await asyncio.sleep(10)
        assert counted.made == 0
        mailbox = feed.join(never)
        assert mailbox is not None
        await mailbox.get()
        feed.leave(mailbox)
        made = counted.made
        await asyncio.sleep(10)
        assert counted.made == made
        assert len(asyncio.all_tasks()) == 1

    on_virtual_time(run())


def test_who_joins_later_sees_the_latest_at_once(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        feed = Feed(Counted())
        first = feed.join(never)
        await asyncio.sleep(2.5)
        second = feed.join(never)
        assert first is not None
        assert second is not None
        async with asyncio.timeout(0.1):
            assert document(await second.get())["at_unix_s"] == 3
        feed.leave(first)
        feed.leave(second)

    on_virtual_time(run())


def test_a_client_that_sleeps_gets_the_newest_and_costs_no_memory(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        feed = Feed(Counted())
        mailbox = feed.join(never)
        assert mailbox is not None
        await asyncio.sleep(99.5)
        received = [document(await mailbox.get())["at_unix_s"] for _ in range(WAITING)]
        assert received == [101 - WAITING + place for place in range(WAITING)]
        assert mailbox.dropped == 100 - WAITING
        feed.leave(mailbox)

    on_virtual_time(run())


def test_no_more_clients_than_allowed(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        feed = Feed(Counted(), max_clients=2)
        first, second = feed.join(never), feed.join(never)
        assert feed.join(never) is None
        assert first is not None
        assert second is not None
        feed.leave(first)
        third = feed.join(never)
        assert third is not None
        feed.leave(second)
        feed.leave(third)

    on_virtual_time(run())


def test_closing_tells_everyone_and_ends_those_that_do_not_listen(on_virtual_time: OnVirtualTime) -> None:
    async def run() -> None:
        feed = Feed(Counted())
        aborted: list[str] = []
        listening, asleep = feed.join(never), feed.join(lambda: aborted.append("asleep"))
        assert listening is not None
        assert asleep is not None
        await asyncio.sleep(5)
        closing = asyncio.create_task(feed.close())
        await asyncio.sleep(0)
        assert await listening.get() == STOPPING
        assert await listening.get() is None
        feed.leave(listening)
        await closing
        assert aborted == ["asleep"]
        assert feed.join(never) is None
        feed.leave(asleep)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    on_virtual_time(run())


@pytest.mark.parametrize("fault", [{}, {"quality": {"series": [{"tca": float("nan")}]}}], ids=["no quality", "NaN"])
def test_a_faulty_snapshot_is_logged_once_and_the_next_one_tried(
    fault: dict[str, Any], on_virtual_time: OnVirtualTime, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        pictures = [fault, fault, fault]
        counted = Counted()
        feed = Feed(lambda: pictures.pop() if pictures else counted())
        mailbox = feed.join(never)
        assert mailbox is not None
        assert document(await mailbox.get())["at_unix_s"] == 1
        feed.leave(mailbox)

    with caplog.at_level(logging.ERROR):
        on_virtual_time(run())
    assert [record.message for record in caplog.records] == ["the live page gets no snapshot"]


async def drain(feed: Feed, mailbox: Mailbox) -> None:
    while await mailbox.get() is not None:
        pass
    feed.leave(mailbox)
