"""The upstream of `bench/overload.py`: works on WORKERS calls at once, first come first served, for SECONDS each.

    python bench/_limited_upstream.py WORKERS SECONDS VARIATION

The time is the same for all, or gamma-distributed with this coefficient of variation, from a seed. A call that is
cancelled, or whose deadline passes, while it waits is not worked on: what a good server does.
"""

from __future__ import annotations

import asyncio
import sys
from random import Random
from typing import Any

import grpc
import grpc.aio

from bench._answer import canned_answer
from tailgate.simulation.servers import gamma


async def main(workers: int, seconds: float, variation: float) -> None:
    answer, place = canned_answer(), asyncio.Semaphore(workers)
    take_s = gamma(Random(1), seconds, variation)  # noqa: S311 — a load, no secret

    class Limited(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            if not handler_call_details.method.endswith("/ModelInfer"):
                return None

            async def infer(_body: bytes, _context: Any) -> bytes:
                async with place:
                    await asyncio.sleep(take_s())
                return answer

            return grpc.unary_unary_rpc_method_handler(infer)

    options = [("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", 100_000)]
    server = grpc.aio.server(handlers=(Limited(),), options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"upstream listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
