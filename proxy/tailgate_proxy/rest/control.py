"""Everything else of V2 over HTTP: health, metadata and the like, asked of the upstream over gRPC."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from aiohttp import web
from google.protobuf.message import DecodeError, Message

from tailgate.deadline import parse_deadline_ms
from tailgate.errors import InvalidRequest, RequestError
from tailgate.http2.grpc_messages import PREFIX_BYTES
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import DEADLINE_MS, SERVICE
from tailgate.protocol.rest.documents import document_of
from tailgate.protocol.rest.statuses import CLIENT_LEFT, http_status
from tailgate_proxy.access.guard import Guard
from tailgate_proxy.access.http import refuse
from tailgate_proxy.access.needs import of_call
from tailgate_proxy.call import CallFailed
from tailgate_proxy.control import CONTROL_TIMEOUT_S, MAX_CONTROL_BYTES, PassOn
from tailgate_proxy.expect import ask_for_body, expect_nothing
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.rest.answers import error_answer
from tailgate_proxy.rest.body import Body
from tailgate_proxy.rest.connection import RestConnection
from tailgate_proxy.rest.headers import call_fields

NO = 400
"""What V2 wants of a server or a model that is not ready: a status of 4xx."""


@dataclass(frozen=True)
class Question:
    """A path, and the call it stands for.

    Attributes:
        http_method: GET or POST.
        path: As aiohttp's router has it.
        call: The method of V2's gRPC service.
        ask: Makes its message of model, version and what is in the request's body.
        answer: The class of its answer.
        show: Makes a document of the answer.
        yes: Whether the answer is yes; None where it is no such question.
    """

    http_method: str
    path: str
    call: str
    ask: Callable[[str, str, dict[str, Any]], Message]
    answer: type[Message]
    show: Callable[[Any], Any] = document_of
    yes: Callable[[Any], bool] | None = None


def _of_model(suffix: str) -> tuple[str, str]:
    return f"/v2/models/{{model}}{suffix}", f"/v2/models/{{model}}/versions/{{version}}{suffix}"


def _index_request(_model: str, _version: str, body: dict[str, Any]) -> Message:
    ready = body.get("ready", False)
    if not isinstance(ready, bool):
        raise InvalidRequest(f"ready is {json.dumps(ready)}; expected true or false")
    return pb.RepositoryIndexRequest(ready=ready)


QUESTIONS: Final = (
    Question(
        "GET",
        "/v2/health/live",
        "ServerLive",
        lambda _model, _version, _body: pb.ServerLiveRequest(),
        pb.ServerLiveResponse,
        yes=lambda answer: cast("bool", answer.live),
    ),
    Question(
        "GET",
        "/v2/health/ready",
        "ServerReady",
        lambda _model, _version, _body: pb.ServerReadyRequest(),
        pb.ServerReadyResponse,
        yes=lambda answer: cast("bool", answer.ready),
    ),
    Question(
        "GET",
        "/v2",
        "ServerMetadata",
        lambda _model, _version, _body: pb.ServerMetadataRequest(),
        pb.ServerMetadataResponse,
    ),
    Question(
        "POST",
        "/v2/repository/index",
        "RepositoryIndex",
        _index_request,
        pb.RepositoryIndexResponse,
        show=lambda answer: [document_of(model) for model in answer.models],
    ),
    Question(
        "GET",
        "/v2/models/stats",
        "ModelStatistics",
        lambda _model, _version, _body: pb.ModelStatisticsRequest(),
        pb.ModelStatisticsResponse,
    ),
    *(
        Question(
            "GET",
            path,
            "ModelReady",
            lambda model, version, _body: pb.ModelReadyRequest(name=model, version=version),
            pb.ModelReadyResponse,
            yes=lambda answer: cast("bool", answer.ready),
        )
        for path in _of_model("/ready")
    ),
    *(
        Question(
            "GET",
            path,
            "ModelConfig",
            lambda model, version, _body: pb.ModelConfigRequest(name=model, version=version),
            pb.ModelConfigResponse,
            show=lambda answer: document_of(answer.config),
        )
        for path in _of_model("/config")
    ),
    *(
        Question(
            "GET",
            path,
            "ModelStatistics",
            lambda model, version, _body: pb.ModelStatisticsRequest(name=model, version=version),
            pb.ModelStatisticsResponse,
        )
        for path in _of_model("/stats")
    ),
    *(
        Question(
            "GET",
            path,
            "ModelMetadata",
            lambda model, version, _body: pb.ModelMetadataRequest(name=model, version=version),
            pb.ModelMetadataResponse,
        )
        for path in _of_model("")
    ),
)
"""All of them. What comes first is asked first where several fit."""


class Control:
    """Asks the upstream."""

    def __init__(self, pipeline: Pipeline, pass_on: PassOn, guard: Guard | None) -> None:
        """Pass on by `pass_on`; without a `guard` everybody is let in."""
        self.pipeline = pipeline
        self._pass_on = pass_on
        self._guard = guard

    def add_to(self, application: web.Application) -> None:
        """Serve every question."""
        for question in QUESTIONS:
            handler = self._handler(question)
            application.router.add_route(question.http_method, question.path, handler, expect_handler=expect_nothing)

    def _handler(self, question: Question) -> Callable[[web.Request], Any]:
        path = f"/{SERVICE}/{question.call}".encode()

        async def handle(request: web.Request) -> web.StreamResponse:
            connection = request.protocol
            assert isinstance(connection, RestConnection)
            if self._guard is not None:
                refused = refuse(self._guard, request, of_call(path))
                if refused is not None:
                    return refused
            connection.busy = True
            try:
                return await self._answer(question, path, request)
            finally:
                connection.busy = False

        return handle

    async def _answer(self, question: Question, path: bytes, request: web.Request) -> web.Response:
        try:
            fields, fault = call_fields(request.raw_headers)
            if fault is not None:
                raise fault
            given = [parse_deadline_ms(value.decode("latin-1")) for name, value in fields if name == _DEADLINE]
            async with asyncio.timeout(CONTROL_TIMEOUT_S):
                body = _read_body(await self._whole(request)) if question.http_method == "POST" else {}
            message = question.ask(request.match_info.get("model", ""), request.match_info.get("version", ""), body)
            answer = await self._pass_on(
                path,
                message.SerializeToString(),
                self.pipeline.routes.forwarding.of(fields),
                min([CONTROL_TIMEOUT_S, *given]),
            )
            found = question.answer.FromString(answer.body[PREFIX_BYTES:])
        except TimeoutError:
            return error_answer(408, "the request's body did not come in time")
        except ConnectionError:
            return web.Response(status=CLIENT_LEFT)  # goes nowhere
        except RequestError as error:
            return error_answer(error.http_status, str(error))
        except CallFailed as failure:
            return error_answer(http_status(failure.status), failure.message)
        except DecodeError:
            return error_answer(502, f"the upstream's answer is no {question.answer.DESCRIPTOR.name}")
        status = 200 if question.yes is None or question.yes(found) else NO
        return web.json_response(question.show(found), status=status)

    async def _whole(self, request: web.Request) -> bytes:
        """What the request's body says, within the bounds on what is kept.

        Raises:
            TooLarge: It is longer than any such question.
            Overloaded: There is no room for it.
        """
        body = Body(self.pipeline.held, MAX_CONTROL_BYTES, "of a call that is no inference")
        try:
            body.expect(request.content_length)
            await ask_for_body(request)
            while piece := await request.content.readany():
                body.add(piece)
            return body.open("")
        finally:
            body.release()


_DEADLINE: Final = DEADLINE_MS.encode()


def _read_body(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the request's body is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidRequest("the request's JSON is no object")
    return document
