"""What clients ask over HTTP beside inferences: health, metadata and the like."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE
from tailgate_proxy.access.needs import OPEN, of_call
from tailgate_proxy.rest.control import QUESTIONS

StartRest = Any  # defined in conftest.py, which tests do not import
ScriptedUpstream = Any


@pytest.fixture
async def curator() -> AsyncIterator[str]:
    """The address of a server that answers questions, and has one model, `known`, whose version 2 is not ready."""

    async def unknown(name: str, context: Any) -> None:
        if name != "known":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"model {name!r} is unknown")

    async def live(_body: bytes, _context: Any) -> bytes:
        return pb.ServerLiveResponse(live=True).SerializeToString()

    async def ready(_body: bytes, _context: Any) -> bytes:
        return pb.ServerReadyResponse(ready=True).SerializeToString()

    async def server_metadata(_body: bytes, _context: Any) -> bytes:
        return pb.ServerMetadataResponse(name="curator", version="9", extensions=["e"]).SerializeToString()

    async def model_ready(body: bytes, context: Any) -> bytes:
        request = pb.ModelReadyRequest.FromString(body)
        await unknown(request.name, context)
        return pb.ModelReadyResponse(ready=request.version != "2").SerializeToString()

    async def model_metadata(body: bytes, context: Any) -> bytes:
        request = pb.ModelMetadataRequest.FromString(body)
        await unknown(request.name, context)
        answer = pb.ModelMetadataResponse(name=request.name, versions=[request.version or "1"])
        answer.inputs.add(name="x", datatype="FP32", shape=[-1, 3])
        return answer.SerializeToString()

    async def index(body: bytes, _context: Any) -> bytes:
        request = pb.RepositoryIndexRequest.FromString(body)
        answer = pb.RepositoryIndexResponse()
        answer.models.add(name="known", version="1", state="READY")
        if not request.ready:
            answer.models.add(name="known", version="2", state="LOADING")
        return answer.SerializeToString()

    async def garbage(_body: bytes, _context: Any) -> bytes:
        return b"\xff"

    handlers = {
        "ServerLive": live, "ServerReady": ready, "ServerMetadata": server_metadata, "ModelReady": model_ready,
        "ModelMetadata": model_metadata, "RepositoryIndex": index, "ModelConfig": garbage,
    }  # fmt: skip
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    methods: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in handlers.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


KNOWN = {
    "name": "known", "versions": ["1"], "platform": "", "outputs": [],
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
}  # fmt: skip
READY, LOADING = (
    {"name": "known", "version": version, "state": state, "reason": ""}
    for version, state in (("1", "READY"), ("2", "LOADING"))
)


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        (("GET", "/v2", None), 200, {"name": "curator", "version": "9", "extensions": ["e"]}),
        (("GET", "/v2/health/live", None), 200, {"live": True}),
        (("GET", "/v2/health/ready", None), 200, {"ready": True}),
        (("GET", "/v2/models/known", None), 200, KNOWN),
        (("GET", "/v2/models/known/versions/3", None), 200, KNOWN | {"versions": ["3"]}),
        (("GET", "/v2/models/nobody", None), 404, {"error": "model 'nobody' is unknown"}),
        (("GET", "/v2/models/known/ready", None), 200, {"ready": True}),
        (("GET", "/v2/models/known/versions/2/ready", None), 400, {"ready": False}),
        (("GET", "/v2/models/nobody/ready", None), 404, {"error": "model 'nobody' is unknown"}),
        (("GET", "/v2/models/known/config", None), 502, {"error": "the upstream's answer is no ModelConfigResponse"}),
        (("POST", "/v2/repository/index", None), 200, [READY, LOADING]),
        (("POST", "/v2/repository/index", b"{}"), 200, [READY, LOADING]),
        (("POST", "/v2/repository/index", b'{"ready": true}'), 200, [READY]),
        (("POST", "/v2/repository/index", b'{"ready": 1}'), 400, {"error": "ready is 1; expected true or false"}),
        (("POST", "/v2/repository/index", b"[]"), 400, {"error": "the request's JSON is no object"}),
        (("GET", "/v2/models/known/infer", None), 405, None),
        (("POST", "/v2/models/known", None), 405, None),
        (("GET", "/v2/nothing", None), 404, None),
        (("POST", "/v2/models/known/generate", b"{}"), 404, None),
        (("GET", "/", None), 404, None),
    ],
)  # fmt: skip
async def test_a_question_has_the_upstreams_answer(
    start_rest: StartRest, curator: str, asked: tuple[str, str, Any], status: int, expected: Any
) -> None:
    method, path, body = asked
    proxy = await start_rest(upstream=curator)
    answer = await proxy.ask(method, path, data=body)
    assert answer.status == status
    assert answer.headers["Server"] == "tailgate"
    if expected is None:
        assert list(answer.document) == ["error"]
    else:
        assert answer.document == expected
    assert await proxy.books() == {}


async def test_a_question_that_the_upstream_does_not_know_is_501(start_rest: StartRest, curator: str) -> None:
    proxy = await start_rest(upstream=curator)
    assert (await proxy.ask("GET", "/v2/models/known/stats")).status == 501
    assert (await proxy.ask("GET", "/v2/models/stats")).status == 501


async def test_without_an_upstream_the_proxy_is_not_ready(upstream: ScriptedUpstream, start_rest: StartRest) -> None:
    proxy = await start_rest()
    await upstream.stop()
    answer = await proxy.ask("GET", "/v2/health/ready")
    assert answer.status == 503
    assert "cannot be reached" in answer.document["error"]


async def test_a_question_has_a_deadline_by_the_same_headers(start_rest: StartRest, curator: str) -> None:
    proxy = await start_rest(upstream=curator)
    for name in ("x-request-timeout-ms", "tailgate-deadline-ms"):
        assert (await proxy.ask("GET", "/v2", headers={name: "20000"})).status == 200
        assert (await proxy.ask("GET", "/v2", headers={name: "soon"})).status == 400
        assert (await proxy.ask("GET", "/v2", headers={name: "0"})).status == 504


async def test_a_question_with_a_body_that_is_too_long_is_413(start_rest: StartRest, curator: str) -> None:
    proxy = await start_rest(upstream=curator)
    assert (await proxy.ask("POST", "/v2/repository/index", data=io.BytesIO(bytes(1 << 20 | 1)))).status == 413


async def test_what_has_come_of_a_question_counts_as_held_until_it_is_whole(
    start_rest: StartRest, curator: str
) -> None:
    proxy = await start_rest(upstream=curator)
    held = proxy.running.proxy._held
    reader, writer = await proxy.raw()
    body = b'{"ready": true}' + b" " * 500_000
    head = b"POST /v2/repository/index HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % len(body))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body[:400_000])
    async with asyncio.timeout(60):
        while held.bytes < 400_000:
            await asyncio.sleep(0.01)
    writer.write(body[400_000:])
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert held.bytes == 0


async def test_a_question_for_which_there_is_no_room_is_refused(start_rest: StartRest, curator: str) -> None:
    proxy = await start_rest(upstream=curator, max_held_mib=1)
    held = proxy.running.proxy._held
    assert held.take(1 << 20)
    answer = await proxy.ask("POST", "/v2/repository/index", data=b"{}")
    held.give_back(1 << 20)
    assert answer.status == 429
    assert "--max-held-mib" in answer.document["error"]


async def test_a_client_that_leaves_in_the_middle_of_a_question_is_no_fault_of_the_proxy(
    start_rest: StartRest, curator: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = await start_rest(upstream=curator)
    _, writer = await proxy.raw()
    writer.write(b"POST /v2/repository/index HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{")
    connections = proxy.running.proxy._rest._connections
    while not any(connection.busy for connection in connections):
        await asyncio.sleep(0.01)
    writer.close()
    while connections:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # whatever would be said of it
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_every_question_needs_the_token_that_the_call_needs_which_it_stands_for(
    start_rest: StartRest, curator: str, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    scopes = ("infer", "label", "admin")
    tokens.write_text("".join(f"{one} {one} sha256:{hashlib.sha256(one.encode()).hexdigest()}\n" for one in scopes))
    tokens.chmod(0o600)
    proxy = await start_rest(upstream=curator, tokens=str(tokens), admin_open=True)
    for question in QUESTIONS:
        needed = of_call(f"/{SERVICE}/{question.call}".encode())
        path = question.path.replace("{model}", "known").replace("{version}", "1")
        for token in (None, "wrong", *scopes):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            answer = await proxy.ask(question.http_method, path, headers=headers)
            let_in = needed == OPEN or token in needed
            expected = not let_in and (403 if token in scopes else 401)
            assert (answer.status in (401, 403)) is not let_in, (path, token)
            assert let_in or answer.status == expected
            assert ("WWW-Authenticate" in answer.headers) == (answer.status == 401)
