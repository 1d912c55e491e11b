"""The upstream of `bench/lateness.py`: a grpc.aio server that sleeps for SECONDS before it answers."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
import grpc.aio

from bench._answer import canned_answer


async def main(seconds: float) -> None:
    answer = canned_answer()

    class Sleep(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            if not handler_call_details.method.endswith("/ModelInfer"):
                return None

            async def infer(_body: bytes, _context: Any) -> bytes:
                await asyncio.sleep(seconds)
                return answer

            return grpc.unary_unary_rpc_method_handler(infer)

    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(handlers=(Sleep(),), options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"upstream listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
