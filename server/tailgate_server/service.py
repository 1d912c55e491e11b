"""The calls of the V2 service. Each method takes a message and returns one, or raises a `RequestError`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import grpc
from google.protobuf import message_factory

from tailgate import __version__
from tailgate.deadline import Deadline, earliest
from tailgate.errors import DeadlineExceeded, NotFound, Unavailable
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import REQUEST_ID, SERVICE
from tailgate_server.border import Border, Context, Handler
from tailgate_server.decoding import Decoder
from tailgate_server.descriptions import model_config, model_metadata
from tailgate_server.requests import CheckedRequest, check_request
from tailgate_server.responses import build_response
from tailgate_server.signature import VERSION, Signature
from tailgate_server.worker import Answer, Worker

EXTENSIONS = ("classification", "model_configuration", "statistics")
"""Of the V2 extensions, those that are whole here. Of model_repository there is only the index."""

_DESCRIPTOR = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]


@dataclass(frozen=True)
class ServedModel:
    """A model that is loaded: what it looks like, who runs it, and where."""

    signature: Signature
    worker: Worker
    on_gpu: bool


class Service:
    """The V2 service over some models."""

    def __init__(self, models: Mapping[str, ServedModel], decoder: Decoder) -> None:
        """Serve these models; not ready until `ready` is set."""
        self.ready = False
        self._models = models
        self._decoder = decoder

    def handlers(self, border: Border) -> grpc.GenericRpcHandler:
        """Every method of the service, guarded by the border, as gRPC takes them."""
        table: dict[str, Handler] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._model_infer,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._repository_index,
        }
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method.name: grpc.unary_unary_rpc_method_handler(
                border.guard(table[method.name], message_factory.GetMessageClass(method.input_type))
            )
            for method in _DESCRIPTOR.methods
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _server_live(self, _request: pb.ServerLiveRequest, _context: Context) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def _server_ready(self, _request: pb.ServerReadyRequest, _context: Context) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self.ready)

    async def _model_ready(self, request: pb.ModelReadyRequest, _context: Context) -> pb.ModelReadyResponse:
        self._find(request.name, request.version)
        return pb.ModelReadyResponse(ready=self.ready)

    async def _server_metadata(
        self, _request: pb.ServerMetadataRequest, _context: Context
    ) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name="tailgate", version=__version__, extensions=EXTENSIONS)

    async def _model_metadata(self, request: pb.ModelMetadataRequest, _context: Context) -> pb.ModelMetadataResponse:
        return model_metadata(self._find(request.name, request.version).signature)

    async def _model_config(self, request: pb.ModelConfigRequest, _context: Context) -> pb.ModelConfigResponse:
        model = self._find(request.name, request.version)
        return pb.ModelConfigResponse(config=model_config(model.signature, on_gpu=model.on_gpu))

    async def _model_statistics(
        self, request: pb.ModelStatisticsRequest, _context: Context
    ) -> pb.ModelStatisticsResponse:
        chosen: Iterable[ServedModel] = self._models.values()
        if request.name:
            chosen = [self._find(request.name, request.version)]
        return pb.ModelStatisticsResponse(model_stats=[model.worker.statistics.message() for model in chosen])

    async def _repository_index(
        self, request: pb.RepositoryIndexRequest, _context: Context
    ) -> pb.RepositoryIndexResponse:
        if request.repository_name:
            raise NotFound(f"repository {request.repository_name!r} is unknown; leave the name empty")
        return pb.RepositoryIndexResponse(models=self._index(ready_only=request.ready))

    def _index(self, *, ready_only: bool) -> Iterator[pb.RepositoryIndexResponse.ModelIndex]:
        state, reason = ("READY", "") if self.ready else ("UNAVAILABLE", "the server is stopping")
        for name in self._models if self.ready or not ready_only else ():
            yield pb.RepositoryIndexResponse.ModelIndex(name=name, version=VERSION, state=state, reason=reason)

    async def _model_infer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        arrived_ns = time.monotonic_ns()
        # The deadline's clock starts with the request, whatever checking and decoding take.
        arrived_s, grpc_budget_s = asyncio.get_running_loop().time(), context.time_remaining()
        model = self._find(request.model_name, request.model_version)
        statistics = model.worker.statistics
        try:
            if not self.ready:
                raise Unavailable("the server is stopping; try another one")
            checked = check_request(request, model.signature)
            deadline = _deadline(arrived_s, grpc_budget_s, checked.timeout_s)
            answer = await self._infer(model, checked, deadline, _request_id(request.id, context))
            response = build_response(request.id, model.signature, answer.logits, checked.top)
        except BaseException:  # a client that leaves ends its request as well
            statistics.failed(time.monotonic_ns() - arrived_ns)
            raise
        statistics.succeeded(time.monotonic_ns() - arrived_ns, answer.queue_ns, answer.stages)
        return response

    async def _infer(
        self, model: ServedModel, checked: CheckedRequest, deadline: Deadline | None, request_id: str
    ) -> Answer:
        """The answer, or at the deadline its refusal, whatever the decoder and the model are doing then."""
        if deadline is not None and deadline.expired_on_arrival:
            raise DeadlineExceeded("the deadline had passed when the request arrived")
        try:
            async with asyncio.timeout_at(deadline.at_s if deadline else None):
                images = checked.images
                if isinstance(images, list):
                    images = await self._decoder.decode(images, model.signature.preprocessing)
                return await model.worker.infer(images, deadline, request_id)
        except TimeoutError:
            raise DeadlineExceeded("the deadline passed before the answer was there") from None

    def _find(self, name: str, version: str) -> ServedModel:
        model = self._models.get(name)
        if model is None:
            raise NotFound(f"model {name!r} is unknown; RepositoryIndex lists those there are")
        if version not in ("", VERSION):
            raise NotFound(f"model {name!r} has no version {version!r}; its only version is {VERSION!r}")
        return model


def _deadline(arrived_s: float, *budgets_s: float | None) -> Deadline | None:
    """The earlier of the deadlines a request carries; None if it carries none."""
    return None if all(budget is None for budget in budgets_s) else earliest(arrived_s, *budgets_s)


def _request_id(of_message: str, context: Context) -> str:
    """By which a request is known: as at the proxy, the id in its metadata goes before that of its message."""
    given = next((value for key, value in context.invocation_metadata() or () if key == REQUEST_ID), None)
    return given if given and isinstance(given, str) else of_message
