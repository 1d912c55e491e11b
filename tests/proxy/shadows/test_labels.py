"""Labels that are given after the answer score copies as they score their originals: once, in books of their own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from prometheus_client.parser import text_string_to_metric_families

from tailgate.labels import MOST_ATTEMPTS, RIGHT, WRONG, Judged, Label, LabelJoin
from tailgate.ledger import BASE_BUCKETS_S, Ledger
from tailgate.observation import Observation, Verdict
from tailgate.outcome import Outcome
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import RequestFrame
from tailgate_proxy.shadows.labels import CopyLabels

Fixture = Any  # defined in conftest.py, which tests do not import


class Requests(RuleBasedStateMachine):
    """Requests, some of them copied, and labels for them; original, copy and label may come in any order."""

    asked: Bundle[tuple[str, bool]] = Bundle("asked")  # and whether a copy of it has ended
    copied: Bundle[str] = Bundle("copied")

    @initialize(settle_s=st.sampled_from([0.0, 5.0]))
    def begin(self, settle_s: float) -> None:
        self.now_s = 1.7e9
        self.times: Counter[str] = Counter()
        self.truths: dict[str, set[int]] = defaultdict(set)  # by which originals were judged
        self.copied_once: set[str] = set()
        self.copies: Counter[str] = Counter()  # that have ended
        self.complete: Counter[str] = Counter()  # whose originals have ended, too
        self.labels: dict[str, list[int]] = defaultdict(list)  # that copies were given
        self.join = LabelJoin(self.judged, wait_s=1e9, settle_s=settle_s, max_predictions=1000, max_labels=1000)
        self.copy_labels = CopyLabels(self.judge, wait_s=1e9, most=1000, now_s=lambda: self.now_s)

    def judged(self, judged: Judged) -> None:
        """As the accounts of a proxy do."""
        self.truths[judged.observation.request_id].add(judged.given.truth)
        self.copy_labels.given(judged.given)

    def judge(self, observation: Observation, weight: float) -> None:
        assert weight == 2.0
        assert observation.predicted == 2  # as it was
        self.labels[observation.request_id].append(observation.label)

    def ask(self, number: int) -> str:
        """One of a few ids, or where so many have it that not all are remembered, one of its own."""
        self.times[str(number)] += 1
        times = self.times[str(number)]
        return str(number) if times <= MOST_ATTEMPTS else f"{number} {times}"

    def end(self, name: str) -> None:
        self.join.observe(Observation(name, "m", "1", self.now_s, 0.1, 0.01, Outcome.OK, predicted=1), self.now_s)

    def end_copy(self, name: str) -> None:
        self.copy_labels.ended(Observation(name, "m", "1", self.now_s, 0.1, 0.01, Outcome.OK, predicted=2))
        self.copies[name] += 1

    def give(self, number: int, truth: int) -> None:
        self.join.label(Label(str(number), truth, 2.0, self.now_s), self.now_s)

    @rule(target=asked, number=st.integers(0, 4))
    def only_ask(self, number: int) -> tuple[str, bool]:
        return self.ask(number), False

    @rule(target=copied, number=st.integers(0, 4))
    def copy(self, number: int) -> str:
        name = self.ask(number)
        self.copied_once.add(name)
        self.copy_labels.begun(name)
        return name

    @rule(target=asked, name=consumes(copied), dropped=st.sampled_from([False, False, False, True]))
    def copy_ends_first(self, name: str, dropped: bool) -> tuple[str, bool]:
        if dropped:
            self.copy_labels.dropped(name)
        else:
            self.end_copy(name)
        return name, not dropped

    @rule(request=consumes(asked))
    def original_ends(self, request: tuple[str, bool]) -> None:
        name, copied = request
        self.complete[name] += copied
        self.end(name)

    @rule(
        name=consumes(copied),
        labels=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 2)), max_size=2),
        seconds=st.floats(0.0, 10.0),
        dropped=st.sampled_from([False, False, False, True]),
    )
    def original_ends_first(self, name: str, labels: list[tuple[int, int]], seconds: float, dropped: bool) -> None:
        self.end(name)
        for number, truth in labels:
            self.give(number, truth)
        self.pass_time(seconds)
        if dropped:
            self.copy_labels.dropped(name)
        else:
            self.complete[name] += 1
            self.end_copy(name)

    @rule(number=st.integers(0, 4), truth=st.sampled_from([1, 2, RIGHT, WRONG]))
    def label(self, number: int, truth: int) -> None:
        self.give(number, truth)

    @rule(seconds=st.floats(0.0, 4.0))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.join.advance(self.now_s)
        self.copy_labels.advance()

    @invariant()
    def each_copy_has_the_label_that_counts_for_its_original_and_has_it_once(self) -> None:
        for name, truths in self.truths.items():
            (truth,) = truths
            labels = self.labels.get(name, [])
            assert set(labels) <= ({truth} if truth >= 0 else set())
            if truth >= 0:
                assert self.complete[name] <= len(labels) <= self.copies[name]
        assert self.labels.keys() <= self.truths.keys()

    @invariant()
    def nothing_is_kept_of_labels_whose_requests_have_no_copy(self) -> None:
        assert set(self.copy_labels.join.waiting) <= self.copied_once


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_nothing_is_kept_of_a_label_whose_request_was_not_copied() -> None:
    copies = CopyLabels(Ledger(BASE_BUCKETS_S).judge, wait_s=60.0, most=10, now_s=lambda: 1.0)
    copies.begun("dropped")
    copies.dropped("dropped")
    for name in ("dropped", "never copied"):
        copies.given(Label(name, 1))
    assert (copies.join.received, copies.under_way) == (0, {})


# -- real proxies ------------------------------------------------------------------------------------------------------


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def counted(running: Fixture, name: str, label: str) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        text = await response.text()
    found: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.value:
                found[sample.labels[label]] += sample.value
    return dict(found)


async def give(running: Fixture, **labels: dict[str, int]) -> dict[str, Any]:
    """Labels by HTTP; their receipt."""
    lines = "\n".join(json.dumps({"request_id": f"1/{name}"} | label) for name, label in labels.items())
    url = f"http://{running.admin}/v1/feedback"
    async with aiohttp.ClientSession() as session, session.post(url, data=lines) as response:
        assert response.status == 200
        receipt: dict[str, Any] = await response.json()
    return receipt


async def mirrored(
    start_upstreams: Fixture,
    start_proxy: Fixture,
    before: Fixture,
    until_released: Callable[[], Awaitable[object]],
    **options: object,
) -> Fixture:
    """A proxy whose upstream answers class 1 and whose shadow answers class 2, the ``slow`` ones when released."""
    upstreams = await start_upstreams("default", "next")
    shadow = upstreams["next"]
    scripted = shadow.infer

    async def infer(request: bytes, context: Any) -> bytes:
        name = pb.ModelInferRequest.FromString(request).id
        if "slow" in name:
            await until_released()
        other = RequestFrame("scripted", "image", "UINT8", (1, 4)).build("2/x", b"abcd")
        answer: bytes = await scripted(other, context)
        return answer + pb.ModelInferResponse(id=name).SerializeToString()  # of several ids the last counts

    await shadow.stop()
    shadow.infer = infer
    await shadow.start()
    running = await start_proxy(
        **before(upstreams), routes=[{"to": "default", "shadow": "next"}], deadline="60s", **options
    )
    await until(lambda: running.proxy._pools.by_name["next"].membership.ready)
    return running


async def test_a_label_that_comes_later_scores_the_copy_by_what_the_copy_answered(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    released = asyncio.Event()
    running = await mirrored(start_upstreams, start_proxy, before, released.wait)
    shadows = running.proxy._current.shadows
    assert (await give(running, early={"class_index": 1}))["pending"] == 1
    for name in ("original right", "copy right", "judged", "unlabelled", "early", "slow"):
        await running.infer(f"1/{name}", timeout=60.0)
    await until(lambda: shadows.ledger.ended == 5)
    receipt = await give(
        running,
        **{"original right": {"class_index": 1}, "copy right": {"class_index": 2}, "slow": {"class_index": 2}},
        judged={"score": 1},
    )
    assert (receipt["received"], receipt["joined"]) == (4, 4)
    verdicts = "tailgate_shadow_labelled_requests_total", "verdict"
    assert await counted(running, *verdicts) == {"right": 1, "wrong": 2}
    released.set()
    await until(lambda: shadows.ledger.ended == 6)
    assert await counted(running, *verdicts) == {"right": 2, "wrong": 2}
    # The clients' own books are as if nothing had been copied.
    assert await counted(running, "tailgate_labelled_requests_total", "verdict") == {"right": 3, "wrong": 2}
    assert await counted(running, "tailgate_labels_total", "result") == {"joined": 5}
    assert await counted(running, "tailgate_shadow_requests_total", "outcome") == {"ok": 6}
    assert shadows.labels.join.predictions_pending == 2  # what was judged or never labelled
    assert not shadows.labels.under_way


async def test_copies_wait_in_bounded_number_and_a_stop_scores_what_has_a_label(
    start_upstreams: Fixture, start_proxy: Fixture, before: Fixture
) -> None:
    running = await mirrored(
        start_upstreams, start_proxy, before, asyncio.Event().wait, max_predictions=2, label_settle="60s"
    )
    shadows = running.proxy._current.shadows
    for name in ("first", "second", "third"):
        await running.infer(f"1/{name}", timeout=60.0)
        await until(lambda: shadows.ledger.received and not shadows.labels.under_way)
    assert await counted(running, "tailgate_shadow_unlabelled_total", "reason") == {"too_many": 1}
    assert (await give(running, third={"class_index": 1}))["joined"] == 1
    assert (await give(running, third={"class_index": 2}))["correction"] == 1
    assert shadows.ledger.labelled == 0  # it may be corrected again
    await running.channel.close()
    await running.proxy.stop()
    assert +shadows.ledger.judgements() == {(Outcome.OK, Verdict.RIGHT): 1}
    assert running.proxy._ledger.labelled == 1
    (waiting,) = shadows.labels.join._waiting
    assert waiting == "1/second"
