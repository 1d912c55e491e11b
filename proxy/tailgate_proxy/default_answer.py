"""The answer that a client is given at the deadline where the route says so: a V2 answer in JSON, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from google.protobuf.json_format import Parse, ParseError

from tailgate.errors import ConfigError
from tailgate.http2.grpc_messages import frame_message
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.answers import NotAnAnswer, predicted_class


@dataclass(frozen=True, slots=True)
class DefaultAnswer:
    """An answer without an id, as bytes to which the request's id is added.

    >>> answer = DefaultAnswer(pb.ModelInferResponse(model_name="m").SerializeToString())
    >>> pb.ModelInferResponse.FromString(answer.body("7")[5:]).id
    '7'
    """

    message: bytes

    def body(self, request_id: str) -> bytes:
        """The answer to this request, as it stands in a body: fields of a message may follow in any order."""
        return frame_message(self.message + pb.ModelInferResponse(id=request_id).SerializeToString())


def read_default_answer(path: Path) -> DefaultAnswer:
    """Read the file: a ModelInferResponse in protobuf's JSON form.

    Raises:
        ConfigError: It cannot be read, or holds no answer.
    """
    try:
        response = Parse(path.read_text(encoding="utf-8"), pb.ModelInferResponse())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"default_answer {path} cannot be read: {error}") from error
    except ParseError as error:
        raise ConfigError(
            f"default_answer {path} is no ModelInferResponse in JSON: {' '.join(str(error).split())}"
        ) from error
    response.id = ""
    message: bytes = response.SerializeToString()
    try:
        predicted_class(message)
    except NotAnAnswer as error:
        raise ConfigError(f"default_answer {path} contradicts itself: {error}") from error
    if not response.outputs:
        raise ConfigError(f"default_answer {path} has no outputs; give at least one")
    return DefaultAnswer(message)
