"""V2 servers of others and ours, each with a model whose time is known: it sleeps for a tenth of a second.

MLServer and KServe live in environments of their own; Triton is what `bench/interop.py` unpacks. All listen on the
loopback interface only, to which KServe has to be persuaded. Ours runs a torch model, for it runs no other.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench._processes import free_port, started_command, started_on_port
from bench._venvs import installed_version, venv_python
from bench.interop import fetch_triton
from tailgate import __version__
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE

SERVICE_S, MAX_BATCH, ELEMENTS = 0.1, 4, 16
TRITON = "2.51.0 (nvidia-pytriton 0.7.0)"
MLSERVER, KSERVE = ("mlserver==1.7.1", "uvloop<0.22"), ("kserve==0.21.0",)
READY_S = 60.0


@dataclass(frozen=True)
class Peer:
    """A server to be probed.

    Attributes:
        start: Starts it in a new folder; yields its gRPC address.
        model: What is probed.
        options: Of `tailgate probe`, beside those.
        setting: How it is configured, in words.
        version: Says which one it is.
    """

    start: Callable[[Path], AbstractContextManager[str]]
    model: str
    options: tuple[str, ...]
    setting: str
    version: Callable[[], str]


def ready(address: str, model: str) -> None:
    """Wait until a server says that the model is ready."""
    request = pb.ModelReadyRequest(name=model).SerializeToString()
    give_up_s = time.monotonic() + READY_S
    with grpc.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/ModelReady")
        while time.monotonic() < give_up_s:
            with suppress(grpc.RpcError):  # some do not know a model that they are about to load
                if pb.ModelReadyResponse.FromString(method(request, timeout=READY_S, wait_for_ready=True)).ready:
                    return
            time.sleep(0.1)
    raise SystemExit(f"model {model!r} at {address} is not ready")


TRITON_MODEL = """
import sys
sys.path.insert(0, {packages!r})
import time
import numpy as np
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        time.sleep({service_s})
        rows = [len(utils.get_input_tensor_by_name(request, "image").as_numpy()) for request in requests]
        return [utils.InferenceResponse([utils.Tensor("scores", np.zeros((n, 1), np.float32))]) for n in rows]
"""
POLICY = """
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 10000000
    allow_timeout_override: true
    max_queue_size: 16
  }
"""
TRITON_CONFIG = f"""
name: "sleeps"
backend: "python"
max_batch_size: {MAX_BATCH}
input [{{ name: "image" data_type: TYPE_UINT8 dims: [ {ELEMENTS} ] }}]
output [{{ name: "scores" data_type: TYPE_FP32 dims: [ 1 ] }}]
dynamic_batching {{ POLICY }}
instance_group [{{ kind: KIND_CPU count: 1 }}]
"""


def triton(folder: Path) -> AbstractContextManager[str]:
    return _triton(folder, "")


def triton_with_policy(folder: Path) -> AbstractContextManager[str]:
    return _triton(folder, POLICY)


@contextmanager
def _triton(folder: Path, policy: str) -> Iterator[str]:
    packages = fetch_triton()
    server = packages / "pytriton" / "tritonserver"
    backend, model = folder / "backends" / "python", folder / "models" / "sleeps"
    shutil.copytree(server / "backends" / "python", backend)
    shutil.copy(server / "python_backend_stubs" / "3.11" / "triton_python_backend_stub", backend)
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(TRITON_CONFIG.replace("POLICY", policy))
    (model / "1" / "model.py").write_text(TRITON_MODEL.format(packages=str(packages), service_s=SERVICE_S))
    binary = server / "bin" / "tritonserver"
    for program in (binary, backend / "triton_python_backend_stub"):
        program.chmod(0o755)
    port, http_port, metrics_port = free_port(), free_port(), free_port()
    libraries = (packages / "nvidia_pytriton.libs", server / "external_libs", server / "lib")
    command = (
        "env", f"LD_LIBRARY_PATH={os.pathsep.join(map(str, libraries))}", str(binary),
        f"--model-repository={folder / 'models'}", f"--backend-directory={folder / 'backends'}",
        "--grpc-address=127.0.0.1", f"--grpc-port={port}", "--http-address=127.0.0.1", f"--http-port={http_port}",
        "--metrics-address=127.0.0.1", f"--metrics-port={metrics_port}", "--allow-gpu-metrics=false",
        "--model-control-mode=explicit", "--load-model=sleeps",
    )  # fmt: skip
    with started_on_port(folder, "triton", command, port):
        ready(f"127.0.0.1:{port}", "sleeps")
        yield f"127.0.0.1:{port}"


MLSERVER_MODEL = f"""
import time
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput


