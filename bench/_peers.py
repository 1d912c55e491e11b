"""The proxies that `bench/proxy.py` compares: how each is configured and started, on one core with one worker.

All do the same work: HTTP/2 on both sides, windows toward the client as Tailgate's, bodies passed on as they come, no
access log. Envoy and Tailgate enforce `grpc-timeout`; nginx and HAProxy cannot. Tailgate alone observes every request,
counts it and writes it to a trace. It comes in two forms: `tailgate` is pure Python, `compiled` its compiled wheel.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench._compiled import cannot_compile, compiled_python
from bench._envoy import envoy_binary, envoy_config
from bench._processes import free_port, started_command, started_on_port

STREAM_WINDOW, CONNECTION_WINDOW, STREAMS = 1 << 20, 1 << 24, 1024


@dataclass(frozen=True)
class Setting:
    """What a peer is to do.

    Attributes:
        folder: A new one, for its files.
        upstream: The address of the upstream.
        certificate, key: PEM files; the client side speaks TLS if they are there.
        options: Further options of Tailgate.
        limit: Requests that nginx or Envoy may have at the upstream at once; None: as many as come.
        deadline: Of Tailgate, for requests that say nothing else.
        patience_s: How long nginx waits for the upstream.
        adaptive: Whether Envoy finds that limit itself (its filter adaptive_concurrency).
    """

    folder: Path
    upstream: str
    certificate: Path | None = None
    key: Path | None = None
    options: tuple[str, ...] = ()
    limit: int | None = None
    deadline: str = "30s"
    patience_s: float = 60.0
    adaptive: bool = False


@dataclass(frozen=True)
class Running:
    """A proxy at work.

    Attributes:
        address: Where it serves gRPC.
        pid: The process whose CPU counts.
        admin: Tailgate's own: where it says what it observed.
    """

    address: str
    pid: int
    admin: str = ""


def tailgate(setting: Setting) -> AbstractContextManager[Running]:
    """As it is here: pure Python, from a source tree."""
    return _tailgate(setting, sys.executable, "-m", "tailgate")


def compiled(setting: Setting) -> AbstractContextManager[Running]:
    """From the compiled wheel."""
    return _tailgate(setting, str(compiled_python()), "-I", "-m", "tailgate")


@contextmanager
def _tailgate(setting: Setting, *command: str) -> Iterator[Running]:
    arguments = [
        *("proxy", "--upstream", setting.upstream, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
        *("--deadline", setting.deadline, "--max-message-mib", "64", "--trace", str(setting.folder / "trace")),
        *setting.options,
    ]
    if setting.certificate:
        arguments += ["--tls-cert", str(setting.certificate), "--tls-key", str(setting.key)]
    pattern = r"proxy listening on (\S+), admin on (\S+)"
    with started_command(setting.folder, "proxy", (*command, *arguments), pattern) as ((address, admin), pid):
        yield Running(address, pid, admin)


@contextmanager
def nginx(setting: Setting) -> Iterator[Running]:
    port, folder = free_port(), setting.folder
    tls = f"ssl_certificate {setting.certificate}; ssl_certificate_key {setting.key};" if setting.certificate else ""
    most = f" max_conns={setting.limit}" if setting.limit else ""
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  http2_max_concurrent_streams {STREAMS}; http2_body_preread_size {STREAM_WINDOW}; http2_recv_buffer_size 1m;
  client_max_body_size 64m; client_body_buffer_size 1m; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream u {{ server {setting.upstream} max_fails=0{most}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} http2 {"ssl" if tls else ""}; {tls}
    location / {{ grpc_pass grpc://u; grpc_read_timeout {1e3 * setting.patience_s:.0f}ms; grpc_send_timeout 60s; }}
  }}
}}
""")
    command = (str(_installed("nginx")), "-c", str(folder / "nginx.conf"))
    with started_on_port(folder, "nginx", command, port) as pid:
        yield Running(f"127.0.0.1:{port}", pid)


@contextmanager
def haproxy(setting: Setting) -> Iterator[Running]:
    port, folder = free_port(), setting.folder
    tls = ""
    if setting.certificate and setting.key:
        (folder / "both.pem").write_text(setting.certificate.read_text() + setting.key.read_text())
        tls = f"ssl crt {folder}/both.pem alpn h2"
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  tune.h2.initial-window-size {STREAM_WINDOW}
  tune.h2.max-concurrent-streams {STREAMS}
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend front
  bind 127.0.0.1:{port} {tls or "proto h2"}
  default_backend back
backend back
  server upstream {setting.upstream} proto h2
""")
    command = (str(_installed("haproxy")), "-db", "-f", str(folder / "haproxy.cfg"))
    with started_on_port(folder, "haproxy", command, port) as pid:
        yield Running(f"127.0.0.1:{port}", pid)


@contextmanager
def envoy(setting: Setting) -> Iterator[Running]:
    port = free_port()
    config = envoy_config(
        port=port,
        upstream=setting.upstream,
        certificate=setting.certificate,
        key=setting.key,
        stream_window=STREAM_WINDOW,
        connection_window=CONNECTION_WINDOW,
        streams=STREAMS,
        limit=setting.limit,
        adaptive=setting.adaptive,
    )
    file = setting.folder / "envoy.json"
    file.write_text(json.dumps(config))
    options = ("--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning")
    with started_on_port(setting.folder, "envoy", (str(envoy_binary()), "-c", str(file), *options), port) as pid:
        yield Running(f"127.0.0.1:{port}", pid)


@contextmanager
def grpc_aio(setting: Setting) -> Iterator[Running]:
    script = Path(__file__).parent / "_naive_proxy.py"
    command = (sys.executable, str(script), setting.upstream)
    with started_command(setting.folder, "naive", command, r"naive listening on (\S+)") as ((address,), pid):
        yield Running(address, pid)


Peer = Callable[[Setting], AbstractContextManager[Running]]


def missing(name: str) -> str | None:
    """How to install a peer that is not there."""
    if name == "compiled" and (reason := cannot_compile()):
        return f"Tailgate's compiled wheel cannot be built and is left out: {reason}"
    if name in {"nginx", "haproxy"} and _installed(name) is None:
        return f"{name} is not installed and left out; on Debian: apt-get install {name}"
    return None


def _installed(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))


PEERS: dict[str, Peer] = {
    "tailgate": tailgate,
    "compiled": compiled,
    "nginx": nginx,
    "haproxy": haproxy,
    "envoy": envoy,
    "grpc.aio": grpc_aio,
}
