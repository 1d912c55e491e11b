"""One inference over HTTP: the client of a passage like any other.

Its body is kept until it is whole, because JSON means nothing before; then it goes through the passage as the message
it stands for. The answer is put into the form the client wants before its outcome is booked, so that an answer which
cannot be is not counted as one, and the time that takes is not forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import uuid4

from tailgate.errors import InvalidRequest, Overloaded, RequestError, Status, TooLarge
from tailgate.http2.events import Field
from tailgate.http2.grpc_messages import PREFIX_BYTES
from tailgate.outcome import Ending
from tailgate.protocol.answers import NotAnAnswer
from tailgate.protocol.envelope import Envelope
from tailgate.protocol.rest.names import HEADER_LENGTH, parse_header_length
from tailgate.protocol.rest.request import JSON_ONLY, Buffer, read_request
from tailgate.protocol.rest.response import InferAnswer, write_answer
from tailgate.protocol.rest.statuses import http_status
from tailgate_proxy.call import Arrival, Reply
from tailgate_proxy.exchange import know_model, read_headers
from tailgate_proxy.passage import Passage
from tailgate_proxy.pipeline import Pipeline
from tailgate_proxy.rest.body import Body, coding_of
from tailgate_proxy.rest.headers import call_fields

SMALL_BYTES: Final = 16 * 1024
"""Pieces of a message up to this size are put together; larger ones are not copied."""

JSON_BYTES_PER_ELEMENT: Final = 16
"""What a number takes in JSON, about: an answer may have as many as a request's JSON could hold."""

_HTTP_STATUS: Final = {Ending.TOO_LARGE: 413, Ending.UPSTREAM_INVALID: 502}
"""Where the gRPC status says less than is known."""

_log = logging.getLogger(__name__)


class InferCall:
    """One call: a `Client`.

    Attributes:
        reply: Its end; None where the client has left.
        answer_body: What the client is given if that is an answer.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        target: tuple[str, str],
        given: Sequence[Field],
        arrived: tuple[float, float],
        max_json_bytes: int,
    ) -> None:
        """A call whose header fields are here; `arrive` comes next.

        Args:
            pipeline: What is done for it.
            target: Model and version by its path.
            given: Its header fields.
            arrived: When they came, on the monotonic clock and on the wall clock.
            max_json_bytes: The longest JSON.
        """
        fields, fault = call_fields(given)
        exchange = read_headers(Arrival(fields, dict(fields), *arrived), pipeline.routes, _make_id)
        exchange.fault = exchange.fault or fault
        know_model(exchange, Envelope(*target, ""), pipeline.routes)  # its path says so, before its message can
        exchange.render = self._render
        self.reply: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self.answer_body: InferAnswer | None = None
        self._passage = Passage(exchange, pipeline, self, 0)
        self._target = target
        self._max_json_bytes = max_json_bytes
        self._own = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in given}
        self._header_bytes: int | None = None
        self._coding = ""
        if HEADER_LENGTH in self._own:
            self._body = Body(pipeline.held, pipeline.max_message_bytes, "--max-message-mib")
        else:
            self._body = Body(pipeline.held, max_json_bytes, "--rest-max-json-mib")
        self._wanted = JSON_ONLY
        self._http_status: int | None = None

    # -- HTTP's side ---------------------------------------------------------------------------------------------------

    def arrive(self, body_bytes: int | None) -> bool:
        """The header fields are here, with what they say of the body's length; returns whether the body is wanted."""
        self._passage.arrive()
        if not self.reply.done():
            try:
                self._read_form(self._own)
                self._body.expect(body_bytes)
            except RequestError as error:
                self.refuse(error)
        return not self.reply.done()

    def take(self, piece: bytes) -> bool:
        """A piece of the body is here; returns whether more is wanted."""
        if self.reply.done():
            return False
        try:
            self._body.add(piece)
        except RequestError as error:
            self.refuse(error)
        return not self.reply.done()

    def complete(self) -> None:
        """All of the body is here."""
        if self.reply.done():
            return
        try:
            body = memoryview(self._body.open(self._coding))
            message = read_request(*self._target, body, self._header_bytes, self._max_json_bytes)
            self._wanted = message.wanted
            for piece, last in _framed(message.pieces):
                self._passage.body(memoryview(piece), end=last)
        except RequestError as error:
            self.refuse(error)
        except Exception:  # noqa: BLE001 — whatever it was, the request ends in exactly one outcome
            _log.exception("a request over HTTP failed inside the proxy")
            self._passage.refused(Reply(Ending.FAULT, Status.INTERNAL, "the proxy failed; its log says why"))
        finally:
            self._body.release()

    def refuse(self, error: RequestError) -> None:
        """What has come is no request."""
        ending = Ending.INVALID
        if isinstance(error, TooLarge):
            ending = Ending.TOO_LARGE
        elif isinstance(error, Overloaded):
            ending = Ending.SHED
        self._http_status = error.http_status
        self._passage.refused(Reply(ending, error.status, str(error)))

    def left(self) -> None:
        """The client is gone."""
        self._passage.client_left()
        self._finish(None)

    def stop(self) -> None:
        """The proxy stops."""
        self._passage.stop()

    def http_status_of(self, reply: Reply) -> int:
        """The HTTP status of the call's end."""
        return self._http_status or _HTTP_STATUS.get(reply.ending) or http_status(reply.status)

    # -- the passage's side: a Client ----------------------------------------------------------------------------------

    def taken(self, stream_id: int, count: int) -> None:
        """All of the body is here already: nobody waits for room."""

    def answer(self, stream_id: int, reply: Reply) -> None:  # noqa: ARG002 — there is one call
        """Its end."""
        self._finish(reply)

    # -- inner ---------------------------------------------------------------------------------------------------------

    def _finish(self, reply: Reply | None) -> None:
        self._body.release()
        self._passage.exchange.render = None  # leaves no circle behind
        if not self.reply.done():
            self.reply.set_result(reply)

    def _read_form(self, own: Mapping[str, str]) -> None:
        self._coding = coding_of(own.get("content-encoding", ""))
        if HEADER_LENGTH in own:
            self._header_bytes = parse_header_length(own[HEADER_LENGTH].strip())

    def _render(self, reply: Reply) -> Reply:
        """Put an answer into the client's form."""
        message = memoryview(reply.body)[PREFIX_BYTES:]
        try:
            self.answer_body = write_answer(message, self._wanted, self._max_json_bytes // JSON_BYTES_PER_ELEMENT)
        except NotAnAnswer as error:
            text = f"the upstream's answer is malformed: {error}"
            return Reply(Ending.UPSTREAM_INVALID, Status.INTERNAL, text)
        except InvalidRequest as error:
            return Reply(Ending.INVALID, error.status, str(error))
        return reply


def _framed(pieces: Sequence[Buffer]) -> Iterator[tuple[Buffer, bool]]:
    """A message's pieces as they go into a body, and whether each is the last."""
    gathered = bytearray(PREFIX_BYTES)
    gathered[1:] = sum(map(len, pieces)).to_bytes(PREFIX_BYTES - 1)
    for index, piece in enumerate(pieces, 1):
        if len(piece) <= SMALL_BYTES:
            gathered += piece
            continue
        if gathered:
            yield bytes(gathered), False
            gathered.clear()
        yield piece, index == len(pieces)
    if gathered:
        yield bytes(gathered), True


def _make_id() -> str:
    return uuid4().hex
