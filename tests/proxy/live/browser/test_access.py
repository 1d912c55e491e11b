"""The live page for every eye, hand and screen: width, contrast, keyboard, names, motion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

StartServer = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("width", [360, 800, 1600])
async def test_nothing_sticks_out_sideways(width: int, page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await page.size(width)
    await page.go(server.url)
    await page.until("document.querySelector('#now-value').textContent.includes('%')")
    assert await page.evaluate("document.scrollingElement.scrollWidth") <= width
    drawn = await page.evaluate(
        "[...document.querySelectorAll('.uplot')].map((plot) => plot.getBoundingClientRect().right)"
    )
    assert len(drawn) == 3
    assert max(drawn) <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_all_text_stands_out_from_its_ground(dark: bool, page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await page.size(1280, dark=dark)
    await page.go(server.url)
    await page.until("document.querySelector('#now-value').textContent.includes('%')")
    ratios: dict[str, float] = await page.evaluate(
        """(() => {
          const style = getComputedStyle(document.documentElement);
          const light = (name) => {
            const pen = new OffscreenCanvas(1, 1).getContext("2d");
            pen.fillStyle = style.getPropertyValue("--" + name);
            pen.fillRect(0, 0, 1, 1);
            const [red, green, blue] = [...pen.getImageData(0, 0, 1, 1).data].map((value) => {
              const part = value / 255;
              return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
          };
          const ratio = (one, other) => {
            const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
            return (high + 0.05) / (low + 0.05);
          };
          const names = ["text", "quiet", "accent", "good", "close", "under", "floor"];
          const pairs = names.flatMap((name) => ["card", "page"].map((on) => [name, on]));
          return Object.fromEntries(pairs.map(([name, on]) => [name + " on " + on, ratio(name, on)]));
        })()"""
    )
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}  # WCAG 2.2, 1.4.3


async def test_whatever_can_be_operated_has_a_name_and_is_reached_by_the_keyboard(
    page: Any, start_server: StartServer
) -> None:
    server = await start_server()
    await page.go(server.url)
    await page.until("document.querySelectorAll('#all-table button').length === 4")
    nodes = (await page.ask("Accessibility.getFullAXTree"))["nodes"]
    operable = {"slider", "button", "combobox", "link", "region"}
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if node.get("role", {}).get("value") in operable and not node["ignored"]
    ]
    assert {role for role, _ in found} >= {"slider", "button", "combobox", "link"}
    assert [role for role, name in found if not name] == []
    reached = set()
    for _ in range(20):
        await page.press("Tab")
        reached.add(await page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"series", "handle"} <= reached


async def test_nothing_moves_by_itself_for_those_who_asked_for_that(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    moving = "getComputedStyle(document.querySelector('.stack > span')).transitionDuration !== '0s'"
    for still in (False, True):
        await page.size(1280, still=still)
        await page.go(server.url)
        await page.until("document.querySelector('.stack > span') !== null")
        assert await page.evaluate(moving) is not still
