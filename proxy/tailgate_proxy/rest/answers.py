"""What a client over HTTP is given."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import hdrs, web

from tailgate.errors import Status
from tailgate_proxy.call import Reply
from tailgate_proxy.rest.call import InferCall
from tailgate_proxy.rest.headers import answer_fields

HEADER_LENGTH = "Inference-Header-Content-Length"


def error_answer(status: int, message: str) -> web.Response:
    """An error, as V2 says it."""
    response = web.json_response({"error": message}, status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="tailgate"'
    return response


def infer_answer(call: InferCall, reply: Reply) -> web.Response:
    """The answer to an inference, whatever became of it."""
    found = call.answer_body
    if reply.status is not Status.OK or found is None:
        response = error_answer(call.http_status_of(reply), reply.message)
    elif found.header_bytes is None:
        response = web.Response(body=found.body, content_type="application/json")
    else:
        response = web.Response(body=found.body, content_type="application/octet-stream")
        response.headers[HEADER_LENGTH] = str(found.header_bytes)
    for name, value in answer_fields(reply.trailers):
        response.headers.add(name, value)
    return response
