"""What happens at the deadline, mode by mode, through whole proxies: what clients get, what the upstream sees, what the
books say."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.outcome import Outcome
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import RequestFrame
from tailgate.trace.files import read_folder

RunningProxy = Any  # defined in conftest.py, which tests do not import
ScriptedUpstream = Any
StartProxy = Any

ANSWER = {
    "modelName": "fallback",
    "outputs": [{"name": "class", "datatype": "INT64", "shape": ["1"], "contents": {"int64Contents": ["7"]}}],
}


@pytest.fixture
def default_answer(tmp_path: Path) -> str:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(ANSWER))
    return str(path)


async def ask(running: RunningProxy, request_id: str, *, model: str = "scripted", label: str = "1") -> Any:
    """A call without a gRPC timeout: status, the answer or None, and trailers."""
    body = RequestFrame(model, "image", "UINT8", (1, 4)).build(request_id, b"abcd")
    call = running.call(body, None, [("tailgate-label", label)])
    code = await call.code()
    answer = pb.ModelInferResponse.FromString(await call) if code is grpc.StatusCode.OK else None
    return code, answer, dict(await call.trailing_metadata())


async def booked(running: RunningProxy, wanted: int) -> dict[tuple[str, str], int]:
    """What the metrics say, by outcome and verdict, once so many have ended; every look must balance."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://{running.admin}/metrics") as response:
                families = {family.name: family for family in text_string_to_metric_families(await response.text())}
            found: Counter[tuple[str, str]] = Counter()
            for sample in families["tailgate_labelled_requests"].samples:
                if sample.name.endswith("_total"):
                    found[sample.labels["outcome"], sample.labels["verdict"]] += int(sample.value)
                    found[sample.labels["outcome"], "unknown"] -= int(sample.value)
            for sample in families["tailgate_requests"].samples:
                if sample.name.endswith("_total"):
                    found[sample.labels["outcome"], "unknown"] += int(sample.value)
            found = +found
            in_flight = families["tailgate_in_flight"].samples[0].value
            assert families["tailgate_received"].samples[0].value == found.total() + in_flight
            if found.total() >= wanted:
                assert not in_flight
                return dict(found)
            await asyncio.sleep(0.01)


async def eventually(names: list[str], wanted: list[str]) -> None:
    async with asyncio.timeout(60):
        while sorted(names) != sorted(wanted):
            await asyncio.sleep(0.01)


async def test_at_the_deadline_the_configured_answer_is_given_and_the_upstreams_work_ends(
    upstream: ScriptedUpstream, start_proxy: StartProxy, default_answer: str
) -> None:
    running = await start_proxy(deadline="2s", mode="default-answer", default_answer=default_answer)
    code, answer, trailers = await ask(running, "hold/a", label="7")
    assert code is grpc.StatusCode.OK
    assert (answer.id, answer.model_name, answer.outputs[0].contents.int64_contents[0]) == ("hold/a", "fallback", 7)
    assert trailers["tailgate-outcome"] == "default_answered"
    await eventually(upstream.cancelled, ["hold/a"])
    assert upstream.finished == []
    # It is nobody's prediction, so it is not scored, although it happens to be right.
    assert await booked(running, 1) == {("default_answered", "unknown"): 1}


async def test_before_the_deadline_the_answer_is_the_models_own(start_proxy: StartProxy, default_answer: str) -> None:
    running = await start_proxy(mode="default-answer", default_answer=default_answer)
    code, answer, trailers = await ask(running, "3/a", label="3")
    assert (code, answer.model_name, answer.id) == (grpc.StatusCode.OK, "scripted", "3/a")
    assert "tailgate-outcome" not in trailers
    code, _, trailers = await ask(running, "status:13/a")  # what failed in time has failed
    assert (code, trailers["tailgate-outcome"]) == (grpc.StatusCode.INTERNAL, "upstream_error")
    assert await booked(running, 2) == {("ok", "right"): 1, ("upstream_error", "unknown"): 1}


async def test_the_default_answer_has_the_id_of_the_message_as_every_v2_answer(
    start_proxy: StartProxy, default_answer: str
) -> None:
    running = await start_proxy(deadline="1s", mode="default-answer", default_answer=default_answer)
    answer = pb.ModelInferResponse.FromString(await running.infer("hold/a", timeout=None, x_request_id="mine"))
    assert answer.id == "hold/a"


async def test_each_model_has_its_own_mode_in_one_proxy(
    upstream: ScriptedUpstream, start_proxy: StartProxy, default_answer: str
) -> None:
    running = await start_proxy(
        deadline="2s",
        models={
            "strict": {"mode": "enforce"},
            "watched": {"mode": "observe"},
            "soft": {"mode": "default-answer", "default_answer": default_answer},
            "patient": {"deadline": "60s"},
        },
    )
    models = ("strict", "watched", "soft", "patient", "any-other")
    asked = {model: asyncio.create_task(ask(running, f"hold/{model}", model=model)) for model in models}
    ended_by_the_deadline = [f"hold/{model}" for model in ("strict", "soft", "any-other")]
    await eventually(upstream.cancelled, ended_by_the_deadline)
    await asyncio.sleep(0.1)  # a server's clock may be ahead by a moment
    upstream.released.set()
    found = await asyncio.gather(*asked.values())
    shown = {
        model: (code, answer and answer.model_name, trailers.get("tailgate-outcome"))
        for model, (code, answer, trailers) in zip(models, found, strict=True)
    }
    late = (grpc.StatusCode.DEADLINE_EXCEEDED, None, "deadline_in_flight")
    assert shown == {
        "strict": late,
        "watched": (grpc.StatusCode.OK, "watched", "ok_late"),
        "soft": (grpc.StatusCode.OK, "fallback", "default_answered"),
        "patient": (grpc.StatusCode.OK, "patient", None),
        "any-other": late,
    }
    assert await booked(running, 5) == {
        ("deadline_in_flight", "unknown"): 2,
        ("ok_late", "right"): 1,
        ("default_answered", "unknown"): 1,
        ("ok", "right"): 1,
    }


