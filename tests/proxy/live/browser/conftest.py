"""A real browser, driven over its DevTools protocol; where there is none, the tests say so and are skipped."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PATIENCE_S = 180.0
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "PageUp": 33, "PageDown": 34, "Home": 36, "End": 35, "Tab": 9, "Enter": 13}


@pytest.fixture(scope="session")
def browser_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a headless Chromium listens, one for all tests of a process."""
    command = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if command is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    folder = tmp_path_factory.mktemp("browser")
    process = subprocess.Popen(
        [
            command,
            "--headless=new",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # its sandbox refuses to run as root
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told = folder / "DevToolsActivePort"
        give_up_s = time.monotonic() + PATIENCE_S
        while not (told.exists() and len(told.read_text().splitlines()) == 2):
            assert process.poll() is None, f"Chromium ended with {process.returncode}"
            assert time.monotonic() < give_up_s, "Chromium does not say where it listens"
            time.sleep(0.05)
        port, path = told.read_text().splitlines()
        yield f"ws://127.0.0.1:{port}{path}"
    finally:
        process.terminate()
        process.wait(120)


class Page:
    """A tab. `complaints` are its console's errors and warnings, and exceptions that nobody caught."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read())
        self._session = ""
        self._target = ""
        self.complaints: list[str] = []

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._asked.pop(told["id"]).set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["params"]["exceptionDetails"]))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(f"{told['params']['entry']['source']}: {told['params']['entry']['text']}")
            elif told["method"] == "Runtime.consoleAPICalled" and told["params"]["type"] in {
                "error",
                "warning",
                "assert",
            }:
                self.complaints.append(json.dumps(told["params"]["args"]))

    async def ask(self, method: str, **params: Any) -> Any:
        told = await self._told(method, **params)
        assert "error" not in told, f"{method}: {told.get('error')}"
        return told["result"]

    async def _told(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._asked[number] = answer = asyncio.get_running_loop().create_future()
        session = {"sessionId": self._session} if self._session else {}
        await self._socket.send_json({"id": number, "method": method, "params": params, **session})
        async with asyncio.timeout(PATIENCE_S):
            return await answer

    async def open(self) -> None:
        context = (await self.ask("Target.createBrowserContext", disposeOnDetach=True))["browserContextId"]
        self._target = (await self.ask("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        self._session = (await self.ask("Target.attachToTarget", targetId=self._target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.ask(f"{domain}.enable")

    async def close(self) -> None:
        """Close the tab, as a person does; a second time does nothing."""
        if not self._socket.closed:
            self._session = ""
            if self._target:
                await self.ask("Target.closeTarget", targetId=self._target)
            await self._socket.close()
        await self._reading

    async def go(self, url: str) -> None:
        await self.ask("Page.navigate", url=url)
        await self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    async def size(self, width: int, height: int = 1000, *, dark: bool = False, still: bool = False) -> None:
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        await self.ask(
            "Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features.items()]
        )

    async def evaluate(self, expression: str) -> Any:
        told = await self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until something holds in the page; what it needs need not be there yet, nor the page itself."""
        give_up_s = time.monotonic() + PATIENCE_S
        tried = f"(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()"
        while True:
            told = await self._told("Runtime.evaluate", expression=tried, returnByValue=True)
            if told.get("result", {}).get("result", {}).get("value"):
                return
            if time.monotonic() > give_up_s:
                seen = await self.evaluate("document.body.innerText")
                raise AssertionError(f"never true: {expression}\n{self.complaints}\n{seen}")
            await asyncio.sleep(0.03)

    async def text(self, selector: str) -> str:
        found: str = await self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")
        return found.replace("\u202f", " ")

    async def press(self, key: str, *, times: int = 1) -> None:
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                await self.ask(
                    "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key],
                    **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {}),
                )  # fmt: skip

    async def drag(self, *points: tuple[float, float]) -> None:
        """Press the mouse at the first point, move it over the others, let go."""
        kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*points, points[-1]], strict=True):
            await self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    async def swipe(self, *points: tuple[float, float]) -> None:
        """The same with a finger."""
        for kind, (x, y) in zip(["touchStart", *["touchMove"] * (len(points) - 1)], points, strict=True):
            await self.ask("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        await self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    async def screenshot(self, path: Path) -> None:
        """Of the whole page, also what is below the fold."""
        told = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))


@pytest.fixture
async def page(browser_address: str) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(browser_address, max_msg_size=0)
        one = Page(socket)
        await one.open()
        await one.size(1280)
        yield one
        await one.close()
