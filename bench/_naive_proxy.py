"""The peer of `bench/proxy.py`: the shortest proxy that grpc.aio allows. Bytes in, bytes out, nothing observed."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import grpc.aio


async def main(upstream: str) -> None:
    channel = grpc.aio.insecure_channel(upstream, options=[("grpc.max_receive_message_length", 64 << 20)])
    methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    class PassOn(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            method = handler_call_details.method

            async def answer(body: bytes, context: Any) -> bytes:
                if method not in methods:
                    methods[method] = channel.unary_unary(method)
                reply: bytes = await methods[method](body, timeout=context.time_remaining())
                return reply

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server(handlers=(PassOn(),), options=[("grpc.max_receive_message_length", 64 << 20)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"naive listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
