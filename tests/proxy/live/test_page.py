"""The live page over HTTP, by a real client of a real server."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tailgate_proxy.live.feed import HEARTBEAT, STOPPING

STATIC = Path(str(files("tailgate_proxy.live") / "static"))
StartServer = Callable[..., Awaitable[Any]]


async def frames(response: aiohttp.ClientResponse, number: int) -> list[bytes]:
    found = []
    for _ in range(number):
        frame = b""
        while not frame.endswith(b"\n\n"):
            line = await response.content.readline()
            assert line, "the stream ended"
            frame += line
        found.append(frame)
    return found


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["/", "/live"])
async def test_the_page_is_served_and_lets_nothing_in_from_elsewhere(path: str, start_server: StartServer) -> None:
    server = await start_server()
    async with aiohttp.ClientSession() as session, session.get(server.url + path) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'self';")
        text = await response.text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|https?://", text)


async def test_everything_the_page_names_is_there_in_its_own_type(start_server: StartServer) -> None:
    server = await start_server()
    named = re.findall(r'(?:href|src)="(live/static/[^"]+)"', (STATIC / "index.html").read_text())
    modules = [f"live/static/{path.name}" for path in STATIC.glob("*.js")]
    imported = {
        f"live/static/{name}"
        for path in STATIC.glob("*.js")
        for name in re.findall(r'from "\./(.+)"', path.read_text())
    }
    assert imported < set(modules)
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    async with aiohttp.ClientSession() as session:
        for name in {*named, *modules}:
            async with session.get(f"{server.url}/{name}") as response:
                assert (response.status, response.content_type) == (200, types[name.rpartition(".")[2]]), name
                assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_a_browser_has_is_not_sent_again(start_server: StartServer) -> None:
    server = await start_server()
    async with aiohttp.ClientSession() as session:
        async with session.get(server.url) as response:
            tag = response.headers["ETag"]
        async with session.get(server.url, headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")


@pytest.mark.parametrize("name", ["../page.py", "..%2fpage.py", "%2e%2e/page.py", "/etc/passwd", "vendor", "no.js"])
async def test_nothing_but_its_files_can_be_asked_for(name: str, start_server: StartServer) -> None:
    from yarl import URL

    server = await start_server()
    address = URL(f"{server.url}/live/static/{name}", encoded=True)
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        assert response.status == 404


async def test_snapshots_arrive_as_server_sent_events(start_server: StartServer) -> None:
    server = await start_server()
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/live/events") as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        for frame in await frames(response, 3):
            event, data, *rest = frame.decode().split("\n")
            assert (event, rest) == ("event: snapshot", ["", ""])
            assert json.loads(data.removeprefix("data: ")) == json.loads(json.dumps(server.scene.document()))


async def test_one_client_too_many_is_told_why(start_server: StartServer) -> None:
    server = await start_server(max_clients=2)
    async with aiohttp.ClientSession() as session:
        first = await session.get(f"{server.url}/live/events")
        second = await session.get(f"{server.url}/live/events")
        async with session.get(f"{server.url}/live/events") as refused:
            assert refused.status == 503
            assert await refused.text() == "2 clients watch already; close one of them\n"
        first.close()
        await until(lambda: server.feed.clients == 1)
        async with session.get(f"{server.url}/live/events") as third:
            assert third.status == 200
        second.close()


async def test_a_closed_client_leaves_no_task_and_no_word_in_the_log(
    start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start_server(interval_s=0.01)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    before = asyncio.all_tasks()
    with caplog.at_level(logging.DEBUG):
        for _ in range(5):
            async with aiohttp.ClientSession() as session:
                response = await session.get(f"{server.url}/live/events")
                await frames(response, 2)
                response.close()  # in the middle of the stream
        await until(lambda: server.feed.clients == 0)
        await until(lambda: asyncio.all_tasks() <= before)
    assert complaints == []
    assert [record for record in caplog.records if record.name != "asyncio"] == []
    assert not any(record.exc_info for record in caplog.records)


async def test_a_client_that_reads_nothing_holds_up_nobody_and_gets_the_newest(start_server: StartServer) -> None:
    server = await start_server(interval_s=0.001)
    server.scene.models = tuple(("model", str(number), "") for number in range(20))
    async with aiohttp.ClientSession() as session:
        asleep = await session.get(f"{server.url}/live/events")
        awake = await session.get(f"{server.url}/live/events")
        server.scene.now_s += 1
        await frames(awake, 100)
        mailboxes = server.feed._mailboxes
        await until(lambda: any(mailbox.dropped for mailbox in mailboxes))
        awake.close()
        server.scene.now_s += 1000
        newest = f'"at_unix_s":{server.scene.now_s}'.encode()
        async with asyncio.timeout(60):
            while newest not in (await frames(asleep, 1))[0]:
                pass
        asleep.close()


async def test_silence_is_broken_by_a_heartbeat(start_server: StartServer) -> None:
    server = await start_server(interval_s=1000, heartbeat_s=0.05)
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/live/events") as response:
        assert (await frames(response, 3))[1:] == [HEARTBEAT, HEARTBEAT]


async def test_stopping_is_told_and_does_not_wait_for_who_does_not_read(start_server: StartServer) -> None:
    server = await start_server(interval_s=0.001)
    server.scene.models = tuple(("model", str(number), "") for number in range(20))
    async with aiohttp.ClientSession() as session:
        asleep = await session.get(f"{server.url}/live/events")
        await until(lambda: any(mailbox.dropped for mailbox in server.feed._mailboxes))
        awake = await session.get(f"{server.url}/live/events")
        await frames(awake, 1)
        reading = asyncio.create_task(awake.content.read())
        async with asyncio.timeout(9):  # the server's own patience with a client that takes nothing is 10 s
            await server.stop()
        assert (await reading).endswith(STOPPING)
        assert server.feed.clients == 0
        asleep.close()


async def test_what_is_vendored_is_what_was_recorded() -> None:
    import hashlib

    recorded = re.findall(r"^([0-9a-f]{64})  (\S+)$", (STATIC / "vendor" / "uPlot.txt").read_text(), re.M)
    assert {name for _, name in recorded} == {path.name for path in (STATIC / "vendor").iterdir()} - {"uPlot.txt"}
    assert all(
        hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest for digest, name in recorded
    )


def test_the_pictures_of_these_tests_look_like_the_monitors_own(make_scene: Any) -> None:
    from tailgate.monitor import Monitor
    from tailgate.objective import Objective
    from tailgate.observation import Observation
    from tailgate.outcome import Outcome

    monitor = Monitor(bounds_s=(0.05, 0.1), objectives={"digits": Objective(0.9, 0.8, 0.05)})
    for number in range(200):
        request = Observation("", "digits", "1", 60.0 * (number % 3), 0.05, 0.02, Outcome.OK, predicted=1, label=1)
        monitor.observe(request)
        monitor.judge(request)
    for at_s in (240.0, 241.0, 242.0):
        monitor.advance(at_s)

    def form(value: Any) -> Any:
        match value:
            case {"ok": _}:
                return "outcomes"
            case dict():
                return {key: form(inner) for key, inner in value.items()}
            case [first, *_]:
                return [form(first)]
            case int() | float() | None:
                return "number"
        return value and type(value)

    drawn, real = make_scene(now_s=240.0).document()["quality"], monitor.snapshot(242.0)
    assert form(drawn) == form(real)
    assert len(drawn["series"][0]["recent"][0]) == len(real["series"][0]["recent"][0])
