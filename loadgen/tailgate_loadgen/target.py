"""The connection to the target, and what is asked of it before the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from tailgate.errors import UsageError
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE

MAX_MESSAGE_BYTES = 256 << 20
ASK_TIMEOUT_S = 10.0

_OTHER_PROTOCOL = "target {} does not speak the V2 inference protocol; give the address of its gRPC port"

_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),  # a connection of our own, even in a process that has others
    ("grpc.enable_retries", 0),  # a request is sent once, so that its end is the target's doing
    ("grpc.enable_http_proxy", 0),  # the environment's proxy is for the web
]


def open_channel(target: str) -> grpc.aio.Channel:
    """The one channel of a run; connects when it is first used."""
    return grpc.aio.insecure_channel(target, options=_OPTIONS)


@dataclass(frozen=True)
class Description:
    """What the target says of the model.

    Attributes:
        metadata: Its tensors.
        parameters: How it is set up, where the target says so.
    """

    metadata: pb.ModelMetadataResponse
    parameters: dict[str, str] = field(default_factory=dict)


async def describe(channel: grpc.aio.Channel, target: str, model: str) -> Description:
    """Ask for the model's metadata, and for its configuration, which a target need not offer.

    Raises:
        UsageError: The target cannot be reached, speaks another protocol, or has no such model.
    """
    try:
        metadata = pb.ModelMetadataResponse.FromString(
            await _ask(channel, "ModelMetadata", pb.ModelMetadataRequest(name=model))
        )
    except grpc.aio.AioRpcError as error:
        raise _explained(error, target, model) from error
    except DecodeError as error:
        raise UsageError(_OTHER_PROTOCOL.format(target)) from error
    try:
        config = pb.ModelConfigResponse.FromString(
            await _ask(channel, "ModelConfig", pb.ModelConfigRequest(name=model))
        ).config
    except (grpc.aio.AioRpcError, DecodeError):
        return Description(metadata)
    return Description(metadata, {name: value.string_value for name, value in config.parameters.items()})


async def _ask(channel: grpc.aio.Channel, method: str, request: Any) -> bytes:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/{method}", None, None)
    return await call(request.SerializeToString(), timeout=ASK_TIMEOUT_S)


def _explained(error: grpc.aio.AioRpcError, target: str, model: str) -> UsageError:
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        # gRPC tells a refused connection from a target's own refusal in the text only.
        if "connect" in (error.details() or "") or "resol" in (error.details() or ""):
            return UsageError(f"target {target} cannot be reached; start it, or give the right address with --target")
        return UsageError(f"target {target} cannot serve model {model!r} now: {error.details()}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UsageError(f"target {target} did not answer within {ASK_TIMEOUT_S:g} s; see what keeps it busy")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return UsageError(_OTHER_PROTOCOL.format(target))
    if code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
        return UsageError(f"target {target} has no model {model!r} ({error.details()}); name one it has with --model")
    return UsageError(f"target {target} refuses to describe model {model!r}: {code.name}, {error.details()}")
