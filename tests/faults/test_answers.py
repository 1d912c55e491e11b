"""Answers that are larger than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from bench._echo_upstream import EchoUpstream, is_answer_to, request
from tailgate.config import read_config
from tailgate.protocol.names import MODEL_INFER
from tailgate_proxy.app import Proxy
from tailgate_proxy.config import ProxyConfig

pytestmark = pytest.mark.beside_others  # calls with seconds for each

NONCE = bytes(range(16))
MIB = 1 << 20


@pytest.fixture
async def proxied() -> AsyncIterator[tuple[Proxy, grpc.aio.Channel]]:
    """A proxy that takes answers of up to a MiB, and one connection to it."""
    upstream = EchoUpstream()
    port = await upstream.start()
    settings: dict[str, object] = {
        "upstream": f"127.0.0.1:{port}", "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "deadline": "20s",
        "max_message_mib": 1,
    }  # fmt: skip
    proxy = Proxy(read_config(ProxyConfig, None, settings))
    address, _ = await proxy.start()
    async with grpc.aio.insecure_channel(str(address), options=[("grpc.max_receive_message_length", -1)]) as channel:
        yield proxy, channel
    await proxy.stop()
    await upstream.stop()


async def test_an_answer_larger_than_allowed_ends_its_call_alone_and_is_not_held(
    proxied: tuple[Proxy, grpc.aio.Channel],
) -> None:
    proxy, channel = proxied
    infer: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
    slow = request("beside", NONCE, 0.5)
    beside = asyncio.ensure_future(infer(slow))
    for number in range(5):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await infer(request(f"large-{number}", NONCE, 0.0, answer_bytes=3 * MIB))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "more than 1048576 bytes" in (caught.value.details() or "")
    assert is_answer_to(await beside, "beside", NONCE, slow)
    fits = request("fits", NONCE, 0.0, answer_bytes=MIB - 1000)
    assert is_answer_to(await infer(fits), "fits", NONCE, fits, answer_bytes=MIB - 1000)
    assert proxy._held.bytes == 0
