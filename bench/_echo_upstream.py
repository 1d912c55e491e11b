"""A V2 server that proves what it saw: each answer repeats the request's nonce, and gives the length and SHA-256 of it.

A payload made here begins with a nonce, the seconds that the answer is to take and the bytes it is to have beyond the
proof, so a client decides how its calls go. As a process: `python bench/_echo_upstream.py [--capacity N] ...`.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import signal
import struct
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np

from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import SERVICE

_HEAD = struct.Struct("<16sdI")
_SEEN = struct.Struct("<16sQ32s")
SMALLEST = _HEAD.size
"""Bytes of the shortest payload."""


def request(
    request_id: str, nonce: bytes, take_s: float, filler: bytes | memoryview = b"", *, answer_bytes: int = 0
) -> bytes:
    """A serialized request with this nonce, to be answered after so many seconds with so much beyond the proof."""
    payload = _HEAD.pack(nonce, take_s, answer_bytes) + filler
    return RequestFrame("echo", "image", "UINT8", (1, len(payload))).build(request_id, payload)


def is_answer_to(
    answer: bytes, request_id: str, nonce: bytes, body: bytes, upstream: str = "", *, answer_bytes: int = 0
) -> bool:
    """Whether this answer was made by that upstream from exactly these bytes of a request, and is whole."""
    response = pb.ModelInferResponse.FromString(answer)
    return response.id == request_id and response.raw_output_contents[1] == _seen(
        nonce, body, upstream.encode(), answer_bytes
    )


def _seen(nonce: bytes, body: bytes, upstream: bytes, answer_bytes: int) -> bytes:
    proof = _SEEN.pack(nonce, len(body), hashlib.sha256(body).digest()) + upstream
    return proof + (nonce * (answer_bytes // len(nonce) + 1))[:answer_bytes]


class EchoUpstream:
    """The server.

    Attributes:
        peers: Calls by connection they came on.
        executed: Calls begun by request id.
        open: Calls begun and not ended.
    """

    def __init__(self, name: str = "", capacity: int | None = None, executed_file: Path | None = None) -> None:
        """Work on `capacity` calls at once, in the order they came; add each id, as work begins, to a file."""
        self.peers: Counter[str] = Counter()
        self.executed: Counter[str] = Counter()
        self.open = 0
        self._name = name.encode()
        self._place = nullcontext() if capacity is None else asyncio.Semaphore(capacity)
        self._file = None
        if executed_file is not None:
            self._file = os.open(executed_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._server: grpc.aio.Server | None = None

    async def start(self, port: int = 0, streams: int = 1024, host: str = "127.0.0.1") -> int:
        """Serve on `host`, with so many calls at once on a connection; returns the port."""
        options = (
            ("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 64 << 20),
            ("grpc.max_concurrent_streams", streams),
        )  # fmt: skip
        self._server = grpc.aio.server(options=options)
        handlers = {"ModelInfer": self._infer, "ServerReady": _ready, "RepositoryIndex": _index}
        generic = grpc.method_handlers_generic_handler(
            SERVICE, {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in handlers.items()}
        )
        self._server.add_generic_rpc_handlers((generic,))
        bound = self._server.add_insecure_port(f"{host}:{port}")
        await self._server.start()
        return bound

    async def stop(self, grace_s: float | None = None) -> None:
        """Take no more calls, and end those there are after `grace_s`."""
        if self._server is not None:
            await self._server.stop(grace_s)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def _infer(self, body: bytes, context: Any) -> bytes:
        self.open += 1
        try:
            self.peers[context.peer()] += 1
            request = pb.ModelInferRequest.FromString(body)
            nonce, take_s, answer_bytes = _HEAD.unpack_from(request.raw_input_contents[0])
            async with self._place:
                self.executed[request.id] += 1
                if self._file is not None:
                    os.write(self._file, f"{request.id}\n".encode())
                await asyncio.sleep(take_s)
            response = pb.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
            scores = np.zeros((1, 10), "<f4")
            scores[0, nonce[0] % 10] = 1.0
            seen = _seen(nonce, body, self._name, answer_bytes)
            response.outputs.add(name="logits", datatype="FP32", shape=scores.shape)
            response.outputs.add(name="seen", datatype="UINT8", shape=(1, len(seen)))
            response.raw_output_contents.extend((scores.tobytes(), seen))
            return response.SerializeToString()
        finally:
            self.open -= 1


async def _ready(_body: bytes, _context: Any) -> bytes:
    return pb.ServerReadyResponse(ready=True).SerializeToString()


async def _index(_body: bytes, _context: Any) -> bytes:
    response = pb.RepositoryIndexResponse()
    response.models.add(name="echo", version="1", state="READY")
    return response.SerializeToString()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--capacity", type=int)
    parser.add_argument("--streams", type=int, default=1024)
    parser.add_argument("--executed", type=Path)
    options = parser.parse_args()
    upstream = EchoUpstream(capacity=options.capacity, executed_file=options.executed)
    port = await upstream.start(options.port, options.streams, options.host)
    told_to_end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_end.set)
    print(f"echo listening on {options.host}:{port}", flush=True)
    await told_to_end.wait()
    await upstream.stop(1.0)


if __name__ == "__main__":
    asyncio.run(main())
