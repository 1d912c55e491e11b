"""Inferences over HTTP: what clients get, what the upstream sees, what the books say."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.tensors import CONTENTS_FIELD, DATATYPES, NUMPY_DTYPES, encode_bytes_elements
from tailgate.trace.files import read_folder

ScriptedUpstream = Any  # defined in ../conftest.py, which tests do not import
StartRest = Any
MakeDocument = Any

GENERATOR = np.random.Generator(np.random.PCG64(5))


def raw_of(datatype: str, count: int) -> bytes:
    """Elements of a datatype, chosen by chance, as they lie in a message; all of them can stand in JSON."""
    if datatype == "BYTES":
        return encode_bytes_elements([f"é{number}".encode() for number in range(count)])
    if datatype == "BOOL":
        return bytes(GENERATOR.integers(0, 2, count, np.uint8))
    if datatype == "BF16":
        return b"".join(struct.pack("<f", number)[2:] for number in GENERATOR.normal(size=count))
    dtype = NUMPY_DTYPES[datatype]
    if dtype.kind == "f":
        return GENERATOR.normal(size=count).astype(dtype).tobytes()
    limits = np.iinfo(dtype)
    return GENERATOR.integers(limits.min, limits.max, count, dtype, endpoint=True).tobytes()


@pytest.mark.parametrize("typed", [False, True], ids=["raw", "typed"])
async def test_every_datatype_comes_back_bit_for_bit_in_every_form_as_over_grpc(
    start_rest: StartRest, echo: str, typed: bool
) -> None:
    proxy = await start_rest(upstream=echo)
    kinds = sorted(kind for kind in DATATYPES if not typed or kind in CONTENTS_FIELD)
    shape = [2, 3]
    raws = {kind: raw_of(kind, math.prod(shape)) for kind in kinds}
    request = pb.ModelInferRequest(model_name="m", id="7")
    request.parameters["typed"].bool_param = typed
    for kind, raw in raws.items():
        request.inputs.add(name=kind, datatype=kind, shape=shape)
        request.raw_input_contents.append(raw)
    over_grpc = pb.ModelInferResponse.FromString(await proxy.running.send(request.SerializeToString()))
    assert [output.name for output in over_grpc.outputs] == kinds

    inputs = [
        {"name": kind, "datatype": kind, "shape": shape, "parameters": {"binary_data_size": len(raw)}}
        for kind, raw in raws.items()
    ]
    common = {"id": "7", "inputs": inputs, "parameters": {"typed": typed, "binary_data_output": True}}
    text = json.dumps(common).encode()
    binary = await proxy.post(text + b"".join(raws.values()), "m", Inference_Header_Content_Length=str(len(text)))
    assert binary.status == 200
    assert binary.headers["Content-Type"] == "application/octet-stream"
    length = int(binary.headers["Inference-Header-Content-Length"])
    assert binary.body[length:] == b"".join(raws.values())
    assert [output["parameters"]["binary_data_size"] for output in binary.document["outputs"]] == [
        len(raw) for raw in raws.values()
    ]

    common["parameters"] = {"typed": typed}
    text = json.dumps(common).encode()
    in_json = await proxy.post(text + b"".join(raws.values()), "m", Inference_Header_Content_Length=str(len(text)))
    assert in_json.status == 200
    assert in_json.headers["Content-Type"] == "application/json"
    assert {key: in_json.document[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "m", "model_version": "1", "id": "7",
    }  # fmt: skip
    back = [
        {"name": out["name"], "datatype": out["datatype"], "shape": out["shape"], "data": out["data"]}
        for out in in_json.document["outputs"]
    ]
    common = {"id": "7", "inputs": back, "parameters": {"typed": typed, "binary_data_output": True}}
    again = await proxy.post(json.dumps(common), "m")
    assert again.body[int(again.headers["Inference-Header-Content-Length"]) :] == b"".join(raws.values())
    assert await proxy.books() == {"ok": 4}


async def test_a_large_binary_tensor_goes_both_ways_whole(start_rest: StartRest, echo: str) -> None:
    proxy = await start_rest(upstream=echo, deadline="50s")
    raw = GENERATOR.bytes(5 << 20)
    tensor = {"name": "x", "datatype": "UINT8", "shape": [len(raw)], "parameters": {"binary_data_size": len(raw)}}
    text = json.dumps({"inputs": [tensor], "outputs": [{"name": "x", "parameters": {"binary_data": True}}]}).encode()
    answer = await proxy.post(text + raw, Inference_Header_Content_Length=str(len(text)))
    assert answer.status == 200
    assert answer.body[int(answer.headers["Inference-Header-Content-Length"]) :] == raw
    assert await proxy.books() == {"ok": 1}


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
async def test_a_compressed_body_is_opened_its_header_length_is_that_of_what_is_in_it(
    start_rest: StartRest, echo: str, coding: str, compress: Any
) -> None:
    proxy = await start_rest(upstream=echo)
    tensor = {"name": "x", "datatype": "UINT8", "shape": [3], "parameters": {"binary_data_size": 3}}
    text = json.dumps({"inputs": [tensor]}).encode()
    answer = await proxy.post(
        compress(text + b"abc"), Content_Encoding=coding, Inference_Header_Content_Length=str(len(text))
    )
    assert answer.document["outputs"][0]["data"] == [97, 98, 99]


async def test_a_body_in_chunks_is_the_same(start_rest: StartRest, make_document: MakeDocument) -> None:
    proxy = await start_rest()

    async def piece_by_piece() -> Any:
        for byte in make_document("3/a"):
            yield bytes((byte,))

    answer = await proxy.post(piece_by_piece())
    assert answer.status == 200
    assert answer.document["outputs"][0]["data"][3] == 1.0


async def test_a_version_in_the_path_reaches_the_upstream(
    upstream: ScriptedUpstream, start_rest: StartRest, make_document: MakeDocument
) -> None:
    proxy = await start_rest()
    for path in ("/v2/models/scripted/versions/7/infer", "/v2/models/with%20space%2Fslash/infer"):
        assert (await proxy.ask("POST", path, data=make_document(f"1/{path}"))).status == 200
    received = [pb.ModelInferRequest.FromString(upstream.bodies[name]) for name in upstream.started]
    assert [(one.model_name, one.model_version) for one in received] == [("scripted", "7"), ("with space/slash", "")]


async def test_label_slice_id_and_trace_context_mean_what_they_mean_over_grpc(
    upstream: ScriptedUpstream, start_rest: StartRest, tmp_path: Path
) -> None:
    proxy = await start_rest(slices="north", trace=str(tmp_path))
    answer = await proxy.infer(
        "3/a", tailgate_label="3", tailgate_slice="north", x_request_id="mine", traceparent="00-1-2-01"
    )
    assert answer.status == 200
    assert answer.outcome is None
    assert (await proxy.infer("3/b", tailgate_label="4")).headers.get("x-request-id") is None
    made = await proxy.post(json.dumps({"inputs": []}))
    assert len(made.headers["x-request-id"]) == 32
    metadata = dict(upstream.metadata["3/a"])
    assert metadata["x-request-id"] == "mine"
    assert metadata["traceparent"] == "00-1-2-01"
    assert not [name for name in metadata if name.startswith("tailgate-")]
    document = await proxy.scrape()
    assert {model["slice"]: model["requests"] for model in document["models"] if model["requests"]} == {
        "north": 1,
        "": 2,
    }
    assert (document["labelled"], document["right"]) == (2, 1)
    assert await proxy.books() == {"ok": 3}
    await proxy.running.proxy.stop()
    (trace,) = read_folder(tmp_path)
    assert [row["request_id"].decode() for row in trace.records] == ["mine", "3/b", made.headers["x-request-id"]]
    assert [row["label"] for row in trace.records] == [3, 4, -1]


@pytest.mark.parametrize(
    ("headers", "most_s", "least_s"),
    [
        ({"tailgate_deadline_ms": "20000"}, 20.001, 1.0),
        ({"x_request_timeout_ms": "20000"}, 20.001, 1.0),
        ({"tailgate_deadline_ms": "20000", "x_request_timeout_ms": "40000"}, 20.001, 1.0),
        ({"tailgate_deadline_ms": "40000", "x_request_timeout_ms": "20000.5"}, 20.002, 1.0),
        ({"x_request_timeout_ms": "90000"}, 60.001, 40.1),
        ({"grpc_timeout": "1m"}, 60.001, 40.1),
        ({}, 60.001, 40.1),
    ],
)
async def test_the_tightest_of_all_deadlines_holds(
    upstream: ScriptedUpstream, start_rest: StartRest, headers: dict[str, str], most_s: float, least_s: float
) -> None:
    proxy = await start_rest(deadline="60s")
    assert (await proxy.infer("1/a", **headers)).status == 200
    assert least_s < upstream.timeouts_s["1/a"] <= most_s


async def test_a_deadline_ends_the_call_with_504_and_the_upstreams_work(
    upstream: ScriptedUpstream, start_rest: StartRest
) -> None:
    proxy = await start_rest(deadline="30s")
    answer = await proxy.infer("hold/a", x_request_timeout_ms="2000")
    assert (answer.status, answer.outcome) == (504, "deadline_in_flight")
    assert answer.document == {"error": "the deadline passed before the upstream answered"}
    while not upstream.cancelled:
        await asyncio.sleep(0.01)
    assert await proxy.books() == {"deadline_in_flight": 1}


async def test_in_observe_mode_a_late_answer_is_passed_on_and_said_to_be_late(start_rest: StartRest) -> None:
    proxy = await start_rest(mode="observe", deadline="50ms")
    answer = await proxy.infer("sleep:0.5/a")
    assert (answer.status, answer.outcome) == (200, "ok_late")
    assert await proxy.books() == {"ok_late": 1}


async def test_a_default_answer_comes_in_the_form_that_was_asked_for(start_rest: StartRest, tmp_path: Path) -> None:
    file = tmp_path / "default.json"
    file.write_text(
        '{"modelName": "fallback", "outputs": [{"name": "class", "datatype": "INT64", "shape": ["1"],'
        ' "contents": {"int64Contents": ["7"]}}]}'
    )
    proxy = await start_rest(mode="default-answer", default_answer=str(file), deadline="1s")
    answer = await proxy.infer("hold/a")
    assert (answer.status, answer.outcome) == (200, "default_answered")
    assert answer.document == {
        "model_name": "fallback",
        "id": "hold/a",
        "outputs": [{"name": "class", "datatype": "INT64", "shape": [1], "data": [7]}],
    }
    body = json.dumps({"id": "hold/b", "inputs": [], "parameters": {"binary_data_output": True}})
    answer = await proxy.post(body)
    assert answer.body.endswith(struct.pack("<q", 7))
    assert await proxy.books() == {"default_answered": 2}


async def test_several_requests_come_over_one_connection_also_before_the_answers(
    start_rest: StartRest, make_document: MakeDocument
) -> None:
    proxy = await start_rest()
    reader, writer = await proxy.raw()
    for round_number in range(2):
        for name in ("sleep:0.2/a", "3/b", "4/c"):
            body = make_document(f"{name}{round_number}")
            writer.write(
                b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
        for name in ("sleep:0.2/a", "3/b", "4/c"):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["id"] == f"{name}{round_number}"
    writer.close()
    await writer.wait_closed()
    assert await proxy.books() == {"ok": 6}


async def test_who_asks_first_is_told_to_go_on_only_if_the_body_is_wanted(
    start_rest: StartRest, make_document: MakeDocument
) -> None:
    proxy = await start_rest()
    body = make_document("1/a")
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n%s\r\n"
    reader, writer = await proxy.raw()
    writer.write(head % (len(body), b""))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()
    reader, writer = await proxy.raw()
    writer.write(head % (1000 << 20, b"Inference-Header-Content-Length: 10\r\n"))
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413")
    writer.close()
    assert await proxy.books() == {"ok": 1, "rejected_limit": 1}


async def test_another_configuration_holds_for_requests_that_come_after_it(
    upstream: ScriptedUpstream, start_rest: StartRest
) -> None:
    proxy = await start_rest(deadline="60s")
    assert (await proxy.infer("1/before")).status == 200
    await proxy.running.proxy.change(proxy.running.config.model_copy(update={"deadline": 20.0}))
    assert (await proxy.infer("1/after")).status == 200
    assert 20.001 < upstream.timeouts_s["1/before"] <= 60.001
    assert upstream.timeouts_s["1/after"] <= 20.001
    assert await proxy.books() == {"ok": 2}
