"""Infers with tritonclient over HTTP, as JSON and as bytes, and over gRPC, and holds the answers against each other.

A script of its own, because tritonclient and Tailgate both define protobuf package `inference`, which one process
cannot hold twice.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.utils import InferenceServerException


def main(grpc_address: str, http_address: str) -> None:
    generator = np.random.Generator(np.random.PCG64(0))
    # Any: its annotations say that every answer may be None.
    grpc_client: Any = over_grpc.InferenceServerClient(grpc_address)
    http_client: Any = over_http.InferenceServerClient(http_address)
    for client in (grpc_client, http_client):
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("digits")
    assert not http_client.is_model_ready("digits", "77")
    metadata = grpc_client.get_model_metadata("digits", as_json=True)
    found = http_client.get_model_metadata("digits")
    assert [(one["name"], one["datatype"]) for one in found["inputs"]] == [
        (one["name"], one["datatype"]) for one in metadata["inputs"]
    ]
    assert [list(map(int, one["shape"])) for one in metadata["outputs"]] == [one["shape"] for one in found["outputs"]]
    assert http_client.get_server_metadata()["name"] == "tailgate"
    assert http_client.get_model_config("digits")["max_batch_size"] == 16
    assert [one["name"] for one in http_client.get_model_repository_index()] == ["digits"]
    same = 0
    for number in range(24):
        pixels = generator.integers(0, 256, (1 + number % 4, 3, 32, 32), np.uint8)
        given = over_grpc.InferInput("image", pixels.shape, "UINT8").set_data_from_numpy(pixels)
        wanted = over_grpc.InferRequestedOutput("logits")
        expected = grpc_client.infer("digits", [given], outputs=[wanted], request_id=f"g{number}").as_numpy("logits")
        for binary_in in (False, True):
            for outputs in (None, False, True):
                given = over_http.InferInput("image", pixels.shape, "UINT8")
                given.set_data_from_numpy(pixels, binary_data=binary_in)
                answer = http_client.infer(
                    "digits",
                    [given],
                    outputs=None
                    if outputs is None
                    else [over_http.InferRequestedOutput("logits", binary_data=outputs)],
                    request_id=f"h{number}{binary_in}{outputs}",
                    headers={"x-request-timeout-ms": "60000"},
                    request_compression_algorithm=(None, "gzip", "deflate")[number % 3],
                )
                assert answer.as_numpy("logits").tobytes() == expected.tobytes()
                assert answer.get_response()["id"] == f"h{number}{binary_in}{outputs}"
                same += 1
    given = over_http.InferInput("image", [1, 3, 32, 32], "UINT8")
    given.set_data_from_numpy(generator.integers(0, 256, (1, 3, 32, 32), np.uint8))
    classes = http_client.infer(
        "digits", [given], outputs=[over_http.InferRequestedOutput("logits", class_count=2)]
    ).as_numpy("logits")
    assert len(classes[0]) == 2, classes
    refused = refusal(http_client, given)
    assert (refused.status(), refused.message()) == ("504", "the deadline had passed when the request arrived")
    print(f"{same} answers, all the same")


def refusal(client: Any, given: Any) -> InferenceServerException:
    """What a request without any time is told."""
    try:
        client.infer("digits", [given], headers={"x-request-timeout-ms": "0"})
    except InferenceServerException as error:
        return error
    raise AssertionError("it was answered")


if __name__ == "__main__":
    main(*sys.argv[1:3])
