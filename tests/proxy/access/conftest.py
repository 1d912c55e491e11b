"""An upstream that takes every call and says which came, and the tokens of everybody who may do something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from tailgate.access.tokens import Scope, Token, digest_of
from tailgate.config import Address
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.names import MODEL_INFER, SERVICE


@dataclass
class OpenUpstream:
    """Answers whatever it is asked; `paths` are what it was asked by others than the proxy itself."""

    address: Address = field(default_factory=lambda: Address("127.0.0.1", 0))
    paths: list[str] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        path = str(details.method)

        async def answer(_body: bytes, context: Any) -> bytes:
            metadata = dict(context.invocation_metadata() or ())
            if metadata.get("x-from") == "a client":
                self.paths.append(path)
                self.metadata.append(metadata)
            if path == f"/{SERVICE}/ServerReady":
                return pb.ServerReadyResponse(ready=True).SerializeToString()
            if path == f"/{SERVICE}/RepositoryIndex":
                index = pb.RepositoryIndexResponse()
                index.models.add(name="scripted", version="1", state="READY")
                return index.SerializeToString()
            if path == MODEL_INFER:
                response = pb.ModelInferResponse(model_name="scripted", model_version="1")
                response.outputs.add(name="class", datatype="INT64", shape=[1]).contents.int64_contents.append(1)
                return response.SerializeToString()
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
async def upstream() -> AsyncIterator[OpenUpstream]:
    opened = OpenUpstream()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            return opened.service(handler_call_details)

    server.add_generic_rpc_handlers((Handler(),))
    opened.address = Address("127.0.0.1", server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    yield opened
    await server.stop(None)


@dataclass
class Tokens:
    """A file with a token for each scope, called as the scope is, and what a client with it sends."""

    path: Path

    def write(self, *scopes: str) -> None:
        """Have these tokens in the file, and no others; a token's name is its scopes, with commas."""
        lines = [
            Token(name.replace(",", "-"), frozenset(map(Scope, name.split(","))), digest_of(secret(name).encode()))
            for name in scopes
        ]
        self.path.write_text("".join(f"{token.line()}\n" for token in lines))
        self.path.chmod(0o600)

    def bearer(self, scope: str) -> str:
        return f"Bearer {secret(scope)}"


def secret(name: str) -> str:
    return f"the secret of {name}".replace(" ", "-")


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    file = Tokens(tmp_path / "tokens")
    file.write(*Scope)
    return file
