"""Starts and stops everything: the port, the workers, health, reflection. Wires parts; decides nothing else."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # ships no types
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]  # ships no types

from tailgate import departed_clients
from tailgate.errors import ConfigError
from tailgate.protocol.names import SERVICE
from tailgate_server.border import MAX_METADATA_BYTES, Border
from tailgate_server.decoding import Decoder
from tailgate_server.execution_log import ExecutionLog
from tailgate_server.images import forbid_warnings
from tailgate_server.loading import LoadedModel
from tailgate_server.service import ServedModel, Service
from tailgate_server.worker import Worker

_log = logging.getLogger(__name__)

DECODING_THREADS = 2
"""PIL lets other threads run while it decodes; more than a few would take the CPU from the model."""

MAX_CALLS = 8192
"""Back-stop on calls in progress, far above what the queues admit: calls over it are refused without being counted."""

_STOP_S = 1.0
"""How long gRPC itself may take at the end, once nothing is in flight any more."""

_POLL_S = 0.005


class App:
    """The server, from its port to its end."""

    def __init__(
        self, host: str, port: int, *, max_queue: int, max_message_bytes: int, execution_log: Path | None = None
    ) -> None:
        """Bind the port, so that an address in use is known before models are loaded. Needs a running event loop.

        Args:
            host: Address to listen on.
            port: 0 lets the system choose.
            max_queue: Most requests that wait for one model.
            max_message_bytes: Largest request and answer.
            execution_log: File to say in what the models were given; None: no such file.

        Raises:
            ConfigError: The address cannot be listened on, or the file cannot be written.
        """
        self.failure: str | None = None
        self._stop_asked = asyncio.Event()
        self._border = Border()
        self._max_queue = max_queue
        self._health = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue]  # set conditionally
        self._service: Service | None = None
        self._workers: list[Worker] = []
        self._decoder = Decoder(DECODING_THREADS, max_queue)
        self._server = grpc.aio.server(
            options=server_options(max_queue, max_message_bytes), maximum_concurrent_rpcs=MAX_CALLS
        )
        _check_address(host, port)
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise ConfigError(f"--listen is {host}:{port}, where gRPC cannot listen ({error})") from error
        self.address = f"{host}:{self.port}"
        self._executions = ExecutionLog(execution_log) if execution_log is not None else None

    async def start(self, models: Sequence[LoadedModel]) -> None:
        """Answer requests for these models from now on."""
        forbid_warnings()
        departed_clients.keep_quiet()
        served = {
            model.signature.name: ServedModel(
                model.signature,
                Worker(model.engine, model.signature, self._max_queue, self._fail, self._executions),
                model.engine.on_gpu,
            )
            for model in models
        }
        self._workers = [model.worker for model in served.values()]
        for worker in self._workers:
            worker.start()
        self._service = Service(served, self._decoder)
        self._server.add_generic_rpc_handlers((self._service.handlers(self._border),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        for name in ("", SERVICE, *served):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._service.ready = True
        await self._server.start()

    def ask_to_stop(self) -> None:
        """Make `wait` return."""
        self._stop_asked.set()

    async def wait(self) -> None:
        """Return when it is time to stop, asked to or because of `failure`."""
        await self._stop_asked.wait()

    async def stop(self, grace_s: float) -> bool:
        """Stop: not ready at once, new inferences refused, those in flight finished within `grace_s` seconds.

        Returns:
            Whether the models are at rest too. One that still runs cannot be interrupted.
        """
        loop = asyncio.get_running_loop()
        if self._service is not None:
            self._service.ready = False
        await self._health.enter_graceful_shutdown()
        end_s = loop.time() + grace_s
        while self._border.in_flight and loop.time() < end_s:
            await asyncio.sleep(_POLL_S)
        if self._border.in_flight:
            _log.warning("stopping with %d calls in flight after %g s of grace", self._border.in_flight, grace_s)
        await self._server.stop(_STOP_S if not self._border.in_flight else 0)
        at_rest = not any(worker.busy for worker in self._workers)
        for worker in self._workers:
            await worker.close()
        self._decoder.close()
        if self._executions is not None:
            self._executions.close()
        return at_rest

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self.ask_to_stop()


def server_options(max_queue: int, max_message_bytes: int) -> list[tuple[str, int]]:
    """The limits that gRPC holds itself, none of them left to its defaults."""
    return [
        ("grpc.so_reuseport", 0),  # two servers on one port would share its requests without a word
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES // 2),
        ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
        # One connection, such as a proxy's, must be able to fill the queue and be told that it is full.
        ("grpc.max_concurrent_streams", 100 + max_queue),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),  # keepalives every 10 s are welcome
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _check_address(host: str, port: int) -> None:
    """Try the address with a plain socket, which says why it cannot be had; gRPC only says that it cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"--listen is {host}:{port}, which cannot be had: {reason}; choose another address"
        ) from error
