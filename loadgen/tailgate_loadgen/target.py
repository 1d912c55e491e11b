"""The ways to the target, and what is asked of it before the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from tailgate.errors import Status, UsageError
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import SERVICE
from tailgate_loadgen.calls import MAX_MESSAGE_BYTES, Client, ClientName, Metadata
from tailgate_loadgen.credentials import NO_CREDENTIALS, Credentials
from tailgate_loadgen.grpc_client import GrpcClient, infer_stub
from tailgate_loadgen.wire.address import parse_address
from tailgate_loadgen.wire.client import Http2Client

ASK_TIMEOUT_S = 10.0

_OTHER_PROTOCOL = "target {} does not speak the V2 inference protocol; give the address of its gRPC port"

_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),  # a connection of our own, even in a process that has others
    ("grpc.enable_retries", 0),  # a request is sent once, so that its end is the target's doing
    ("grpc.enable_http_proxy", 0),  # the environment's proxy is for the web
]


def open_channel(target: str, credentials: Credentials = NO_CREDENTIALS) -> grpc.aio.Channel:
    """A channel of gRPC's own library; connects when it is first used. A token is for each call to bring."""
    tls = credentials.tls
    if tls is None:
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    options = [*_OPTIONS]
    if tls.server_name is not None or parse_address(target).path:
        options.append(("grpc.ssl_target_name_override", tls.server_name or "localhost"))
    return grpc.aio.secure_channel(
        target, grpc.ssl_channel_credentials(tls.authorities(), *tls.shown()), options=options
    )


@asynccontextmanager
async def open_client(
    name: ClientName, target: str, credentials: Credentials = NO_CREDENTIALS
) -> AsyncIterator[Client]:
    """What makes a run's calls.

    Raises:
        UsageError: The target cannot be reached; gRPC's own library does not say so before the first call.
    """
    if name == "grpc":
        async with open_channel(target, credentials) as channel:
            yield GrpcClient(infer_stub(channel), credentials.metadata)
    else:
        async with Http2Client(target, credentials=credentials) as client:
            yield client


@dataclass(frozen=True)
class Description:
    """What the target says of the model.

    Attributes:
        metadata: Its tensors.
        parameters: How it is set up, where the target says so.
    """

    metadata: pb.ModelMetadataResponse
    parameters: dict[str, str] = field(default_factory=dict)


async def describe(
    channel: grpc.aio.Channel, target: str, model: str, credentials: Credentials = NO_CREDENTIALS
) -> Description:
    """Ask for the model's metadata, and for its configuration, which a target need not offer.

    Raises:
        UsageError: The target cannot be reached, does not let us in, speaks another protocol, or has no such model.
    """
    if credentials.tls is not None:
        async with open_client("http2", target, credentials):
            pass  # our own client can say what was wrong with a handshake; gRPC's library has no words for it
    shown = credentials.metadata
    try:
        metadata = pb.ModelMetadataResponse.FromString(
            await _ask(channel, "ModelMetadata", pb.ModelMetadataRequest(name=model), shown)
        )
    except grpc.aio.AioRpcError as error:
        code, said = error.code(), credentials.without_token(error.details() or "")
        refusal = credentials.refusal(f"target {target}", Status(code.value[0]), said)
        raise refusal or _explained(code, said, target, model, tls=credentials.tls is not None) from error
    except DecodeError as error:
        raise UsageError(_OTHER_PROTOCOL.format(target)) from error
    try:
        config = pb.ModelConfigResponse.FromString(
            await _ask(channel, "ModelConfig", pb.ModelConfigRequest(name=model), shown)
        ).config
    except (grpc.aio.AioRpcError, DecodeError):
        return Description(metadata)
    return Description(metadata, {name: value.string_value for name, value in config.parameters.items()})


async def _ask(channel: grpc.aio.Channel, method: str, request: Any, shown: Metadata) -> bytes:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/{method}", None, None)
    return await call(request.SerializeToString(), timeout=ASK_TIMEOUT_S, metadata=list(shown))


def _explained(code: grpc.StatusCode, said: str, target: str, model: str, *, tls: bool) -> UsageError:
    if code is grpc.StatusCode.UNAVAILABLE:
        # gRPC tells a refused connection from a target's own refusal in the text only.
        if "connect" in said or "resol" in said:
            more = "see --ca and --server-name" if tls else "take --tls if it speaks TLS"
            return UsageError(f"target {target} cannot be reached; start it, give the right address, or {more}")
        return UsageError(f"target {target} cannot serve model {model!r} now: {said}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UsageError(f"target {target} did not answer within {ASK_TIMEOUT_S:g} s; see what keeps it busy")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return UsageError(_OTHER_PROTOCOL.format(target))
    if code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
        return UsageError(f"target {target} has no model {model!r} ({said}); name one it has with --model")
    return UsageError(f"target {target} refuses to describe model {model!r}: {code.name}, {said}")
