"""Whatever a handler raises, its client gets one status, and soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tailgate import errors
from tailgate.errors import RequestError, Status
from tailgate.pb import inference_pb2 as pb
from tailgate_server.border import Border


class Scripted:
    """A handler that does what `raises` says."""

    def __init__(self) -> None:
        self.border = Border()
        self.raises: BaseException | None = None
        self.channel: Any = None

    async def handle(self, _request: pb.ServerLiveRequest, _context: Any) -> pb.ServerLiveResponse:
        if isinstance(self.raises, asyncio.CancelledError):
            dropped = asyncio.get_running_loop().create_future()
            dropped.cancel()
            await dropped
        if self.raises is not None:
            raise self.raises
        return pb.ServerLiveResponse(live=True)

    async def call(self) -> tuple[str, str]:
        try:
            await self.channel.unary_unary("/test.Border/Call")(b"", timeout=60)
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details() or ""
        return "OK", ""


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    handler: Any = grpc.unary_unary_rpc_method_handler(scripted.border.guard(scripted.handle, pb.ServerLiveRequest))
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Border", {"Call": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as scripted.channel:
            yield scripted
    finally:
        await server.stop(None)


async def test_every_refusal_has_its_own_status_and_sentence(scripted: Scripted) -> None:
    assert await scripted.call() == ("OK", "")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RequestError)]
    assert len(kinds) >= 8
    for kind in kinds:
        scripted.raises = kind("a clear sentence")
        assert await scripted.call() == (Status(kind.status).name, "a clear sentence")
    assert scripted.border.in_flight == 0


async def test_an_unexpected_error_is_internal_and_keeps_its_secrets(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.raises = KeyError("/a/path/of/the/inside")
    code, details = await scripted.call()
    assert code == "INTERNAL"
    assert "inside" not in details
    assert "/a/path/of/the/inside" in caplog.text


async def test_a_cancellation_from_within_does_not_leave_the_client_waiting(scripted: Scripted) -> None:
    scripted.raises = asyncio.CancelledError()
    code, details = await scripted.call()
    assert code == "UNAVAILABLE"
    assert "dropped" in details
