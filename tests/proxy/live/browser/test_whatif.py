"""Another deadline is tried by keyboard, mouse and finger, and the figure is the one the counts say."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

StartServer = Callable[..., Awaitable[Any]]


async def opened(page: Any, server: Any) -> dict[str, Any]:
    """The page with the handle at the deadline; returns what the latencies were."""
    await page.size(1280, 2400)
    await page.go(server.url)
    await page.until("document.querySelector('#whatif-readout strong') !== null")
    latency: dict[str, Any] = server.scene.document()["quality"]["total"]["latency"]
    return latency


def exact(latency: dict[str, Any], place: int) -> str:
    return f"{100 * latency['right'][place] / latency['labelled']:.1f} %"


async def at_x(page: Any, seconds: float) -> tuple[float, float]:
    """Where a latency lies in the plot, in pixels of the window."""
    x, y = await page.evaluate(
        f"""(() => {{
          const {{ plot }} = document.querySelector("#whatif-plot");
          const over = plot.over.getBoundingClientRect();
          return [over.left + plot.valToPos({seconds}, "x"), over.top + over.height / 3];
        }})()"""
    )
    return x, y


async def test_it_starts_at_the_deadline(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    latency = await opened(page, server)
    assert await page.text("#whatif-readout strong") == exact(latency, 5)
    assert "At 50 ms" in await page.text("#whatif-readout")
    assert await page.evaluate("document.querySelector('#whatif-back').disabled")
    assert page.complaints == []


async def test_the_keyboard_moves_it_from_bucket_to_bucket_and_between(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    latency = await opened(page, server)
    bounds, right, labelled = latency["bounds_s"], latency["right"], latency["labelled"]
    await page.evaluate("document.querySelector('.handle').focus()")
    await page.press("PageDown", times=2)
    text = await page.text("#whatif-readout")
    assert text.startswith(f"At 10 ms: {exact(latency, 3)} (exact")
    assert f"{100 * (right[3] - right[5]) / labelled:.1f}".replace("-", "−") in text

    await page.press("ArrowRight", times=3)
    between = right[3] + 3 / 8 * (right[4] - right[3])
    text = await page.text("#whatif-readout")
    assert text.startswith(f"At about {1000 * bounds[3] * (bounds[4] / bounds[3]) ** 0.375:.3g} ms: about ")
    assert f"about {100 * between / labelled:.1f} % (interpolated" in text
    await page.press("ArrowRight", times=5)
    assert (await page.text("#whatif-readout strong")) == exact(latency, 4)
    await page.press("Home")
    assert (await page.text("#whatif-readout strong")) == exact(latency, 0)
    await page.press("End")
    assert (await page.text("#whatif-readout strong")) == exact(latency, len(bounds) - 1)
    assert exact(latency, len(bounds) - 1) in (
        await page.evaluate("document.querySelector('.handle').getAttribute('aria-valuetext')")
    ).replace("\u202f", " ")
    await page.evaluate("document.querySelector('#whatif-back').click()")
    assert await page.text("#whatif-readout strong") == exact(latency, 5)
    assert page.complaints == []


async def test_the_mouse_drags_it_and_finds_what_is_exact(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    latency = await opened(page, server)
    start, middle, end = [await at_x(page, seconds) for seconds in (0.05, 0.03, 0.025)]
    await page.drag(start, middle, (end[0] + 2, end[1]))
    assert (await page.text("#whatif-readout")).startswith(f"At 25 ms: {exact(latency, 4)} (exact")
    left = await page.evaluate(
        "(({left, width}) => left + width / 2)(document.querySelector('.handle').getBoundingClientRect())"
    )
    assert math.isclose(left, end[0], abs_tol=1)

    to = await at_x(page, 0.07)
    await page.drag(end, to)
    share = math.log(0.07 / 0.05) / math.log(2)
    between = (latency["right"][5] + share * (latency["right"][6] - latency["right"][5])) / latency["labelled"]
    shown = float((await page.text("#whatif-readout strong")).removeprefix("about ").removesuffix(" %"))
    assert math.isclose(shown, 100 * between, abs_tol=0.2)  # a pixel is 1 % of a latency
    assert "about" in await page.text("#whatif-readout strong")


async def test_a_finger_drags_it(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    latency = await opened(page, server)
    await page.ask("Emulation.setTouchEmulationEnabled", enabled=True)
    path = [await at_x(page, seconds) for seconds in (0.05, 0.15, 0.2, 0.25)]
    await page.swipe(*path)
    assert await page.text("#whatif-readout strong") == exact(latency, 7)


async def test_it_stays_where_it_was_put_while_figures_move_under_it(page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await opened(page, server)
    await page.evaluate("document.querySelector('.handle').focus()")
    await page.press("PageDown")
    server.scene.right = 0.8
    after = exact(server.scene.document()["quality"]["total"]["latency"], 4)
    await page.until(f"document.querySelector('#whatif-readout strong').textContent.startsWith('{after.split()[0]}')")
    assert "At 25 ms" in await page.text("#whatif-readout")
    assert await page.evaluate("document.activeElement === document.querySelector('.handle')")


async def test_past_the_deadline_it_promises_no_more_than_was_seen(
    page: Any, start_server: StartServer, make_scene: Any
) -> None:
    server = await start_server(make_scene(mode="enforce"))
    latency = await opened(page, server)
    await page.evaluate("document.querySelector('.handle').focus()")
    await page.press("PageUp")
    assert await page.text("#whatif-readout strong") == f"at least {exact(latency, 6)}"
    assert "lower bound" in await page.text("#whatif-note")


@pytest.mark.parametrize("seed", range(5))
async def test_places_and_latencies_agree_everywhere(seed: int, page: Any, start_server: StartServer) -> None:
    server = await start_server()
    await page.go(server.url)
    chance = random.Random(seed)
    bounds = sorted({10 ** chance.uniform(-4, 1.3) for _ in range(chance.randint(2, 20))})
    counts = sorted(chance.randint(0, 1000) for _ in range(len(bounds) + 1))
    latency: dict[str, Any] = {
        "bounds_s": bounds,
        "all": counts,
        "right": [count // 2 for count in counts],
        "labelled": counts[-1] or 1,
    }
    found = await page.evaluate(
        f"""import("/live/static/whatif.js").then((it) => {{
          const latency = {json.dumps(latency)};
          const last = it.lastPlace(latency);
          const places = Array.from({{ length: 200 }}, (_, step) => (last * step) / 199);
          const walked = [];
          for (let place = 0; walked.push(place) && place < last; ) place = it.stepped(latency, place, 1);
          return {{
            bounds: latency.bounds_s.map((bound) => it.at(latency, it.placeOf(latency, bound))),
            round: Math.max(
              ...places.map((place) => Math.abs(it.placeOf(latency, it.secondsAt(latency, place)) - place)),
            ),
            tcas: places.map((place) => it.at(latency, place).tca),
            exactWalked: walked.filter(Number.isInteger).length,
            beyond: it.placeOf(latency, 1e9),
            before: it.placeOf(latency, 1e-9),
          }};
        }})"""
    )
    assert [one["exact"] for one in found["bounds"]] == [True] * len(bounds)
    assert [one["seconds"] for one in found["bounds"]] == pytest.approx(bounds)
    assert [one["tca"] for one in found["bounds"]] == pytest.approx(
        [count / latency["labelled"] for count in latency["right"][:-1]]
    )
    assert found["round"] < 1e-6
    assert found["tcas"] == sorted(found["tcas"])
    assert found["exactWalked"] == len(bounds)
    assert (found["before"], found["beyond"]) == (0, len(bounds) - 1)
