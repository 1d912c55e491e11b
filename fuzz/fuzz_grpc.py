"""What gRPC and the V2 protocol put into headers and bodies: requests, timeouts, endings, texts, answers.

Promised: only the errors that are documented; what is cut elsewhere says the same; what was written is read again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from fuzz._input import Input
from fuzz._weight import weight
from tailgate.deadline import parse_deadline_ms, parse_grpc_timeout
from tailgate.errors import InvalidRequest, RequestError, Status
from tailgate.http2 import grpc_headers
from tailgate.http2.grpc_ending import read_ending, write_ending
from tailgate.http2.grpc_messages import frame_message
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.answers import MAX_CLASS, UNKNOWN_CLASS, NotAnAnswer, predicted_class
from tailgate.protocol.envelope import Envelope, read_envelope
from tailgate.protocol.request_reader import RequestReader

MOST_MESSAGE_BYTES: Final = 600
MOST_KEPT_BYTES: Final = 4 * MOST_MESSAGE_BYTES + 2000
"""Of a request's body: names and the beginning of a field, as texts and as bytes, beside an empty reader itself."""
_UNIT_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_NAMES: Final = (b"x", b"x-bin", b"te", b"grpc-status", b"grpc-message", b":method", b"content-type")
_HTTP_STATUS: Final = re.compile(rb"[1-5][0-9][0-9]")  # what gets this far


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: A promise is broken. Anything else is a crash.
    """
    choices = Input(data)
    parts: tuple[Callable[[Input], None], ...] = (_body, _timeouts, _headers, _texts, _envelope, _answer)
    choices.pick(parts)(choices)


def _body(choices: Input) -> None:
    """A request's body, whole and in pieces, some of which are only stepped over."""
    size, how, content = choices.byte() + 1, choices.byte(), choices.rest()
    message = content[: MOST_MESSAGE_BYTES + 20]
    if how % 4:
        content = frame_message(message)
    whole = _read(content, len(content) or 1, stepping=False)
    assert _read(content, size, stepping=how % 8 >= 4) == whole
    if how % 4 and len(message) <= MOST_MESSAGE_BYTES:
        try:
            assert whole == (read_envelope(message), True)
        except InvalidRequest:
            assert whole is None


def _read(content: bytes, size: int, *, stepping: bool) -> tuple[Envelope, bool] | None:
    """What a reader makes of it: the envelope, and whether the body is complete; None if it is wrong."""
    reader = RequestReader(MOST_MESSAGE_BYTES)
    try:
        for at in range(0, len(content), size):
            piece = content[at : at + size]
            if not (stepping and reader.inside(len(piece))):
                reader.feed(memoryview(bytearray(piece)))
            assert weight(reader) <= MOST_KEPT_BYTES
        complete = reader.complete
        if complete:
            reader.end()
    except RequestError:
        return None
    return (reader.envelope if complete else Envelope("", "", "")), complete


def _timeouts(choices: Input) -> None:
    text = choices.rest().decode("latin-1")
    try:
        seconds = parse_grpc_timeout(text)
    except InvalidRequest:
        assert not re.fullmatch("[0-9]{1,8}[HMSmun]", text)
    else:
        assert math.isclose(seconds, int(text[:-1]) * _UNIT_S[text[-1]])
        if 1e-9 <= seconds < 1e8:
            again = parse_grpc_timeout(grpc_headers.format_grpc_timeout(seconds).decode())
            assert seconds * 0.999 - 1e-9 <= again <= seconds * (1 + 1e-12)
    try:
        assert math.isfinite(parse_deadline_ms(text))
    except InvalidRequest:
        return
    assert math.isfinite(float(text))


def _headers(choices: Input) -> None:
    fields: list[tuple[bytes, bytes]] = []
    status = choices.take(3)
    if _HTTP_STATUS.fullmatch(status):
        fields.append((b":status", status))
    while choices.left > 0:
        name = choices.pick(_NAMES) if choices.byte() % 4 else choices.sized()
        if name != b":status":
            fields.append((name, choices.sized()))
    assert grpc_headers.http_refusal(dict(fields)) in (None, 405, 415)
    ending = read_ending(tuple(fields))
    assert ending.status in Status
    assert len(ending.fields) <= len(fields)
    again = read_ending(write_ending(*ending))
    assert again == ending


def _texts(choices: Input) -> None:
    content = choices.rest()
    text = grpc_headers.unescape_message(content)
    escaped = grpc_headers.escape_message(text)
    assert grpc_headers.unescape_message(escaped) == text
    assert re.fullmatch(rb"[ -~]*", escaped)


def _envelope(choices: Input) -> None:
    body = choices.rest()
    try:
        found = read_envelope(body)
    except InvalidRequest:
        found = None
    try:
        request = pb.ModelInferRequest.FromString(body)
    except DecodeError:
        return  # protobuf reads the tensors as well, and is stricter there
    if found is not None:
        assert found.model == request.model_name
        assert found.version == request.model_version
        assert found.id == request.id
    else:
        # Stricter than protobuf in one thing only: groups, which proto3 has no way to write, and drops.
        assert any(byte & 7 in (3, 4) for byte in body)


def _answer(choices: Input) -> None:
    output = choices.take(choices.byte() % 4).decode("latin-1")
    try:
        found = predicted_class(choices.rest(), output)
    except NotAnAnswer:
        return
    assert found == UNKNOWN_CLASS or 0 <= found <= MAX_CLASS
