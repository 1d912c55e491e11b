"""Whole proxies in front of a real gRPC server: what clients get, what the upstream sees, what the books say."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.outcome import Outcome
from tailgate.pb import inference_pb2 as pb
from tailgate.policy.attempts import Result
from tailgate.policy.reserve import RENEWED
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER, SERVICE
from tailgate.trace.files import read_folder

RunningProxy = Any  # defined in conftest.py, which tests do not import
ScriptedUpstream = Any
StartProxy = Any


async def failure(awaitable: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value


def trailer(error: grpc.aio.AioRpcError, name: str) -> str | bytes | None:
    return dict(error.trailing_metadata()).get(name)


async def get(running: RunningProxy, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}{path}") as response:
        return response.status, await response.text()


async def counts(running: RunningProxy) -> Counter[tuple[str, str]]:
    """What /metrics says, by outcome and verdict, once nothing is in flight; every scrape must balance."""
    while True:
        _, text = await get(running, "/metrics")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        by_outcome: Counter[tuple[str, str]] = Counter()
        for sample in families["tailgate_labelled_requests"].samples:
            if sample.name.endswith("_total"):
                by_outcome[sample.labels["outcome"], sample.labels["verdict"]] += int(sample.value)
                by_outcome[sample.labels["outcome"], "unknown"] -= int(sample.value)
        for sample in families["tailgate_requests"].samples:
            if sample.name.endswith("_total"):
                by_outcome[sample.labels["outcome"], "unknown"] += int(sample.value)
        by_outcome = +by_outcome
        received = families["tailgate_received"].samples[0].value
        in_flight = families["tailgate_in_flight"].samples[0].value
        assert received == sum(by_outcome.values()) + in_flight
        if not in_flight:
            return by_outcome
        await asyncio.sleep(0.01)


async def test_an_answer_comes_back_byte_for_byte_and_is_judged(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    body = RequestFrame("scripted", "image", "UINT8", (1, 4)).build("3/a", b"abcd")
    async with grpc.aio.insecure_channel(str(upstream.address)) as direct:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = direct.unary_unary(MODEL_INFER)
        expected = await method(body)
    assert await running.send(body, tailgate_label="3") == expected
    assert await running.infer("3/b", tailgate_label="4")
    assert await running.infer("3/c")
    assert upstream.bodies["3/a"] == body
    assert await counts(running) == {("ok", "right"): 1, ("ok", "wrong"): 1, ("ok", "unknown"): 1}


async def test_the_upstream_is_told_the_remaining_budget_and_never_the_label(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="45s", forward_metadata="*")
    await running.infer("1/a", timeout=None, tailgate_label="1", tailgate_deadline_ms="20000", x_custom="kept")
    metadata = dict(upstream.metadata["1/a"])
    assert "tailgate-label" not in metadata
    assert "tailgate-deadline-ms" not in metadata
    assert metadata["x-custom"] == "kept"
    assert metadata["x-request-id"] == "1/a"
    assert 0 < upstream.timeouts_s["1/a"] <= 20.001  # gRPC rounds a timeout up to its unit
    await running.infer("1/b", timeout=None)
    assert 20.001 < upstream.timeouts_s["1/b"] <= 45.001


async def test_the_upstream_is_told_less_where_answers_take_long_on_their_way_back_through_the_proxy(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="20s")
    for _ in range(RENEWED):
        running.proxy._current.reserve.lag(60.0)
    await running.infer("1/a", timeout=None)
    told_s = upstream.timeouts_s["1/a"]
    assert told_s is not None
    assert 1.0 < told_s <= 18.001  # a tenth is kept back, and no more
    families = {one.name: one for one in text_string_to_metric_families((await get(running, "/metrics"))[1])}
    (sample,) = families["tailgate_budget_reserve_seconds"].samples
    assert sample.value >= 60.0


async def test_an_upstream_that_keeps_to_the_shorter_time_it_was_told_has_kept_the_deadline(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="3s")
    for _ in range(RENEWED):
        running.proxy._current.reserve.lag(60.0)
    error = await failure(running.infer("hold/a", tailgate_label="1"))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "the deadline passed before the upstream answered"
    assert trailer(error, "tailgate-outcome") == "deadline_in_flight"
    assert await counts(running) == {("deadline_in_flight", "unknown"): 1}
    (member,) = running.proxy._pools.by_name["default"].membership.members
    assert member.tally.results[Result.DEADLINE] == sum(member.tally.results.values()) == 1
    while not upstream.cancelled:
        await asyncio.sleep(0.01)


async def test_a_deadline_ends_the_call_and_the_upstreams_work(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="2s")
    error = await failure(running.infer("hold/a", tailgate_label="1"))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    while not upstream.cancelled:
        await asyncio.sleep(0.01)
    assert upstream.cancelled == ["hold/a"]
    assert upstream.finished == []
    assert trailer(error, "tailgate-outcome") == "deadline_in_flight"
    assert await counts(running) == {("deadline_in_flight", "unknown"): 1}


async def test_in_observe_mode_a_late_answer_is_passed_on_and_scored_as_late(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(deadline="50ms", mode="observe")
    assert await running.infer("sleep:0.1/a", tailgate_label="1")
    assert await running.infer("sleep:0.1/b", timeout=None, tailgate_label="2")
    assert upstream.finished == ["sleep:0.1/a", "sleep:0.1/b"]
    assert await counts(running) == {("ok_late", "right"): 1, ("ok_late", "wrong"): 1}


async def test_what_has_expired_on_arrival_is_refused_and_never_forwarded(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    for value in ("0", "-10"):
        error = await failure(running.infer("1/a", tailgate_deadline_ms=value))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert trailer(error, "tailgate-outcome") == "expired_on_arrival"
    assert upstream.started == []
    assert await counts(running) == {("expired_on_arrival", "unknown"): 2}


async def test_malformed_requests_get_a_sentence_and_never_reach_the_upstream(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    for awaitable, named in (
        (running.send(b"\xff\xff\xff"), "not a ModelInferRequest"),
        (running.infer("1/a", tailgate_deadline_ms="soon"), "tailgate-deadline-ms is 'soon'"),
        (running.infer("1/a", tailgate_label="seven"), "tailgate-label is 'seven'"),
    ):
        error = await failure(awaitable)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert named in (error.details() or "")
    assert upstream.started == []
    assert await counts(running) == {("rejected_invalid", "unknown"): 3}


@pytest.mark.parametrize(
    ("script", "code", "outcome"),
    [
        ("status:13", grpc.StatusCode.INTERNAL, "upstream_error"),
        ("status:8", grpc.StatusCode.RESOURCE_EXHAUSTED, "upstream_error"),
        ("status:14", grpc.StatusCode.UNAVAILABLE, "upstream_unavailable"),
        ("status:3", grpc.StatusCode.INVALID_ARGUMENT, "rejected_invalid"),
        ("status:5", grpc.StatusCode.NOT_FOUND, "rejected_invalid"),
        ("status:1", grpc.StatusCode.UNAVAILABLE, "upstream_error"),  # a cancel must not leave the client waiting
        ("status:4", grpc.StatusCode.DEADLINE_EXCEEDED, "deadline_in_flight"),
        ("garbage", grpc.StatusCode.INTERNAL, "upstream_invalid"),
        ("empty", grpc.StatusCode.INTERNAL, "upstream_invalid"),
    ],
)
async def test_every_failure_of_the_upstream_has_its_outcome(
    script: str, code: grpc.StatusCode, outcome: str, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    error = await failure(running.infer(f"{script}/a"))
    assert error.code() is code
    assert trailer(error, "tailgate-outcome") == outcome
    if script.startswith("status"):
        assert trailer(error, "scripted") == "yes"
    assert await counts(running) == {(outcome, "unknown"): 1}


async def test_a_request_larger_than_allowed_is_refused_and_booked(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(max_message_mib=1)
    frame = RequestFrame("scripted", "image", "UINT8", (1, 4))
    error = await failure(running.send(frame.build("1/a", bytes(1 << 20))))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "--max-message-mib" in (error.details() or "")
    assert await running.send(frame.build("1/b", bytes((1 << 20) - 100)))
    assert upstream.started == ["1/b"]
    assert await counts(running) == {("rejected_limit", "unknown"): 1, ("ok", "unknown"): 1}


async def test_a_request_without_an_id_is_given_one_and_told(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    request = RequestFrame("scripted", "image", "UINT8", (1, 4)).build("", b"abcd")
    call = running.call(request, 60.0, [])
    await call
    assert len(dict(await call.trailing_metadata())["x-request-id"]) == 32
    call = running.call(request, 60.0, [("x-request-id", "mine")])
    await call
    assert "x-request-id" not in dict(await call.trailing_metadata())


async def test_a_client_that_leaves_is_booked_and_the_upstream_hears_of_it(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    body = RequestFrame("scripted", "image", "UINT8", (1, 4)).build("hold/a", b"abcd")
    call = running.call(body, 60.0, [])
    while not upstream.started:
        await asyncio.sleep(0.01)
    call.cancel()
    while not upstream.cancelled:
        await asyncio.sleep(0.01)
    assert await counts(running) == {("client_cancelled", "unknown"): 1}


async def test_beyond_the_limit_requests_are_shed_with_a_pushback(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(max_in_flight=2)
    held = [asyncio.ensure_future(running.infer(f"hold/{n}")) for n in range(2)]
    while len(upstream.started) < 2:
        await asyncio.sleep(0.01)
    error = await failure(running.infer("1/c"))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert trailer(error, "tailgate-outcome") == "shed_queue_full"
    assert trailer(error, "grpc-retry-pushback-ms") == "100"
    upstream.released.set()
    await asyncio.gather(*held)
    assert await counts(running) == {("ok", "unknown"): 2, ("shed_queue_full", "unknown"): 1}


async def test_an_upstream_that_dies_and_returns_costs_only_what_was_sent_meanwhile(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy()
    held = [asyncio.ensure_future(failure(running.infer(f"hold/{n}"))) for n in range(8)]
    while len(upstream.started) < 8:
        await asyncio.sleep(0.01)
    await upstream.stop()
    errors = await asyncio.gather(*held)
    assert {error.code() for error in errors} <= {grpc.StatusCode.UNAVAILABLE}
    while (await get(running, "/readyz"))[0] == 200:
        await asyncio.sleep(0.05)
    assert (await failure(running.infer("1/down"))).code() is grpc.StatusCode.UNAVAILABLE
    assert (await get(running, "/healthz"))[0] == 200
    await upstream.start()  # on the same port as before
    while (await get(running, "/readyz"))[0] != 200:
        await asyncio.sleep(0.05)
    assert await running.infer("1/back")
    after = await counts(running)
    assert sum(after.values()) == 10
    assert after["ok", "unknown"] == 1
    assert after["upstream_unavailable", "unknown"] + after["upstream_error", "unknown"] == 9


async def test_counters_and_trace_agree_on_every_request_of_a_mixture(
    upstream: ScriptedUpstream, start_proxy: StartProxy, tmp_path: Any
) -> None:
    running = await start_proxy(deadline="60s", trace=str(tmp_path), admission="off")
    scripts = ["1", "2", "sleep:0.3", "status:13", "status:14", "garbage", "status:3"]
    ids = [f"{scripts[n % len(scripts)]}/{n}" for n in range(140)]
    own = {"sleep:0.3": {"tailgate_deadline_ms": "100"}}  # so that only these are late, however busy the machine is
    sent = (
        running.infer(name, tailgate_label="1", x_request_id=name, **own.get(name.partition("/")[0], {}))
        for name in ids
    )
    results = await asyncio.gather(*sent, return_exceptions=True)
    assert all(isinstance(result, bytes | grpc.aio.AioRpcError) for result in results)
    counted = await counts(running)
    await running.proxy.stop()
    (trace,) = read_folder(tmp_path)
    assert (trace.damaged, trace.torn_bytes, trace.missing) == (0, 0, 0)
    rows = trace.records
    assert sorted(rows["request_id"]) == sorted(name.encode() for name in ids)
    traced: Counter[tuple[str, str]] = Counter()
    for row in rows:
        verdict = "unknown" if row["predicted"] < 0 else "right" if row["predicted"] == row["label"] else "wrong"
        traced[Outcome(row["outcome"]).label, verdict] += 1
    assert traced == counted
    certain = {
        ("ok", "right"),
        ("ok", "wrong"),
        ("upstream_error", "unknown"),
        ("upstream_unavailable", "unknown"),
        ("upstream_invalid", "unknown"),
        ("rejected_invalid", "unknown"),
    }
    assert {ended: number for ended, number in counted.items() if ended in certain} == dict.fromkeys(certain, 20)
    late = {ended for ended in counted if ended not in certain}
    assert sum(counted[ended] for ended in late) == 20
    assert {outcome for outcome, _ in late} <= {"deadline_in_flight", "ok_late_discarded", "expired_on_arrival"}


async def test_other_methods_pass_through_and_are_no_arrivals(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    call = running.channel.unary_unary(f"/{SERVICE}/RepositoryIndex")
    index = pb.RepositoryIndexResponse.FromString(await call(pb.RepositoryIndexRequest().SerializeToString()))
    assert [model.name for model in index.models] == ["scripted"]
    unknown = await failure(running.channel.unary_unary(f"/{SERVICE}/TraceSetting")(b""))
    assert unknown.code() is grpc.StatusCode.UNIMPLEMENTED
    stream = running.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(iter(()))
    assert (await failure(stream.read())).code() is grpc.StatusCode.UNIMPLEMENTED
    assert await counts(running) == {}


async def test_a_draining_proxy_finishes_what_is_in_flight_and_refuses_the_rest(
    upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    running = await start_proxy(drain_grace="30s")
    held = asyncio.ensure_future(running.infer("hold/a"))
    while not upstream.started:
        await asyncio.sleep(0.01)
    stopping = asyncio.ensure_future(running.proxy.stop())
    await asyncio.sleep(0)
    error = await failure(running.infer("1/late"))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert trailer(error, "tailgate-outcome") == "draining"
    assert (await get(running, "/readyz"))[0] == 503
    upstream.released.set()
    assert await held
    await stopping


async def test_metrics_of_a_listed_model_are_there_at_zero_before_any_request(start_proxy: StartProxy) -> None:
    running = await start_proxy(deadline="40ms")
    _, text = await get(running, "/metrics")
    zero = {
        sample.labels["outcome"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "tailgate_requests_total" and sample.labels["model"] == "scripted" and sample.value == 0
    }
    assert {"ok", "ok_late_discarded", "deadline_in_flight", "client_cancelled", "internal"} <= zero
    assert 'tailgate_deadline_seconds{model="scripted"} 0.04' in text
    assert 'tailgate_latency_seconds_bucket{le="0.04",model="scripted",slice="",version="1"} 0.0' in text


async def test_made_up_model_names_make_no_series(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    await asyncio.gather(*(failure(running.infer(f"status:5/{n}", model=f"made-up-{n}")) for n in range(50)))
    _, text = await get(running, "/metrics")
    models = {
        sample.labels["model"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "model" in sample.labels
    }
    assert models == {"scripted", "other"}


async def test_the_status_document_tells_the_same_as_the_metrics(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    await running.infer("1/a", tailgate_label="1")
    await running.infer("1/b", tailgate_label="2")
    status = json.loads((await get(running, "/status.json"))[1])
    assert status["received"] == 2
    assert status["outcomes"]["ok"] == 2
    assert (status["right"], status["right_in_time"]) == (1, 1)
    assert status["accuracy_of_answers"] == status["time_critical_accuracy"] == 0.5
    await failure(running.infer("status:13/c", tailgate_label="2"))  # labelled, and not answered
    await running.infer("1/d")  # answered, and not labelled
    status = json.loads((await get(running, "/status.json"))[1])
    assert status["labelled"] == 3
    assert status["accuracy_of_answers"] == 0.5
    assert status["time_critical_accuracy"] == 1 / 3


async def test_without_a_label_no_accuracy_is_claimed(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    await running.infer("1/a")
    status = json.loads((await get(running, "/status.json"))[1])
    assert status["labelled"] == 0
    assert status["accuracy_of_answers"] is status["time_critical_accuracy"] is None
    assert status["upstream"]["ready"] is True
