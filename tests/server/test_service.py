"""Everything a client can ask of a running server, right and wrong."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # ships no types
from grpc_reflection.v1alpha import (  # type: ignore[import-untyped]  # ships no types
    reflection_pb2,
    reflection_pb2_grpc,
)
from PIL import Image

from tailgate import digits as data
from tailgate.errors import ConfigError
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.answers import predicted_class
from tailgate.protocol.tensors import decode_bytes_elements, encode_bytes_elements
from tailgate_server.app import App, server_options
from tailgate_server.loading import LoadedModel

Serve = Callable[..., AbstractAsyncContextManager[Any]]
RequestFor = Callable[..., pb.ModelInferRequest]


@pytest.fixture
async def client(serve: Serve, models: list[LoadedModel]) -> AsyncIterator[Any]:
    async with serve(models) as connected:
        yield connected


def logits(answer: pb.ModelInferResponse) -> Any:
    return np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(answer.outputs[0].shape)


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def encoded(model: str, images: list[bytes], shape: tuple[int, ...]) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=model)
    request.inputs.add(name="image", datatype="BYTES", shape=shape)
    request.raw_input_contents.append(encode_bytes_elements(images))
    return request


async def test_the_server_tells_what_it_is_and_has(client: Any) -> None:
    assert (await client.call("ServerLive", pb.ServerLiveRequest())).live
    assert (await client.call("ServerReady", pb.ServerReadyRequest())).ready
    assert (await client.call("ModelReady", pb.ModelReadyRequest(name="digits", version="1"))).ready
    server = await client.call("ServerMetadata", pb.ServerMetadataRequest())
    assert (server.name, list(server.extensions)) == (
        "tailgate",
        ["classification", "model_configuration", "statistics"],
    )
    index = await client.call("RepositoryIndex", pb.RepositoryIndexRequest())
    assert [(m.name, m.version, m.state) for m in index.models] == [("digits", "1", "READY"), ("squeeze", "1", "READY")]


async def test_a_model_tells_its_tensors_and_how_to_preprocess_for_it(client: Any) -> None:
    metadata = await client.call("ModelMetadata", pb.ModelMetadataRequest(name="squeeze"))
    assert list(metadata.versions) == ["1"]
    [image], [output] = metadata.inputs, metadata.outputs
    assert (image.name, image.datatype, list(image.shape)) == ("image", "UINT8", [-1, 3, 224, 224])
    assert (output.name, output.datatype, list(output.shape)) == ("logits", "FP32", [-1, 1000])
    config = (await client.call("ModelConfig", pb.ModelConfigRequest(name="squeeze"))).config
    assert (config.name, config.max_batch_size, list(config.input[0].dims)) == ("squeeze", 4, [3, 224, 224])
    assert (config.input[0].data_type, list(config.output[0].dims)) == (pb.TYPE_UINT8, [1000])
    assert config.HasField("dynamic_batching")
    assert {key: value.string_value for key, value in config.parameters.items()} == {
        "architecture": "squeezenet1_1",
        "accepted_datatypes": "UINT8,FP32,BYTES",
        "resize_size": "256",
        "crop_size": "224",
        "interpolation": "bilinear",
    }


async def test_the_answer_is_what_the_network_gives_and_names_its_request(
    client: Any, digits: LoadedModel, request_for: RequestFor
) -> None:
    request = request_for(digits, rows=3)
    answer = await client.infer(request)
    assert (answer.id, answer.model_name, answer.model_version) == ("id-7", "digits", "1")
    [output] = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("logits", "FP32", [3, 10])
    images = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(3, 3, 32, 32)
    np.testing.assert_array_equal(logits(answer), digits.engine.run([images]).logits)


async def test_pixels_as_bytes_as_floats_as_typed_values_and_as_a_file_give_one_answer(
    client: Any, digits: LoadedModel, request_for: RequestFor
) -> None:
    image = data.load_digits("validation").images[:1]
    request = request_for(digits)
    request.raw_input_contents[0] = image.tobytes()
    raw = logits(await client.infer(request))
    floats = request_for(digits, dtype=np.float32)
    floats.raw_input_contents[0] = (image / np.float32(255)).astype("<f4").tobytes()
    np.testing.assert_allclose(logits(await client.infer(floats)), raw, atol=1e-5)
    typed = request_for(digits)
    typed.ClearField("raw_input_contents")
    typed.inputs[0].contents.uint_contents.extend(image.ravel().tolist())
    answer = await client.infer(typed)
    assert not answer.outputs[0].HasField("contents")
    np.testing.assert_array_equal(logits(answer), raw)
    original = np.ascontiguousarray(image[0].transpose(1, 2, 0))
    for shape in ((1,), (1, 1)):
        np.testing.assert_array_equal(logits(await client.infer(encoded("digits", [png(original)], shape))), raw)
    # A file of the original 8 × 8 pixels is enlarged to the very same ones; two rows may be summed in another order.
    small = png(np.ascontiguousarray(original[::4, ::4]))
    both = logits(await client.infer(encoded("digits", [small, small], (2,))))
    np.testing.assert_allclose(both, [raw[0], raw[0]], atol=1e-6)


async def test_the_best_classes_are_the_highest_logits_with_their_labels(
    client: Any, digits: LoadedModel, request_for: RequestFor
) -> None:
    request = request_for(digits, rows=2)
    values = logits(await client.infer(request))[0]
    request.outputs.add(name="logits").parameters["classification"].int64_param = 3
    answer = await client.infer(request)
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == ("BYTES", [2, 3])
    elements = decode_bytes_elements(answer.raw_output_contents[0], 6, "logits")
    expected = [b"%f:%d:%d" % (values[i], i, i) for i in np.argsort(-values)[:3]]
    assert elements == expected * 2
    request = request_for(digits)
    request.outputs.add(name="logits").parameters["classification"].int64_param = 99
    answer = await client.infer(request)
    assert list(answer.outputs[0].shape) == [1, 10]
    assert predicted_class(answer.SerializeToString()) == values.argmax()


async def test_statistics_count_every_request_once(client: Any, digits: LoadedModel, request_for: RequestFor) -> None:
    await asyncio.gather(*(client.infer(request_for(digits, rows=2)) for _ in range(3)))
    bad = request_for(digits)
    bad.raw_input_contents[0] = b"short"
    await client.refused(bad)
    [model] = (await client.call("ModelStatistics", pb.ModelStatisticsRequest(name="digits"))).model_stats
    stats = model.inference_stats
    assert (model.name, model.version, model.inference_count) == ("digits", "1", 6)
    assert (stats.success.count, stats.fail.count, stats.queue.count) == (3, 1, 3)
    assert model.execution_count == sum(batch.compute_infer.count for batch in model.batch_stats)
    assert sum(batch.batch_size * batch.compute_infer.count for batch in model.batch_stats) == 6
    stages = stats.queue.ns + stats.compute_input.ns + stats.compute_infer.ns + stats.compute_output.ns
    assert 0 < stages <= stats.success.ns
    assert model.last_inference > 0
    assert len((await client.call("ModelStatistics", pb.ModelStatisticsRequest())).model_stats) == 2


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ModelInfer", pb.ModelInferRequest(model_name="nope")),
        ("ModelInfer", pb.ModelInferRequest(model_name="digits", model_version="2")),
        ("ModelReady", pb.ModelReadyRequest(name="nope")),
        ("ModelMetadata", pb.ModelMetadataRequest(name="digits", version="7")),
        ("ModelConfig", pb.ModelConfigRequest(name="")),
        ("ModelStatistics", pb.ModelStatisticsRequest(name="nope")),
        ("RepositoryIndex", pb.RepositoryIndexRequest(repository_name="nope")),
    ],
)
async def test_what_is_unknown_is_not_found(client: Any, method: str, request_: Any) -> None:
    code, details = await client.refused(request_, method)
    assert code == "NOT_FOUND"
    assert "unknown" in details or "no version" in details


@pytest.mark.parametrize(
    "method", [method.name for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods]
)
async def test_bytes_that_are_no_message_are_an_invalid_argument_of_every_method(client: Any, method: str) -> None:
    code, details = await client.refused(b"\x0a\xff\xff", method)
    assert code == "INVALID_ARGUMENT"
    assert method in details


async def test_a_method_that_is_not_offered_is_unimplemented(client: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.channel.unary_unary("/inference.GRPCInferenceService/TraceSetting")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_over_the_limit_is_refused_and_one_below_it_taken(
    client: Any, models: list[LoadedModel], request_for: RequestFor
) -> None:
    squeeze = models[1]
    assert list((await client.infer(request_for(squeeze, rows=4))).outputs[0].shape) == [4, 1000]
    code, details = await client.refused(b"\x00" * ((4 << 20) + 1))
    assert code == "RESOURCE_EXHAUSTED"
    assert "larger than max" in details


async def test_too_much_metadata_is_refused(client: Any) -> None:
    code, _ = await client.refused(pb.ServerLiveRequest(), "ServerLive", metadata=(("x-much", "x" * 40_000),))
    assert code == "RESOURCE_EXHAUSTED"


async def test_images_that_cannot_be_taken_are_refused_by_their_element(client: Any) -> None:
    good = png(np.zeros((32, 32, 3), np.uint8))
    for bad, reason in ((b"GIF89a nonsense", "no JPEG or PNG"), (good[:60], "damaged"), (b"", "empty")):
        code, details = await client.refused(encoded("digits", [good, bad], (2,)))
        assert code == "INVALID_ARGUMENT"
        assert "element 1" in details
        assert reason in details


async def test_health_follows_the_server_for_it_and_for_each_model(serve: Serve, models: list[LoadedModel]) -> None:
    async with serve(models) as client:
        health: Any = health_pb2_grpc.HealthStub(client.channel)
        for name in ("", "digits", "squeeze", "inference.GRPCInferenceService"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(health_pb2.HealthCheckRequest(service="nope"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.create_task(client.app.stop(5.0))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        assert await stopping


async def test_reflection_shows_the_service_and_its_messages(client: Any) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService"),
    ]
    answers = [answer async for answer in stub.ServerReflectionInfo(iter(asked))]
    assert "inference.GRPCInferenceService" in [s.name for s in answers[0].list_services_response.service]
    assert b"ModelInferRequest" in answers[1].file_descriptor_response.file_descriptor_proto[0]


async def test_stopping_finishes_what_is_in_flight_and_refuses_what_comes(
    serve: Serve, gated: LoadedModel, gate: Any, request_for: RequestFor
) -> None:
    async with serve([gated]) as client:
        running = asyncio.create_task(client.infer(request_for(gated)))
        assert await asyncio.to_thread(gate.entered.acquire, timeout=60)
        stopping = asyncio.create_task(client.app.stop(20.0))
        while (await client.call("ServerReady", pb.ServerReadyRequest())).ready:
            await asyncio.sleep(0.002)
        assert await client.refused(request_for(gated)) == (
            "UNAVAILABLE",
            "the server is stopping; try another one",
        )
        assert [m.state for m in (await client.call("RepositoryIndex", pb.RepositoryIndexRequest())).models] == [
            "UNAVAILABLE"
        ]
        gate.open()
        assert list((await running).outputs[0].shape) == [1, 10]
        assert await stopping


async def test_stopping_does_not_wait_for_a_model_that_hangs(
    serve: Serve, gated: LoadedModel, gate: Any, request_for: RequestFor
) -> None:
    async with serve([gated]) as client:
        running = asyncio.create_task(client.infer(request_for(gated)))
        assert await asyncio.to_thread(gate.entered.acquire, timeout=60)
        assert await client.app.stop(0.05) is False
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_a_port_in_use_is_one_clear_sentence(client: Any) -> None:
    with pytest.raises(ConfigError, match="Address already in use"):
        App("127.0.0.1", client.app.port, max_queue=1, max_message_bytes=1 << 20)


def test_no_limit_of_grpc_is_left_open() -> None:
    options = dict(server_options(max_queue=128, max_message_bytes=64 << 20))
    assert options["grpc.so_reuseport"] == 0
    assert options["grpc.max_receive_message_length"] == options["grpc.max_send_message_length"] == 64 << 20
    assert options["grpc.absolute_max_metadata_size"] == 16384
    assert options["grpc.max_concurrent_streams"] == 228
