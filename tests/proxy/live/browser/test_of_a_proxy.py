"""The live page of a real proxy, in a real browser, over a restart of the proxy."""

from __future__ import annotations

from typing import Any


async def test_the_page_shows_traffic_and_comes_back_after_a_restart_of_the_proxy(page: Any, start_proxy: Any) -> None:
    first = await start_proxy()
    await first.infer("3/a", tailgate_label="3")
    await first.infer("3/b", tailgate_label="4")
    await page.go(f"http://{first.admin}")
    await page.until("document.querySelector('#now-value').textContent.startsWith('50.0')")
    assert "scripted" in await page.text("#series")
    assert "of all requests had ended" in await page.text("#whatif-readout")  # the hour has no complete window yet
    assert page.complaints == []

    await first.proxy.stop()
    await page.until("!document.querySelector('#notice').hidden")
    second = await start_proxy(admin=str(first.admin))
    await second.infer("3/c", tailgate_label="3")
    await page.until("document.querySelector('#notice').hidden")
    await page.until("document.querySelector('#now-value').textContent.startsWith('100.0')")
    assert all(complaint.startswith("network: ") for complaint in page.complaints)  # the browser's own, of the gap
