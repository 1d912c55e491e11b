"""Infers with tritonclient at two addresses and holds the answers against each other.

A script of its own, because tritonclient and Tailgate both define protobuf package `inference`, which one process
cannot hold twice.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tritonclient.grpc as triton


def main(direct: str, proxied: str) -> None:
    generator = np.random.Generator(np.random.PCG64(0))
    # Any: its annotations say that every answer may be None.
    clients: list[Any] = [triton.InferenceServerClient(address) for address in (direct, proxied)]
    for client in clients:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("digits")
    metadata = [client.get_model_metadata("digits") for client in clients]
    assert metadata[0] == metadata[1]
    assert clients[0].get_model_config("digits") == clients[1].get_model_config("digits")
    assert clients[0].get_server_metadata() == clients[1].get_server_metadata()
    assert [m.name for m in clients[1].get_model_repository_index().models] == ["digits"]
    same = 0
    for number in range(16):
        pixels = generator.integers(0, 256, (1 + number % 4, 3, 32, 32), np.uint8)
        given = triton.InferInput("image", pixels.shape, "UINT8").set_data_from_numpy(pixels)
        wanted = triton.InferRequestedOutput("logits")
        answers = [
            client.infer("digits", [given], outputs=[wanted], request_id=str(number), client_timeout=60.0)
            for client in clients
        ]
        # Batched or not, one image's scores do not depend on which way it came.
        assert answers[0].as_numpy("logits").tobytes() == answers[1].as_numpy("logits").tobytes()
        assert answers[0].get_response() == answers[1].get_response()
        same += 1
    print(f"{same} answers, all the same")


if __name__ == "__main__":
    main(*sys.argv[1:3])
