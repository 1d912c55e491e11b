"""Every method of every service: who is let in, and that nobody else gets anywhere near the upstream."""

from __future__ import annotations

from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from tailgate.access.tokens import Scope
from tailgate.pb import inference_pb2
from tailgate.pb.tailgate import feedback_pb2
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER

StartProxy = Any  # defined in conftest.py, which tests do not import
OpenUpstream = Any
Tokens = Any

V2, FEEDBACK = "inference.GRPCInferenceService", "tailgate.feedback.Feedback"

# One row a method: the scope that it needs, or None where everybody may call it.
NEEDS: dict[str, Scope | None] = {
    f"/{V2}/ServerLive": None,
    f"/{V2}/ServerReady": None,
    f"/{V2}/ModelReady": Scope.INFER,
    f"/{V2}/ServerMetadata": Scope.INFER,
    f"/{V2}/ModelMetadata": Scope.INFER,
    f"/{V2}/ModelInfer": Scope.INFER,
    f"/{V2}/ModelConfig": Scope.INFER,
    f"/{V2}/ModelStatistics": Scope.INFER,
    f"/{V2}/RepositoryIndex": Scope.INFER,
    f"/{FEEDBACK}/Submit": Scope.LABEL,
    f"/{FEEDBACK}/SubmitStream": Scope.LABEL,
}
# What Triton's service has beyond our description of it, and what it may have tomorrow.
NEEDS_OF_OTHERS: dict[str, Scope | None] = {
    f"/{V2}/ModelStreamInfer": Scope.INFER,
    f"/{V2}/RepositoryModelLoad": Scope.ADMIN,
    f"/{V2}/RepositoryModelUnload": Scope.ADMIN,
    f"/{V2}/SystemSharedMemoryStatus": Scope.ADMIN,
    f"/{V2}/SystemSharedMemoryRegister": Scope.ADMIN,
    f"/{V2}/SystemSharedMemoryUnregister": Scope.ADMIN,
    f"/{V2}/CudaSharedMemoryStatus": Scope.ADMIN,
    f"/{V2}/CudaSharedMemoryRegister": Scope.ADMIN,
    f"/{V2}/CudaSharedMemoryUnregister": Scope.ADMIN,
    f"/{V2}/TraceSetting": Scope.ADMIN,
    f"/{V2}/LogSettings": Scope.ADMIN,
    f"/{V2}/AddedTomorrow": Scope.ADMIN,
    f"/{V2}/": Scope.ADMIN,
    f"/{FEEDBACK}/AddedTomorrow": Scope.ADMIN,
}
# What ends in the proxy, whoever calls it.
NOT_OFFERED = {f"/{V2}/ModelStreamInfer", f"/{FEEDBACK}/AddedTomorrow"}
OWN = {f"/{FEEDBACK}/Submit", f"/{FEEDBACK}/SubmitStream"}
REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
INFER = RequestFrame("scripted", "image", "UINT8", (1, 4)).build("1/a", b"abcd")