async def test_in_observe_mode_a_late_answer_is_marked_and_one_in_time_is_not(start_proxy: StartProxy) -> None:
    running = await start_proxy(deadline="300ms", mode="observe")
    code, answer, trailers = await ask(running, "sleep:0.5/a", label="2")
    assert (code, answer.id, trailers["tailgate-outcome"]) == (grpc.StatusCode.OK, "sleep:0.5/a", "ok_late")
    (_, _, trailers) = await ask(running, "status:13/b")
    assert trailers["tailgate-outcome"] == "upstream_error"
    assert await booked(running, 2) == {("ok_late", "wrong"): 1, ("upstream_error", "unknown"): 1}
    patient = await start_proxy(mode="observe")
    assert "tailgate-outcome" not in (await ask(patient, "1/c"))[2]


async def test_a_call_that_hangs_in_observe_mode_is_late_on_the_live_page_before_it_ends(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="300ms", mode="observe")

    def requests() -> int:
        quality: Any = running.proxy._picture()["quality"]
        return int(quality["total"]["now"]["requests"])

    hanging = asyncio.create_task(ask(running, "hold/a"))
    async with asyncio.timeout(60):
        while not requests():
            await asyncio.sleep(0.01)
    assert not hanging.done()
    upstream.released.set()
    await hanging
    assert requests() == 1


async def test_late_calls_of_the_share_run_on_unseen_and_are_scored(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="2s", late_share=1.0, late_patience="60s")
    names = [f"hold/{number}" for number in range(4)]
    found = await asyncio.gather(*(ask(running, name, label=str(1 + n % 2)) for n, name in enumerate(names)))
    for code, _, trailers in found:
        assert (code, trailers["tailgate-outcome"]) == (grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_in_flight")
    assert upstream.finished == upstream.cancelled == []  # the clients did not wait for it
    upstream.released.set()
    await eventually(upstream.finished, names)
    assert await booked(running, 4) == {("ok_late_discarded", "right"): 2, ("ok_late_discarded", "wrong"): 2}
    assert upstream.cancelled == []
    assert all(2.01 < upstream.timeouts_s[name] <= 62.01 for name in names)


async def test_without_a_share_every_late_call_ends_at_its_deadline(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="2s", late_share=0.0)
    code, _, _ = await ask(running, "hold/a")
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(upstream.cancelled, ["hold/a"])
    assert await booked(running, 1) == {("deadline_in_flight", "unknown"): 1}


async def test_a_call_that_runs_on_is_given_up_after_the_patience(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="2s", late_share=1.0, late_patience="100ms")
    assert (await ask(running, "hold/a"))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(upstream.cancelled, ["hold/a"])
    assert await booked(running, 1) == {("deadline_in_flight", "unknown"): 1}


async def test_a_client_whose_own_timer_ends_the_call_does_not_end_one_that_runs_on(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="60s", late_share=1.0, late_patience="60s")
    found: dict[tuple[str, str], int] = {}
    attempt = -1
    # Where this machine is slow, the client's timer has begun much earlier than ours: then it has left before its time.
    while ("ok_late_discarded", "right") not in found and attempt < 20:
        attempt += 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.infer(f"hold/{attempt}", timeout=1.0, tailgate_label="1")
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.sleep(0.1)  # whoever is to hear of it hears of it
        upstream.released.set()
        found = await booked(running, attempt + 1)
        upstream.released.clear()
    assert found[("ok_late_discarded", "right")] == 1
    assert upstream.finished[-1] == f"hold/{attempt}"


async def test_a_proxy_that_stops_has_booked_what_still_ran_on(
    upstream: ScriptedUpstream, start_proxy: StartProxy, tmp_path: Path
) -> None:
    running = await start_proxy(
        deadline="2s", late_share=1.0, late_patience="60s", drain_grace="300ms", trace=str(tmp_path)
    )
    assert (await ask(running, "hold/a"))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    await running.proxy.stop()
    ledger = running.proxy._ledger  # its admin port is closed by now
    assert (ledger.received, ledger.ended) == (1, 1)
    (trace,) = read_folder(tmp_path)
    assert [row["request_id"] for row in trace.records] == [b"hold/a"]
    assert [Outcome(row["outcome"]) for row in trace.records] == [Outcome.DEADLINE_IN_FLIGHT]  # as its client was told
    await eventually(upstream.cancelled, ["hold/a"])
