"""A client this project did not write: tritonclient, in a process of its own because it defines the same package."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from tailgate_server.loading import LoadedModel

SCRIPT = """
import json, sys
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])
images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
tensor = triton.InferInput("image", images.shape, "UINT8")
tensor.set_data_from_numpy(images)
raw = client.infer("digits", [tensor], request_id="r1")
best = client.infer("digits", [tensor], outputs=[triton.InferRequestedOutput("logits", class_count=2)])
late = refused = None
try:
    client.infer("digits", [tensor], timeout=1)
except InferenceServerException as error:
    late = error.status()
try:
    client.infer("digits", [tensor], model_version="9")
except InferenceServerException as error:
    refused = error.status()
stats = client.get_inference_statistics("digits").model_stats[0]
print(json.dumps({
    "up": [client.is_server_live(), client.is_server_ready(), client.is_model_ready("digits", "1")],
    "extensions": list(client.get_server_metadata().extensions),
    "shape": list(client.get_model_metadata("digits").inputs[0].shape),
    "max_batch": client.get_model_config("digits").config.max_batch_size,
    "crop": client.get_model_config("digits").config.parameters["crop_size"].string_value,
    "index": [(model.name, model.state) for model in client.get_model_repository_index().models],
    "id": raw.get_response().id,
    "logits": list(raw.as_numpy("logits").shape),
    "classes": raw.as_numpy("logits").argmax(1).tolist(),
    "best": [int(row[0].decode().split(":")[1]) for row in best.as_numpy("logits")],
    "labels": [row[0].decode().split(":")[2] for row in best.as_numpy("logits")],
    "late": late,
    "refused": refused,
    "counts": [stats.inference_stats.success.count, stats.inference_stats.queue.count, stats.inference_count],
}))
"""


async def test_tritonclient_drives_the_server(
    serve: Callable[..., AbstractAsyncContextManager[Any]], digits: LoadedModel
) -> None:
    async with serve([digits]) as client:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SCRIPT, client.app.address, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(process.communicate(), 300)
        assert process.returncode == 0
    seen = json.loads(output)
    assert seen["up"] == [True, True, True]
    assert seen["extensions"] == ["classification", "model_configuration", "statistics"]
    assert seen["shape"] == [-1, 3, 32, 32]
    assert (seen["max_batch"], seen["crop"], seen["index"]) == (4, "32", [["digits", "READY"]])
    assert (seen["id"], seen["logits"]) == ("r1", [3, 10])
    assert seen["best"] == seen["classes"]
    assert seen["labels"] == [str(index) for index in seen["best"]]
    assert seen["late"] == "StatusCode.DEADLINE_EXCEEDED"
    assert seen["refused"] == "StatusCode.NOT_FOUND"
    assert seen["counts"] == [2, 2, 6]
