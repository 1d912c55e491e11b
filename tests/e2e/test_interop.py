"""Programs that others wrote, at both ends of the proxy: every call through it is answered rightly.

Real Triton, perf_analyzer and Envoy are too large for this place: see `bench/interop.py`.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from bench._echo_upstream import is_answer_to, request
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import MODEL_INFER

pytestmark = pytest.mark.beside_others  # calls with minutes for each

ECHO = Path(__file__).parents[2] / "bench" / "_echo_upstream.py"
HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "grpc-timeout: 200S")
SIZES = (0, 1_000, 70_000, 602_112)
CALLS = 40


def needs(program: str, package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed (Debian: {package})")


def framed(message: bytes) -> bytes:
    """As gRPC puts a message on a stream."""
    return struct.pack(">?I", False, len(message)) + message


def a_request(number: int, size: int) -> tuple[str, bytes, bytes]:
    name, nonce = f"call-{number}", random.Random(number).randbytes(16)
    return name, nonce, request(name, nonce, 0.0, bytes(size))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def outcomes(admin: str) -> dict[str, int]:
    with urllib.request.urlopen(f"http://{admin}/status.json", timeout=60) as response:
        status = json.load(response)
    return {name: count for name, count in status["outcomes"].items() if count}


def answers(address: str, calls: int = CALLS) -> None:
    """Call with grpcio, sizes in turn, and hold every answer against what was sent."""
    with grpc.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
        sent = [a_request(number, SIZES[number % len(SIZES)]) for number in range(calls)]
        for (name, nonce, body), future in [(each, method.future(each[2], timeout=200)) for each in sent]:
            assert is_answer_to(future.result(), name, nonce, body)


@pytest.fixture
def echo(start: Any) -> Any:
    """grpcio as the server."""
    return start(sys.executable, str(ECHO), ready=r"echo listening on (\S+)")


@pytest.fixture
def proxy(echo: Any, start_proxy: Any) -> Any:
    return start_proxy(echo.ready[0], "--deadline", "200s")


@contextmanager
def serving(*command: str, port: int) -> Iterator[str]:
    """A server that says nothing when it is ready, on a port of loopback."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until_s = time.monotonic() + 120
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, f"{command[0]} ended: {process.communicate()[0].decode()}"
            assert time.monotonic() < until_s, f"{command[0]} does not listen"
            time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=200)


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[str]:
    """nginx as a gRPC proxy with one worker."""
    port = free_port()
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 64m; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream u {{ server {upstream}; keepalive 8; }}
  server {{ listen 127.0.0.1:{port} http2; location / {{ grpc_pass grpc://u; }} }}
}}
""")
    with serving("nginx", "-c", str(folder / "nginx.conf"), port=port) as address:
        yield address


def test_grpcio_gets_the_answer_to_each_of_its_calls(proxy: Any) -> None:
    answers(proxy.ready[0])
    assert outcomes(proxy.ready[1]) == {"ok": CALLS}


async def test_grpc_aio_gets_the_answer_to_each_of_its_calls(proxy: Any) -> None:
    async with grpc.aio.insecure_channel(proxy.ready[0]) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
        sent = [a_request(number, SIZES[number % len(SIZES)]) for number in range(CALLS)]
        received = await asyncio.gather(*(method(body, timeout=200) for _, _, body in sent))
    for (name, nonce, body), answer in zip(sent, received, strict=True):
        assert is_answer_to(answer, name, nonce, body)
    assert await asyncio.to_thread(outcomes, proxy.ready[1]) == {"ok": CALLS}


@needs("nghttp", "nghttp2-client")
@pytest.mark.parametrize("size", SIZES)
def test_nghttp_gets_the_same_bytes_as_directly(size: int, echo: Any, proxy: Any, tmp_path: Path) -> None:
    name, nonce, body = a_request(0, size)
    (tmp_path / "request").write_bytes(framed(body))

    def post(address: str) -> bytes:
        command = ("nghttp", *HEADERS, "-d", str(tmp_path / "request"), f"http://{address}{MODEL_INFER}")
        return subprocess.run(command, capture_output=True, timeout=300, check=True).stdout

    answer = post(proxy.ready[0])
    assert answer == post(echo.ready[0])
    assert is_answer_to(answer[5:], name, nonce, body)


@needs("h2load", "nghttp2-client")
@pytest.mark.parametrize("size", SIZES)
def test_h2load_has_every_call_of_many_at_once_answered(size: int, proxy: Any, tmp_path: Path) -> None:
    (tmp_path / "request").write_bytes(framed(a_request(0, size)[2]))
    load = ("h2load", "-n", "400", "-c", "4", "-m", "16", "-d", str(tmp_path / "request"), *HEADERS)
    said = subprocess.run(
        [*load, f"http://{proxy.ready[0]}{MODEL_INFER}"], capture_output=True, text=True, timeout=600, check=True
    ).stdout
    assert "400 total, 400 started, 400 done, 400 succeeded, 0 failed, 0 errored, 0 timeout" in said
    assert "status codes: 400 2xx" in said
    assert outcomes(proxy.ready[1]) == {"ok": 400}


@needs("nghttpd", "nghttp2-server")
@pytest.mark.parametrize("classes", [10, 100_000])
def test_nghttpds_answer_is_delivered_byte_for_byte(classes: int, start_proxy: Any, tmp_path: Path) -> None:
    """It serves a file as the answer, without a content-type and with the status as its one trailer."""
    scores = np.random.Generator(np.random.PCG64(0)).random((1, classes), "<f4")
    answer = pb.ModelInferResponse(model_name="file", model_version="1")
    answer.outputs.add(name="logits", datatype="FP32", shape=scores.shape)
    answer.raw_output_contents.append(scores.tobytes())
    served = tmp_path / MODEL_INFER[1:]
    served.parent.mkdir()
    served.write_bytes(framed(answer.SerializeToString()))
    port = free_port()
    options = ("-a", "127.0.0.1", "--no-tls", "-d", str(tmp_path), "--trailer", "grpc-status: 0")
    with serving("nghttpd", *options, str(port), port=port) as upstream:
        proxy = start_proxy(upstream, "--deadline", "200s")
        with grpc.insecure_channel(proxy.ready[0]) as channel:
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
            calls = [method.future(a_request(number, SIZES[number % len(SIZES)])[2]) for number in range(CALLS)]
            for call in calls:
                assert call.result(200) == answer.SerializeToString()
        assert outcomes(proxy.ready[1]) == {"ok": CALLS}


@needs("nginx", "nginx")
def test_calls_that_come_by_nginx_are_answered(proxy: Any, tmp_path: Path) -> None:
    with nginx(tmp_path, proxy.ready[0]) as address:
        answers(address)
    assert outcomes(proxy.ready[1]) == {"ok": CALLS}


@needs("nginx", "nginx")
def test_calls_to_an_upstream_behind_nginx_are_answered(echo: Any, start_proxy: Any, tmp_path: Path) -> None:
    with nginx(tmp_path, echo.ready[0]) as upstream:
        proxy = start_proxy(upstream, "--deadline", "200s")
        answers(proxy.ready[0])
        assert outcomes(proxy.ready[1]) == {"ok": CALLS}


@needs("nginx", "nginx")
def test_an_nginx_without_its_upstream_is_an_unavailable_upstream(start_proxy: Any, tmp_path: Path) -> None:
    with nginx(tmp_path, f"127.0.0.1:{free_port()}") as upstream:
        proxy = start_proxy(upstream, "--deadline", "200s")
        with grpc.insecure_channel(proxy.ready[0]) as channel:
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
            with pytest.raises(grpc.RpcError) as caught:
                method(a_request(0, 100)[2], timeout=200)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # of HTTP status 502, as gRPC maps it
        assert outcomes(proxy.ready[1]) == {"upstream_unavailable": 1}
