"""Which metadata goes on: what is listed, never a secret by a pattern, never what belongs to one connection."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.config import read_config
from tailgate.errors import ConfigError
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.forwarding import LIKELY, Forwarding
from tailgate_proxy.routes import build_routes

GIVEN: dict[str, object] = {"upstream": "127.0.0.1:8001", "deadline": "50ms"}
SECRETS = [b"authorization", b"proxy-authorization", b"cookie"]
NEVER = [
    b":path", b":authority", b"te", b"host", b"connection", b"transfer-encoding", b"content-type", b"user-agent",
    b"grpc-timeout", b"grpc-encoding", b"grpc-tomorrow", b"x-request-id", b"tailgate-label", b"tailgate-deadline-ms",
    b"tailgate-slice", b"tailgate-shadow",
]  # fmt: skip
names = st.sampled_from([*SECRETS, *NEVER, b"x-a", b"x-b", b"traceparent", b"a-bin"]) | st.binary(min_size=1)
patterns = st.lists(
    st.sampled_from(["*", "x-*", "x-a", "grpc-*", "t*", "authorization", "au*", "cookie", "te", "grpc-timeout"])
)


@given(names, patterns)
def test_a_name_goes_on_if_it_is_listed_or_a_pattern_covers_it_and_it_may(name: bytes, listed: list[str]) -> None:
    own = name in NEVER or name.startswith(b"grpc-") or name in (b"keep-alive", b"upgrade", b"proxy-connection")
    by_name = name in [one.encode() for one in listed if not one.endswith("*")]
    by_pattern = any(name.startswith(one[:-1].encode()) for one in listed if one.endswith("*"))
    taken = not own and (by_name or (by_pattern and name not in SECRETS))
    assert Forwarding(listed).takes(name) == taken
    assert Forwarding(listed).of(((name, b"1"), (name, b"2"))) == ([(name, b"1"), (name, b"2")] if taken else [])


@given(st.lists(names, min_size=100, max_size=200), patterns)
def test_what_was_said_of_a_name_is_said_again_however_many_others_came_between(
    several: list[bytes], listed: list[str]
) -> None:
    forwarding = Forwarding(listed)
    for one in (*several, *several):
        assert bool(forwarding.of(((one, b"1"),))) is forwarding.takes(one)


def test_by_default_traces_go_on_and_what_strangers_made_up_does_not() -> None:
    forwarding = build_routes(read_config(ProxyConfig, None, GIVEN)).forwarding
    for name in (b"traceparent", b"tracestate", b"baggage", b"b3", b"x-b3-traceid", b"seldon-model", b"mm-vmodel-id"):
        assert forwarding.takes(name)
    for name in (b"x-forwarded-for", b"x-user", b"b3x", b"traceparent2", *SECRETS, *NEVER):
        assert not forwarding.takes(name)


@pytest.mark.parametrize(
    ("given_", "listed"),
    [
        ("*", ("*",)),
        ("X-Custom, traceparent", ("x-custom", "traceparent")),
        (["x-*", "x-request-id"], ("x-*", "x-request-id")),
        ("", ()),
        ([], ()),
        (None, LIKELY),
    ],
)
def test_the_list_is_read_from_options_and_files(given_: Any, listed: tuple[str, ...]) -> None:
    assert read_config(ProxyConfig, None, GIVEN | {"forward_metadata": given_}).forward_metadata == listed


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            "x-a,te",
            "--forward-metadata is 'x-a,te': it has 'te', which is the proxy's own or belongs to one connection",
        ),
        ("grpc-timeout", "it has 'grpc-timeout', which is the proxy's own or belongs to one connection; leave it out"),
        ("a b", "--forward-metadata is 'a b': it has 'a b'; expected names such as 'x-team', or beginnings such as"),
        ("x-*-y", "it has 'x-*-y'; expected names such as"),
        ("x-a,", "it has ''; expected names such as"),
        ([7], "it has 7; expected names such as"),
        (7, "input should be a valid tuple"),
    ],
)
def test_what_can_never_go_on_or_is_no_name_is_a_mistake(wrong: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(ProxyConfig, None, GIVEN | {"forward_metadata": wrong})
    assert sentence in str(caught.value)


async def test_a_running_proxy_forwards_what_it_was_told_to(start_proxy: Any, upstream: Any) -> None:
    fields = {"traceparent": "00-1-1-01", "x_custom": "kept", "cookie": "secret"}
    for forwarded, arrives in ((None, {"traceparent"}), ("x-custom,cookie", {"x-custom", "cookie"}), ("", set())):
        running = await start_proxy(forward_metadata=forwarded)
        await running.infer("1/a", **fields)
        metadata = dict(upstream.metadata["1/a"])
        assert metadata.keys() & {"traceparent", "x-custom", "cookie"} == arrives
        assert metadata["x-request-id"] == "1/a"
