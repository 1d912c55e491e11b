"""What the live page shows while labels are missing: never as if it had been measured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

StartServer = Callable[..., Awaitable[Any]]
PAST = {"minutes": 12, "mean": 0.004, "beyond": 0.002}
# Strong blue, as accuracy is drawn in, in the last third of the hour; the pale ground that is chance's is not counted.
BLUE = """(() => {
  const canvas = document.querySelector("#windows-plot canvas");
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const from = Math.ceil((2 * canvas.width) / 3);
  const { data } = copy.getImageData(from, 0, canvas.width - from, canvas.height);
  let number = 0;
  for (let i = 0; i < data.length; i += 4) number += data[i + 3] > 150 && data[i + 2] - data[i + 1] > 40;
  return number;
})()"""


def share(value: float) -> str:
    return f"{100 * value:.1f} %"


async def test_without_labels_the_headline_is_what_is_expected_and_says_so(
    page: Any, start_server: StartServer, make_scene: Any
) -> None:
    server = await start_server(make_scene(labelled=0.0, expected=0.95))
    await page.go(server.url)
    await page.until("document.querySelector('#now-verdict').textContent === 'expected, no labels yet'")
    now = server.scene.document()["quality"]["total"]["now"]
    expected = now["expected"]
    assert now["tca"] is None
    assert await page.text("#now-value") == f"expected {share(expected['tca'])}"
    assert await page.text("#now-interval") == (
        f"{share(expected['lower'])} to {share(expected['upper'])} (95 % sure); objective 90.0 %"
    )
    looked_at = f"{expected['answers']:,}".replace(",", " ")
    assert f"0 labelled, confidence of {looked_at} looked at" in await page.text("#now-volume")
    assert await page.text("#now-expected") == ""
    assert (await page.evaluate("document.title")).startswith("expected ")
    assert "NaN" not in await page.text("body")
    assert page.complaints == []


@pytest.mark.parametrize("right", [1.0, 0.5], ids=["good", "bad"])
async def test_what_is_only_expected_never_looks_like_a_measured_figure_or_a_verdict(
    right: float, page: Any, start_server: StartServer, make_scene: Any
) -> None:
    server = await start_server(make_scene(right=right, expected=right))
    look = """(() => {
      const number = document.querySelector("#now-value span:last-child");
      const { color, fontWeight } = getComputedStyle(number);
      return [color, fontWeight, getComputedStyle(number).textDecorationStyle];
    })()"""
    await page.go(server.url)
    await page.until("document.querySelector('#now-verdict').textContent.startsWith('surely')")
    measured = await page.evaluate(look)
    assert not (await page.text("#now-value")).startswith("expected")
    server.scene.labelled = 0.0
    await page.until("document.querySelector('#now-verdict').textContent === 'expected, no labels yet'")
    assert all(one != other for one, other in zip(await page.evaluate(look), measured, strict=True))
    assert await page.evaluate("document.querySelector('#now-verdict .shape').classList.contains('unknown')")


async def test_once_labels_come_the_headline_is_measured_and_what_was_expected_stands_beside_it(
    page: Any, start_server: StartServer, make_scene: Any
) -> None:
    server = await start_server(make_scene(labelled=0.0, expected=0.9))
    await page.go(server.url)
    await page.until("document.querySelector('#now-value').textContent.startsWith('expected ')")
    server.scene.labelled = 1.0
    await page.until("document.querySelector('#now-expected').textContent !== ''")
    now = server.scene.document()["quality"]["total"]["now"]
    expected = now["expected"]
    assert await page.text("#now-value") == share(now["tca"])
    assert await page.text("#now-expected") == (
        f"expected {share(expected['tca'])} ({share(expected['lower'])} to {share(expected['upper'])})"
    )
    assert await page.text("#now-verdict") == "surely meets its objective"
    size = "parseFloat(getComputedStyle(document.querySelector('%s')).fontSize)"
    assert await page.evaluate(size % "#now-expected") < await page.evaluate(size % "#now-value") / 2


async def test_windows_without_labels_are_drawn_and_named_as_expected(
    page: Any, start_server: StartServer, make_scene: Any
) -> None:
    server = await start_server(make_scene(labelled_minutes=35, expected=0.95))
    await page.go(server.url)
    await page.until("document.querySelector('#windows-legend').textContent.includes('expected, no labels yet')")
    assert "between which it is expected" in await page.text("#windows-legend")
    assert await page.evaluate(BLUE) > 200
    last = server.scene.document()["quality"]["total"]["recent"][-1]
    named = f"expected {share(last[7])} in time and right ({share(last[8])} to {share(last[9])}; no labels yet)"
    assert named in await page.text("#windows-readout")
    assert "late and wrong; or in time, not judged" in await page.text("#losses-legend")

    server.scene.expected = None
    await page.until("!document.querySelector('#windows-legend').textContent.includes('expected')")
    assert await page.evaluate(BLUE) == 0
    assert ": unknown in time and right (0 labelled)" in await page.text("#windows-readout")
    server.scene.expected, server.scene.labelled_minutes = 0.95, 60
    await page.until("document.querySelector('#windows-readout').textContent.includes('labelled; expected ')")
    assert "expected" not in await page.text("#windows-legend")  # all are measured: nothing else is drawn
    assert page.complaints == []


async def test_the_table_of_windows_holds_what_was_expected_beside_what_is_measured(
    page: Any, start_server: StartServer, make_scene: Any
) -> None:
    server = await start_server(make_scene(labelled_minutes=59, expected=0.95))
    await page.go(server.url)
    await page.until("document.querySelector('#now-value').textContent.includes('%')")
    await page.evaluate("document.querySelector('#table-of-windows summary').click()")
    await page.until("document.querySelectorAll('#table-of-windows tbody tr').length === 60")
    *_, before, last = server.scene.document()["quality"]["total"]["recent"]
    row = "document.querySelectorAll('#table-of-windows tbody tr')[%d]"
    cells = f"[...{row}.children].slice(-2).map((one) => one.innerText)"
    shown = [[text.replace("\u202f", " ") for text in await page.evaluate(cells % place)] for place in (0, 1)]
    assert shown[0] == ["unknown", f"{share(last[7])} ({share(last[8])} to {share(last[9])})"]
    measured = before[2] / before[1] * before[4] / (before[4] + before[6])
    assert shown[1] == [share(measured), f"{share(before[7])} ({share(before[8])} to {share(before[9])})"]


async def test_a_row_of_the_table_says_expected_where_nothing_is_measured(
    page: Any, start_server: StartServer, make_scene: Any
) -> None:
    server = await start_server(make_scene(labelled=0.0, expected=0.95))
    await page.go(server.url)
    await page.until("document.querySelectorAll('#all-table tbody tr').length === 4")
    one = server.scene.document()["quality"]["series"][0]
    row = "#all-table tbody tr:nth-child(2)"
    assert await page.text(f"{row} td:nth-child(2) .verdict") == f"expected {share(one['now']['expected']['tca'])}"
    assert await page.text(f"{row} td:nth-child(4)") == f"expected {share(one['hour']['expected']['tca'])}"


@pytest.mark.parametrize(
    ("past", "said"),
    [
        (PAST, "Expected was off by +0.4 points on average over 12 minutes."),
        (PAST | {"mean": -0.0213}, "Expected was off by −2.1 points on average over 12 minutes."),
        (PAST | {"mean": -0.0001, "minutes": 1}, "Expected was off by +0.0 points on average over 1 minute."),
        (PAST | {"minutes": 0}, ""),
        (None, ""),
    ],
)
async def test_how_far_off_it_was_is_said_of_the_series_that_is_chosen(
    past: Any, said: str, page: Any, start_server: StartServer, make_scene: Any
) -> None:
    server = await start_server(make_scene(expected=0.95, past_error=past, models=(("digits", "1", ""),)))
    await page.go(server.url)
    await page.until("document.querySelector('#now-expected').textContent !== ''")
    assert await page.text("#now-past") == said