def test_every_method_that_our_descriptors_have_stands_in_the_table() -> None:
    described = {
        f"/{service.full_name}/{method.name}"
        for module in (inference_pb2, feedback_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert described == NEEDS.keys()


async def call(running: Any, path: str, authorization: str | None) -> grpc.StatusCode:
    method: Any = running.channel.unary_unary(path)
    pairs = [("x-from", "a client"), *([] if authorization is None else [("authorization", authorization)])]
    try:
        await method(INFER if path == MODEL_INFER else b"", timeout=20.0, metadata=grpc.aio.Metadata(*pairs))
    except grpc.aio.AioRpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


@pytest.mark.parametrize("path", [*NEEDS, *NEEDS_OF_OTHERS])
async def test_a_method_takes_the_right_scope_and_nothing_else(
    path: str, start_proxy: StartProxy, tokens: Tokens, upstream: OpenUpstream
) -> None:
    needed = (NEEDS | NEEDS_OF_OTHERS)[path]
    running = await start_proxy(tokens=str(tokens.path), forward_metadata="x-from")
    let_in = grpc.StatusCode.UNIMPLEMENTED if path in NOT_OFFERED else grpc.StatusCode.OK
    unknown, denied = (let_in, let_in) if needed is None else REFUSED
    reached = 0
    for authorization, expected in (
        (None, unknown),
        ("", unknown),
        ("Bearer wrong", unknown),
        ("Basic OnRoZS1zZWNyZXQtb2YtaW5mZXI=", unknown),
        *((tokens.bearer(scope), let_in if scope is needed else denied) for scope in Scope),
    ):
        assert await call(running, path, authorization) is expected, authorization
        reached += expected is grpc.StatusCode.OK and path not in OWN
        assert upstream.paths == [path] * reached


@pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", "/inference.GRPCInferenceService", "/", "/a/b"])
async def test_what_is_not_here_at_all_is_unimplemented_for_everybody(
    path: str, start_proxy: StartProxy, tokens: Tokens
) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    for authorization in (None, "Bearer wrong", tokens.bearer("infer")):
        assert await call(running, path, authorization) is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("path", [*NEEDS, *NEEDS_OF_OTHERS])
async def test_without_tokens_everybody_may_call_everything(
    path: str, start_proxy: StartProxy, upstream: OpenUpstream
) -> None:
    running = await start_proxy(forward_metadata="x-from")
    assert await call(running, path, None) not in REFUSED
    assert upstream.paths == ([] if path in NOT_OFFERED | OWN else [path])


async def test_several_tokens_at_once_are_none(start_proxy: StartProxy, tokens: Tokens) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    pairs = [("authorization", tokens.bearer("infer")), ("authorization", "Bearer wrong")]
    for path in (MODEL_INFER, f"/{V2}/ModelReady"):
        for given in (pairs, pairs[::-1], [pairs[0]] * 2):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await running.channel.unary_unary(path)(INFER, timeout=20.0, metadata=grpc.aio.Metadata(*given))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_never_reaches_the_upstream_unless_that_is_asked_for_by_name(
    start_proxy: StartProxy, tokens: Tokens, upstream: OpenUpstream
) -> None:
    for forwarded, arrives in (("*", False), ("x-from,a*", False), ("x-from,authorization", True)):
        running = await start_proxy(tokens=str(tokens.path), forward_metadata=forwarded)
        for path in (MODEL_INFER, f"/{V2}/ModelReady"):
            assert await call(running, path, tokens.bearer("infer")) is grpc.StatusCode.OK
            assert ("authorization" in upstream.metadata.pop()) is arrives
    assert upstream.metadata == []


async def test_refusals_are_counted_by_scope_and_reason_and_those_of_inference_in_the_books(
    start_proxy: StartProxy, tokens: Tokens
) -> None:
    running = await start_proxy(tokens=str(tokens.path))
    for path, authorization in (
        (MODEL_INFER, None),
        (MODEL_INFER, "Bearer wrong"),
        (MODEL_INFER, tokens.bearer("label")),
        (MODEL_INFER, tokens.bearer("infer")),
        (f"/{FEEDBACK}/Submit", tokens.bearer("infer")),
        (f"/{V2}/RepositoryModelLoad", None),
        (f"/{V2}/ServerLive", None),
    ):
        await call(running, path, authorization)
    url = f"http://{running.admin}/metrics"
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": tokens.bearer("metrics")}
        async with session.get(url, headers=headers) as response:
            lines = (await response.text()).splitlines()
    counted = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    refusals = {name: count for name, count in counted.items() if name.startswith("tailgate_access_refusals_total")}
    assert len(refusals) == len(Scope) * 3
    assert {name.partition("{")[2]: count for name, count in refusals.items() if count} == {
        'reason="missing",scope="infer"}': 1.0,
        'reason="unknown",scope="infer"}': 1.0,
        'reason="scope",scope="infer"}': 1.0,
        'reason="scope",scope="label"}': 1.0,
        'reason="missing",scope="admin"}': 1.0,
    }
    outcomes = {
        name: sum(count for line, count in counted.items() if f'outcome="{name}"' in line and "_requests_total" in line)
        for name in ("ok", "rejected_auth")
    }
    assert outcomes == {"ok": 1.0, "rejected_auth": 3.0}
    assert (counted["tailgate_received_total"], counted["tailgate_in_flight"]) == (4.0, 0.0)
