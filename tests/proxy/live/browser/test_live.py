"""What a person sees of the live page: updates, states, a broken connection; and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

StartServer = Callable[..., Awaitable[Any]]
INK = """(() => {
  const canvas = document.querySelector("#%s-plot canvas");
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value) => value) ? data.reduce((sum, value) => (31 * sum + value) | 0, 0) : 0;
})()"""


async def test_updates_arrive_and_are_drawn(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await page.go(server.url)
    shown = f"{100 * server.scene.document()['quality']['total']['now']['tca']:.1f}"
    await page.until(f"document.querySelector('#now-value').textContent.startsWith('{shown}')")
    before = {plot: await page.evaluate(INK % plot) for plot in ("windows", "losses", "whatif")}
    assert all(before.values())

    server.scene.right, server.scene.in_time = 0.7, 0.8
    shown = f"{100 * server.scene.document()['quality']['total']['now']['tca']:.1f}"
    await page.until(f"document.querySelector('#now-value').textContent.startsWith('{shown}')")
    after = {plot: await page.evaluate(INK % plot) for plot in before}
    assert all(after.values())
    assert all(after[plot] != before[plot] for plot in before)
    assert page.complaints == []


async def test_every_verdict_has_a_word_and_a_shape_of_its_own(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await page.go(server.url)
    seen: dict[str, str] = {}
    for right, per_minute, word in (
        (1.0, 600, "surely meets its objective"),
        (0.93, 60, "meets its objective, by too few labels to be sure"),
        (0.9, 60, "under its objective, by too few labels to be sure"),
        (0.87, 6000, "surely under its objective"),
        (0.5, 600, "surely under the floor"),
    ):
        server.scene.right, server.scene.per_minute = right, per_minute
        await page.until(f"document.querySelector('#now-verdict').textContent === '{word}'")
        seen[word] = await page.evaluate("document.querySelector('#now-verdict path, #now-verdict circle').outerHTML")
    shapes = [seen[word] for word in seen if word != "under its objective, by too few labels to be sure"]
    assert len(set(shapes)) == 4


async def test_a_good_total_does_not_hide_who_is_hurt(page: Any, start_server: StartServer, make_scene: Any) -> None:
    server = await start_server(make_scene(hurt=1))
    await page.go(server.url)
    await page.until("document.querySelector('#now-verdict').textContent === 'surely meets its objective'")
    tca = server.scene.document()["quality"]["series"][1]["now"]["tca"]
    named = f"Surely under: digits, version 2, slice night: {100 * tca:.1f} %"
    assert await page.text("#now-hurt") == named
    await page.evaluate("document.querySelector('#now-hurt button').click()")
    await page.until("document.querySelector('#now-verdict').textContent === 'surely under the floor'")
    assert await page.text("#now-hurt") == ""
    assert await page.text("#now-value") == f"{100 * tca:.1f} %"
    server.scene.hurt = None
    await page.until("document.querySelector('#now-verdict').textContent === 'surely meets its objective'")
    assert page.complaints == []


async def test_before_any_traffic_the_page_says_so(page: Any, start_server: StartServer, make_scene: Any) -> None:
    server = await start_server(make_scene(minutes=0))
    await page.go(server.url)
    await page.until("document.querySelector('#now-verdict').textContent === 'no traffic yet'")
    assert await page.text("#now-value") == "–"
    assert await page.text("#worst-verdict") == "no window with labels yet"
    assert await page.text("#windows-readout") == "No window is complete yet."
    assert await page.text("#outcomes-list") == "No request has ended yet."
    assert "unknown" in await page.text("#whatif-readout")
    assert "NaN" not in await page.text("body")
    assert page.complaints == []


async def test_without_labels_accuracy_is_unknown_and_the_share_in_time_is_shown(
    page: Any, start_server: StartServer, make_scene: Any
) -> None:
    server = await start_server(make_scene(labelled=0.0))
    await page.go(server.url)
    await page.until("document.querySelector('#now-verdict').textContent === 'no labels'")
    now = server.scene.document()["quality"]["total"]["now"]
    share = f"{100 * now['in_time'] / now['requests']:.1f} %"
    assert await page.text("#now-value") == "unknown"
    assert f"{share} in time" in await page.text("#now-volume")
    assert f"{share} in time, not judged" in await page.text("#split-legend")
    assert "0 labelled" in await page.text("#now-volume")
    assert "of all requests had ended; what was right is unknown: no labels" in await page.text("#whatif-readout")
    assert "NaN" not in await page.text("body")
    assert page.complaints == []


async def test_it_says_when_the_upstream_is_not_ready_and_when_the_proxy_stops(
    page: Any, start_server: StartServer
) -> None:
    server = await start_server()
    await page.go(server.url)
    await page.until("document.querySelector('#process dd.verdict')?.textContent === 'ready'")
    server.scene.upstream_ready = False
    await page.until("document.querySelector('#process dd.verdict').textContent === 'not ready'")
    assert await page.evaluate("document.querySelector('#notice').hidden")
    server.scene.draining = True
    await page.until("document.querySelector('#notice-text').textContent === 'The proxy is stopping'")
    assert await page.evaluate("!document.querySelector('#notice').hidden")
    await server.stop()
    await page.until("document.querySelector('#notice-text').textContent === 'The proxy has stopped'")


async def test_it_reconnects_after_a_restart_and_says_so_meanwhile(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await page.go(server.url)
    await page.until("document.querySelector('#now-value').textContent.includes('%')")
    await server.stop()
    await page.until("!document.querySelector('#notice').hidden && document.querySelector('.stale') !== null")
    assert "What you see is of" in await page.text("#notice-detail")
    assert "%" in await page.text("#now-value")  # the last picture stays
    assert await page.text("#announce") == await page.text("#notice-text") != ""

    successor = await start_server(port=server.port)
    successor.scene.right = 0.5
    await page.until("document.querySelector('#now-verdict').textContent === 'surely under the floor'")
    assert await page.evaluate("document.querySelector('#notice').hidden && document.querySelector('.stale') === null")
    assert "surely under the floor" in await page.text("#announce")
    assert all(complaint.startswith("network: ") for complaint in page.complaints)  # the browser's own, of the gap


async def test_a_page_of_another_version_is_loaded_anew(page: Any, start_server: StartServer, make_scene: Any) -> None:
    server = await start_server()
    await page.go(server.url)
    await page.until("document.querySelector('#now-value').textContent.includes('%')")
    await page.evaluate("globalThis.old = true")
    await server.stop()
    await start_server(make_scene(version="0.2.0"), port=server.port)
    shown = "document.querySelector('#process-list').textContent.includes('0.2.0')"
    await page.until(f"globalThis.old === undefined && {shown}")


async def test_trying_again_at_once_needs_no_waiting(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await page.go(server.url)
    await page.until("document.querySelector('#now-value').textContent.includes('%')")
    await server.stop()
    await page.until("!document.querySelector('#retry').hidden")
    await start_server(port=server.port)
    await page.evaluate("document.querySelector('#retry').click()")
    await page.until("document.querySelector('#notice').hidden")


async def test_one_viewer_too_many_is_told_and_let_in_later(page: Any, start_server: StartServer) -> None:
    server = await start_server(max_clients=1)
    held = server.feed.join(lambda: None)
    await page.go(server.url)
    await page.until("document.querySelector('#notice-detail').textContent.includes('as many watch as may')")
    server.feed.leave(held)
    await page.until("document.querySelector('#notice').hidden")


async def test_a_closed_tab_leaves_no_traceback_and_no_task(
    page: Any, start_server: StartServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start_server()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    with caplog.at_level(logging.DEBUG):
        await page.go(server.url)
        await page.until("document.querySelector('#now-value').textContent.includes('%')")
        assert server.feed.clients == 1
        await page.close()
        async with asyncio.timeout(60):
            while server.feed.clients:
                await asyncio.sleep(0.01)
        await server.stop()
    assert complaints == []
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.WARNING]


async def test_what_names_say_is_text_and_never_markup(page: Any, start_server: StartServer, make_scene: Any) -> None:
    name = "<img src=x onerror=alert(1)>"
    alarm = {"model": name, "version": "1", "slice": "", "at_unix_s": 1_789_003_000, "mean": 0.81, "baseline": 0.93}
    server = await start_server(make_scene(models=((name, "1", ""), ("digits", "<b>2</b>", "")), alarms=[alarm]))
    await page.go(server.url)
    await page.until("document.querySelector('#all-table button') !== null")
    assert name in await page.text("#all-table")
    assert name in await page.text("#alarms-list")
    assert await page.evaluate("document.querySelectorAll('img, b').length") == 0
    assert page.complaints == []


async def test_an_alarm_is_listed_and_announced(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await page.go(server.url)
    await page.until("document.querySelector('#alarms-list').textContent === 'No alarm.'")
    where = {"model": "digits", "version": "1", "slice": ""}
    server.scene.alarms = [where | {"at_unix_s": server.scene.now_s - 5, "mean": 0.81, "baseline": 0.9}]
    await page.until("document.querySelector('#alarms-list').textContent.includes('5 s ago')")
    assert "digits, version 1 is at 81.0 %, held to 90.0 %" in await page.text("#alarms-list")
    assert "Alarm: digits, version 1 is at 81.0 %" in await page.text("#announce")


async def test_a_series_is_chosen_from_the_table_and_stays_chosen_when_the_page_is_loaded_again(
    page: Any, start_server: StartServer
) -> None:
    server = await start_server()
    await page.go(server.url)
    await page.until("document.querySelectorAll('#all-table button').length === 4")
    await page.evaluate("document.querySelectorAll('#all-table button')[2].click()")
    shown = "document.querySelector('#series').selectedOptions[0]?.textContent === 'digits, version 2, slice night'"
    await page.until(shown)
    tca = server.scene.document()["quality"]["series"][1]["now"]["tca"]
    assert await page.text("#now-value") == f"{100 * tca:.1f} %"
    await page.ask("Page.reload")
    await page.until(shown)
    await page.until(f"document.querySelector('#now-value').textContent.startsWith('{100 * tca:.1f}')")


async def test_the_windows_can_be_read_as_a_table(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await page.go(server.url)
    await page.until("document.querySelector('#now-value').textContent.includes('%')")
    await page.evaluate("document.querySelector('#table-of-windows summary').click()")
    await page.until("document.querySelectorAll('#table-of-windows tbody tr').length === 60")
    last = server.scene.document()["quality"]["total"]["recent"][-1]
    assert f"{last[1]:,}".replace(",", " ") in await page.text("#table-of-windows tbody tr")
