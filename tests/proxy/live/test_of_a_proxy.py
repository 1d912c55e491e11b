"""A real proxy serves the live page on its admin port, with what really passes through it."""

from __future__ import annotations

import json
from typing import Any

import aiohttp


async def snapshot(response: aiohttp.ClientResponse) -> dict[str, Any]:
    while True:
        line = await response.content.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            read: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            return read


async def test_the_live_page_shows_what_passes_through_the_proxy(start_proxy: Any) -> None:
    running = await start_proxy()
    for number in range(3):
        await running.infer(f"3/{number}", tailgate_label="3")
    url = f"http://{running.admin}"
    async with aiohttp.ClientSession(read_bufsize=1 << 20) as session:
        async with session.get(url) as response:
            assert "Time-critical accuracy now" in await response.text()
        async with session.get(f"{url}/live/events") as response:
            document = await snapshot(response)
            while document["quality"]["total"]["now"]["labelled"] < 3:  # labels settle after a while
                document = await snapshot(response)
            async with session.get(f"{url}/status.json") as status:
                assert document["proxy"].keys() == (await status.json()).keys()
    now = document["quality"]["total"]["now"]
    assert (now["requests"], now["in_time"], now["right_in_time"], now["tca"]) == (3, 3, 3, 1.0)
    assert [one["model"] for one in document["quality"]["series"]] == ["scripted"]
    assert document["proxy"]["upstream"]["ready"]


async def test_a_stopping_proxy_is_not_held_up_by_those_who_watch(start_proxy: Any) -> None:
    running = await start_proxy()
    async with aiohttp.ClientSession(read_bufsize=1 << 20) as session:
        response = await session.get(f"http://{running.admin}/live/events")
        await snapshot(response)
        await running.proxy.stop()
        assert b"event: stopping" in await response.content.read()
