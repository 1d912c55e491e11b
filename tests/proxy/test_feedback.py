"""Labels that come after the answer, through a running proxy: by gRPC and by HTTP, into metrics, status and trace."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailgate.errors import Status
from tailgate.http2.grpc_messages import frame_message
from tailgate.pb.tailgate import feedback_pb2 as pb
from tailgate.trace.files import read_trace
from tailgate_proxy.call import Arrival, Reply
from tailgate_proxy.feedback.call import FeedbackCall
from tailgate_proxy.feedback.desk import LabelDesk
from tailgate_proxy.feedback.http import MAX_LINES
from tailgate_proxy.feedback.wire import MAX_ID_LENGTH, MAX_LABELS, SUBMIT, SUBMIT_STREAM
from tailgate_proxy.held import Held

RunningProxy = Any  # defined in conftest.py, which tests do not import
StartProxy = Any


def batch(*labels: tuple[str, int], weight: float = 0.0) -> bytes:
    return pb.LabelBatch(
        labels=[pb.Label(request_id=name, class_index=index, weight=weight) for name, index in labels]
    ).SerializeToString()


def receipt(received: int, joined: int = 0, duplicate: int = 0, conflict: int = 0) -> pb.LabelReceipt:
    return pb.LabelReceipt(received=received, joined=joined, duplicate=duplicate, conflict=conflict)


async def submit(running: RunningProxy, message: bytes, **options: Any) -> pb.LabelReceipt:
    method = running.channel.unary_unary(SUBMIT, response_deserializer=pb.LabelReceipt.FromString)
    answer: pb.LabelReceipt = await method(message, timeout=60, **options)
    return answer


async def post(running: RunningProxy, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{running.admin}/v1/feedback", data=body, headers=headers) as response,
    ):
        return response.status, await response.json()


async def counts(running: RunningProxy) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{running.admin}/metrics") as response:
        text = await response.text()
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(found: dict[str, float], verdict: str, name: str = "tailgate_labelled_requests_total") -> float:
    return sum(value for key, value in found.items() if key.startswith(name) and f"'verdict', '{verdict}'" in key)


async def test_labels_that_come_later_by_grpc_are_counted_and_kept_in_the_trace(
    start_proxy: StartProxy, tmp_path: Path
) -> None:
    running = await start_proxy(trace=str(tmp_path))
    for name in ("1/a", "2/b", "1/c"):
        await running.infer(name)
    assert await submit(running, batch(("1/a", 1), ("2/b", 1), weight=3.0)) == receipt(2, joined=2)
    assert await submit(running, batch(("1/a", 1), ("2/b", 2))) == receipt(2, duplicate=1, conflict=1)
    found = await counts(running)
    assert (labelled(found, "right"), labelled(found, "wrong")) == (1, 1)
    assert labelled(found, "right", "tailgate_labelled_weight_total") == 3.0
    assert found["tailgate_labels_total[('result', 'joined')]"] == 2
    assert found["tailgate_predictions_pending[]"] == 1
    assert found["tailgate_label_delay_seconds_count[('model', 'scripted')]"] == 2
    await running.proxy.stop()
    (trace,) = tmp_path.glob("*.trace")
    records = read_trace(trace).records
    assert {row["request_id"].decode(): int(row["label"]) for row in records} == {"1/a": 1, "2/b": 1, "1/c": -1}


async def test_a_stream_of_batches_has_one_receipt(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    await running.infer("1/a")
    method = running.channel.stream_unary(SUBMIT_STREAM, response_deserializer=pb.LabelReceipt.FromString)

    async def batches() -> Any:
        yield batch(("1/a", 1), ("soon", 1))
        yield batch(("1/a", 1))
        yield pb.LabelBatch(labels=[pb.Label(request_id="x")]).SerializeToString()

    answer = await method(batches(), timeout=60)
    assert (answer.received, answer.joined, answer.pending, answer.duplicate, answer.rejected) == (4, 1, 1, 1, 1)
    assert [(error.index, error.request_id) for error in answer.errors] == [(3, "x")]
    await running.infer("1/soon")
    assert (await submit(running, batch(("1/soon", 1)))).joined == 1


async def test_an_id_that_the_proxy_made_and_returned_is_one_to_label_by(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    call = running.call(b"\x0a\x08scripted", 60.0, [])
    await call
    made = dict(await call.trailing_metadata())["x-request-id"]
    assert (await submit(running, batch((made, 1)))).joined == 1


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, "LabelBatch"),
        (b"", None, ""),
    ],
)
async def test_a_batch_is_read_whole_or_refused(
    start_proxy: StartProxy, message: bytes, code: grpc.StatusCode | None, words: str
) -> None:
    running = await start_proxy()
    if code is None:
        assert await submit(running, message) == receipt(0)
        return
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await submit(running, message)
    assert caught.value.code() is code
    assert words in (caught.value.details() or "")


@dataclass
class Labeller:
    """A client without a socket."""

    replies: list[Reply] = field(default_factory=list)

    def taken(self, stream_id: int, count: int) -> None:
        pass

    def answer(self, stream_id: int, reply: Reply) -> None:
        assert stream_id == 1
        self.replies.append(reply)


def test_a_batch_that_is_not_complete_counts_as_held() -> None:
    held, client = Held(1000), Labeller()
    desk = LabelDesk(lambda _: None, wait_s=1.0, settle_s=0.0, max_predictions=10, max_labels=10)

    def call() -> FeedbackCall:
        return FeedbackCall(Arrival((), {}, 0.0, 0.0), client, 1, desk, held, stream=True)

    message = frame_message(batch(("soon", 1)))
    first, second = call(), call()
    first.body(memoryview(message + message[:-1]), end=False)
    assert held.bytes == len(message) - 1
    second.body(memoryview(frame_message(bytes(950))[:900]), end=False)
    second.body(memoryview(bytes(100)), end=False)
    assert [reply.status for reply in client.replies] == [Status.RESOURCE_EXHAUSTED]
    first.body(memoryview(message[-1:]), end=True)
    assert [reply.status for reply in client.replies[1:]] == [Status.OK]
    third = call()
    third.body(memoryview(message[:-1]), end=False)
    third.client_left()
    assert held.bytes == 0


async def test_a_compressed_batch_is_opened(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    await running.infer("1/a")
    answer = await submit(running, batch(("1/a", 1)), compression=grpc.Compression.Gzip)
    assert answer.joined == 1


async def test_labels_come_by_http_as_lines_packed_or_not(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    for name in ("1/a", "2/b"):
        await running.infer(name)
    line = json.dumps({"request_id": "1/a", "class_index": 1}).encode()
    status, answer = await post(running, line + b"\n\n" + b"{]\n" + line)
    assert status == 200
    assert (answer["received"], answer["joined"], answer["duplicate"], answer["rejected"]) == (3, 1, 1, 1)
    assert answer["errors"][0]["index"] == 1
    packed = gzip.compress(json.dumps({"request_id": "2/b", "score": 0}).encode())
    status, answer = await post(running, packed, **{"Content-Encoding": "gzip"})
    assert (status, answer["joined"]) == (200, 1)
    found = await counts(running)
    assert (labelled(found, "right"), labelled(found, "wrong")) == (1, 1)


async def test_too_many_labels_at_once_or_a_body_that_cannot_be_unpacked_are_refused_in_words(
    start_proxy: StartProxy,
) -> None:
    running = await start_proxy()
    line = b'{"request_id": "a", "class_index": 1}\n'
    status, answer = await post(running, line * (MAX_LABELS + 1))
    assert (status, str(MAX_LABELS) in answer["error"]) == (413, True)
    status, answer = await post(running, line * MAX_LABELS)
    assert (status, answer["received"], answer["pending"]) == (200, MAX_LABELS, 1)
    status, answer = await post(running, b"\n" * 500_000)
    assert (status, str(MAX_LINES) in answer["error"]) == (413, True)
    status, answer = await post(running, b"no gzip", **{"Content-Encoding": "gzip"})
    assert (status, "unpacked" in answer["error"]) == (400, True)
    assert (await post(running, b""))[1]["received"] == 0


async def test_a_request_waits_for_no_label_that_could_not_name_it(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    join = running.proxy._accounts.labels.join
    await running.infer("x" * (MAX_ID_LENGTH + 1))
    assert join.predictions_pending == 0
    await running.infer("x" * MAX_ID_LENGTH)
    assert join.predictions_pending == 1
    answer = await submit(running, batch(("x" * MAX_ID_LENGTH, 1), ("x" * (MAX_ID_LENGTH + 1), 1)))
    assert (answer.joined, answer.rejected) == (1, 1)
    assert [len(error.request_id) for error in answer.errors] == [MAX_ID_LENGTH]


async def test_requests_are_counted_and_traced_apart_by_the_slices_that_are_configured_and_by_no_others(
    start_proxy: StartProxy, tmp_path: Path
) -> None:
    running = await start_proxy(slices="common,rare", trace=str(tmp_path))
    for slice_name in ("common", "rare", "made-up"):
        await running.infer("1/x", tailgate_slice=slice_name, tailgate_label="1")
    await running.infer("1/x", tailgate_label="1")
    found = await counts(running)
    for part in ("common", "rare", "other", ""):
        key = f"tailgate_requests_total{[('model', 'scripted'), ('outcome', 'ok'), ('slice', part), ('version', '1')]}"
        assert found[key] == 1
    await running.proxy.stop()
    (trace,) = tmp_path.glob("*.trace")
    contents = read_trace(trace)
    assert [contents.slices[number] for number in contents.records["slice"].tolist()] == ["common", "rare", "other", ""]


async def test_where_a_request_spends_its_time_is_counted(start_proxy: StartProxy) -> None:
    running = await start_proxy()
    await running.infer("sleep:0.06/a")
    with pytest.raises(grpc.aio.AioRpcError):
        await running.infer("status:13/b")  # no answer, and no stages
    found = await counts(running)
    for stage, least, most in (("forward", 0.0, 30.0), ("upstream", 0.05, 30.0), ("reply", 0.0, 30.0)):
        assert found[f"tailgate_stage_seconds_count[('stage', '{stage}')]"] == 1
        assert least <= found[f"tailgate_stage_seconds_sum[('stage', '{stage}')]"] < most


async def test_objectives_floors_and_roles_are_metrics(start_proxy: StartProxy) -> None:
    running = await start_proxy(
        objective=0.9,
        models={"scripted": {"floor": 0.7, "canary": ["1"], "deadline": "1s"}, "other-one": {"objective": 0.5}},
    )
    found = await counts(running)
    assert found["tailgate_objective_ratio[('model', 'scripted')]"] == 0.9
    assert found["tailgate_window_floor_ratio[('model', 'scripted')]"] == 0.7
    assert found["tailgate_objective_ratio[('model', 'other-one')]"] == 0.5
    assert found["tailgate_window_floor_ratio[('model', 'other-one')]"] == 0.25
    assert found["tailgate_model_info[('model', 'scripted'), ('role', 'canary'), ('version', '1')]"] == 1