class Sleeps(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        time.sleep({SERVICE_S})
        rows = payload.inputs[0].shape[0]
        scores = ResponseOutput(name="scores", shape=[rows, 1], datatype="FP32", data=[0.0] * rows)
        return InferenceResponse(model_name=self.name, outputs=[scores])
"""


@contextmanager
def mlserver(folder: Path) -> Iterator[str]:
    python = venv_python("mlserver", MLSERVER)
    port, http_port, metrics_port = free_port(), free_port(), free_port()
    settings = {"host": "127.0.0.1", "http_port": http_port, "grpc_port": port, "metrics_port": metrics_port,
                "parallel_workers": 1}  # fmt: skip
    image = {"name": "image", "datatype": "UINT8", "shape": [-1, ELEMENTS]}
    model = {"name": "sleeps", "implementation": "model.Sleeps", "max_batch_size": MAX_BATCH, "max_batch_time": 0.02,
             "inputs": [image]}  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "model.py").write_text(MLSERVER_MODEL)
    command = (str(python.with_name("mlserver")), "start", str(folder))
    with started_on_port(folder, "mlserver", command, port):
        ready(f"127.0.0.1:{port}", "sleeps")
        yield f"127.0.0.1:{port}"


KSERVE_SERVER = f"""
import socket
import sys
import time

import grpc.aio
import numpy as np

listen, bind = grpc.aio._server.Server.add_insecure_port, socket.socket.bind
grpc.aio._server.Server.add_insecure_port = lambda self, at: listen(self, at.replace("[::]", "127.0.0.1"))
socket.socket.bind = lambda self, at: bind(self, ("127.0.0.1", *at[1:]) if at[0] == "0.0.0.0" else at)

from kserve import InferOutput, InferResponse, Model, ModelServer


class Sleeps(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def get_input_types(self):
        return [{{"name": "image", "datatype": "UINT8", "shape": [-1, {ELEMENTS}]}}]

    def predict(self, payload, headers=None, response_headers=None):
        time.sleep({SERVICE_S})
        output = InferOutput("scores", [1, 1], "FP32")
        output.set_data_from_numpy(np.zeros((1, 1), np.float32), binary_data=True)
        return InferResponse(payload.id or "0", self.name, [output])


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv[1]), grpc_port=int(sys.argv[2]), event_loop="asyncio").start([Sleeps("sleeps")])
"""


@contextmanager
def kserve(folder: Path) -> Iterator[str]:
    python = venv_python("kserve", KSERVE)
    (folder / "server.py").write_text(KSERVE_SERVER)
    port, http_port = free_port(), free_port()
    with started_on_port(folder, "kserve", (str(python), str(folder / "server.py"), str(http_port), str(port)), port):
        ready(f"127.0.0.1:{port}", "sleeps")
        yield f"127.0.0.1:{port}"


@contextmanager
def tailgate(folder: Path) -> Iterator[str]:
    command = (
        sys.executable, "-m", "tailgate", "server", "--model", "mobilenet_v3_small", "--weights", "random:1",
        "--device", "cpu", "--threads", "1", "--max-batch", str(2 * MAX_BATCH), "--listen", "127.0.0.1:0",
    )  # fmt: skip
    with started_command(folder, "server", command, r"server listening on (\S+)") as ((address,), _):
        ready(address, "mobilenet_v3_small")
        yield address


PEERS = {
    "triton": Peer(
        triton, "sleeps", (), "python backend, dynamic batching up to 4, no queue policy", lambda: TRITON,
    ),
    "triton-queue-policy": Peer(
        triton_with_policy, "sleeps", (), "the same, with a queue policy: REJECT, a default timeout of 10 s, "
        "allow_timeout_override, max_queue_size 16", lambda: TRITON,
    ),
    "mlserver": Peer(
        mlserver, "sleeps", (), "one parallel worker, max_batch_size 4, max_batch_time 0.02",
        lambda: installed_version(venv_python("mlserver", MLSERVER), "mlserver"),
    ),
    "kserve": Peer(
        kserve, "sleeps", (), "Python SDK, a model that is a plain function",
        lambda: installed_version(venv_python("kserve", KSERVE), "kserve"),
    ),
    "tailgate": Peer(
        tailgate, "mobilenet_v3_small", ("--batch", "4"), "mobilenet_v3_small on one CPU thread, requests of 4 "
        "images, batches up to 8", lambda: __version__,
    ),
}  # fmt: skip
