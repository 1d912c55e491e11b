"""What may be bound without tokens, and what is warned of."""

from __future__ import annotations

from typing import Any

import pytest

from tailgate.config import Address, read_config
from tailgate.errors import ConfigError
from tailgate_proxy.access.exposure import check_exposure, is_loopback
from tailgate_proxy.access.guard import build_guard
from tailgate_proxy.config import ProxyConfig

Tokens = Any  # defined in conftest.py, which tests do not import
LOOPBACK = ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1"]
BEYOND = ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "proxy.internal:1", "localhost.evil:1"]


def config(**given: object) -> ProxyConfig:
    return read_config(ProxyConfig, None, {"upstream": "127.0.0.1:1", "deadline": "1s"} | given)


def test_the_admin_port_is_this_machines_by_default() -> None:
    assert is_loopback(config().admin)
    assert build_guard(config()) is None


@pytest.mark.parametrize("admin", LOOPBACK)
def test_an_admin_port_of_this_machine_needs_no_tokens(admin: str) -> None:
    check_exposure(config(admin=admin))


@pytest.mark.parametrize("admin", BEYOND)
def test_an_admin_port_that_others_can_reach_needs_tokens_or_a_word(admin: str, tokens: Tokens) -> None:
    with pytest.raises(ConfigError) as caught:
        check_exposure(config(admin=admin))
    assert str(caught.value).startswith(f"--admin {Address.parse(admin)} can be reached from other machines")
    assert "give --tokens" in str(caught.value)
    check_exposure(config(admin=admin, tokens=str(tokens.path)))
    check_exposure(config(admin=admin, admin_open=True))


async def test_a_proxy_refuses_to_start_so(start_proxy: Any) -> None:
    with pytest.raises(ConfigError, match="would ask nobody for a token"):
        await start_proxy(admin="0.0.0.0:0")


@pytest.mark.parametrize("port", ["listen", "rest"])
@pytest.mark.parametrize("address", BEYOND)
def test_tokens_in_the_clear_are_warned_of(
    port: str, address: str, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    beyond = {port: address}
    check_exposure(config(**beyond))
    check_exposure(config(**beyond, tokens=str(tokens.path), tls_cert="proxy.pem"))
    check_exposure(config(tokens=str(tokens.path), rest="127.0.0.1:1"))
    assert caplog.text == ""
    check_exposure(config(**beyond, tokens=str(tokens.path)))
    assert f"on --{port} {address} tokens travel in the clear" in caplog.text
