"""Pictures of an hour that never was, and a server that shows them: the live page without a proxy behind it."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import pytest
from aiohttp import web

from tailgate_proxy.live.feed import Feed
from tailgate_proxy.live.page import add_live

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MINUTE_S, START_S = 60, 1_789_000_020
Document = dict[str, Any]


def wilson(right: int, labelled: int, z: float = 1.96) -> tuple[float, float]:
    share, spread = right / labelled, z * z / labelled
    middle, half = share + spread / 2, z * math.sqrt(share * (1 - share) / labelled + spread / 4 / labelled)
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


def wilson_around(share: float, answers: int = 1000) -> tuple[float, float]:
    return wilson(round(share * answers), answers)


def tally(windows: list[list[Any]]) -> Document:
    """Sums of windows, as the monitor reports the last minute and the last hour."""
    requests, in_time, labelled, right = (sum(window[place] for window in windows) for place in (1, 2, 3, 4))
    known = labelled > 0
    expected = [window[7:10] for window in windows if window[7] is not None]
    lower, upper = wilson(right, labelled) if known else (None, None)
    return {
        "from_unix_s": windows[0][0] if windows else None,
        "requests": requests,
        "in_time": in_time,
        "labelled": labelled,
        "right_in_time": right,
        "tca": right / labelled if known else None,
        "lower": lower,
        "upper": upper,
        "lost_to_lateness": sum(window[5] or 0 for window in windows) if known else None,
        "lost_to_model": sum(window[6] or 0 for window in windows) if known else None,
        "in_time_share": in_time / requests if requests else None,
        "accuracy_in_time": right / in_time if known and in_time else None,
        "expected": {
            **{name: fmean(one[place] for one in expected) for place, name in enumerate(("tca", "lower", "upper"))},
            "answers": in_time,
        }
        if expected
        else None,
    }


@dataclass
class Scene:
    """What the hour was like; `document` draws it. Change it, and the next snapshot shows the change."""

    models: tuple[tuple[str, str, str], ...] = (("digits", "1", ""), ("digits", "2", "night"), ("faces", "7", ""))
    per_minute: int = 600
    in_time: float = 0.97
    right: float = 0.96
    labelled: float = 1.0
    labelled_minutes: int = 60
    expected: float | None = None
    past_error: Document | None = None
    minutes: int = 60
    slow_minute: int | None = 41
    hurt: int | None = None
    now_s: float = START_S + 3600
    draining: bool = False
    upstream_ready: bool = True
    mode: str = "observe"
    version: str = "0.1.0"
    alarms: list[Document] = field(default_factory=list)
    made: int = 0

    def document(self) -> Document:
        self.made += 1
        series = [
            {"model": model, "version": version, "slice": part}
            | self._series(seed, (model, version, part))
            | {"past_error": self.past_error}
            for seed, (model, version, part) in enumerate(self.models)
        ]
        return {
            "quality": {
                "schema_version": 1,
                "now_unix_s": self.now_s,
                "window_s": float(MINUTE_S),
                "too_late": {"requests": 0, "labels": 0},
                "series": series,
                "total": self._series(99, times=len(self.models)),
            },
            "proxy": {
                "schema_version": 1,
                "version": self.version,
                "compiled": False,
                "mode": self.mode,
                "deadline_s": 0.05,
                "upstream": {"address": "127.0.0.1:8001", "ready": self.upstream_ready},
                "draining": self.draining,
                "received": 107_331,
                "in_flight": 7,
            },
            "at_unix_s": self.now_s,
        }

    def _series(self, seed: int, key: tuple[str, str, str] | None = None, times: int = 1) -> Document:
        chance = random.Random(seed)
        right_share = 0.5 if seed == self.hurt else self.right
        first_s = self.now_s - MINUTE_S * self.minutes
        windows = [self._window(chance, minute, first_s, times, right_share) for minute in range(self.minutes)]
        now, hour = tally(windows[-1:]), tally(windows)
        shown = [window for window in windows if window[3]]
        worst = min(shown, key=lambda window: window[4] / window[3], default=None)
        requests, labelled = hour["requests"], hour["labelled"]
        alarms = [one for one in self.alarms if key in (None, (one["model"], one["version"], one["slice"]))]
        # In time by the deadline as the counts say; a log-logistic on both sides of it.
        odds = hour["in_time"] / (requests - hour["in_time"]) if requests else 1.0
        below = [1 / (1 + (0.05 / bound) ** 3.5 / odds) for bound in BOUNDS_S]
        ended = [round(requests * share) for share in below]
        right = [round(labelled * share * right_share) for share in below]
        return {
            "deadline_s": 0.05,
            "objective": 0.9,
            "floor": 0.8,
            "now": now,
            "hour": hour,
            "worst": {
                "tca": worst[4] / worst[3] if worst else None,
                "from_unix_s": worst[0] if worst else None,
                "labelled": worst[3] if worst else 0,
                "upper": wilson(worst[4], worst[3])[1] if worst else None,
            },
            "p1": worst[4] / worst[3] + 0.01 if worst else None,
            "windows": len(shown),
            "null": {"worst_median": hour["tca"] - 0.025, "worst_p05": hour["tca"] - 0.04}
            if worst
            else {"worst_median": None, "worst_p05": None},
            "outcomes": {
                "ok": hour["in_time"],
                "ok_late": (requests - hour["in_time"]) // 2,
                "shed_queue_full": requests - hour["in_time"] - (requests - hour["in_time"]) // 2,
            },
            "latency": {
                "bounds_s": list(BOUNDS_S),
                "all": [*ended, requests],
                "right": [*right, right[-1]],
                "labelled": labelled,
            },
            "recent": windows,
            "detector": {"statistic": 12.3, "threshold": 432_000.0, "alarms": alarms},
        }

    def _window(self, chance: random.Random, minute: int, first_s: float, times: int, right_share: float) -> list[Any]:
        slow = minute == self.slow_minute
        requests = times * round(self.per_minute * chance.uniform(0.85, 1.15))
        in_time = round(requests * min(1, self.in_time * chance.uniform(0.99, 1.01)) * (0.75 if slow else 1))
        known = self.labelled if minute < self.labelled_minutes else 0.0
        labelled = round(requests * known)
        right = round(in_time * right_share * known)
        late = round((requests - in_time) * right_share * known) if labelled else None
        wrong = round(in_time * known) - right if labelled else None
        counts = [first_s + MINUTE_S * minute, requests, in_time, labelled, right, late, wrong]
        if self.expected is None:
            return [*counts, None, None, None]
        return [*counts, *(in_time / requests * share for share in (self.expected, *wilson_around(self.expected)))]


class LiveServer:
    """The page on a port of its own, as the proxy serves it."""

    def __init__(self, scene: Scene, **settings: Any) -> None:
        self.scene = scene
        self.feed = Feed(scene.document, **settings)
        application = web.Application()
        add_live(application, self.feed)
        self._runner = web.AppRunner(application, access_log=None)
        self.port = 0

    async def start(self, port: int = 0) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


StartServer = Callable[..., Awaitable[LiveServer]]


@pytest.fixture
def make_scene() -> type[Scene]:
    return Scene


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    """Starts servers of the live page, and stops them all in the end."""
    running: list[LiveServer] = []

    async def start(scene: Scene | None = None, *, port: int = 0, **settings: Any) -> LiveServer:
        server = LiveServer(scene or Scene(), **({"interval_s": 0.05} | settings))
        await server.start(port)
        running.append(server)
        return server

    yield start
    for server in running:
        await server.stop()
