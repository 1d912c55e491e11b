"""What upstreams can be configured, and what is said of those that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailgate.config import Address, read_config
from tailgate.errors import ConfigError
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.routes import build_routes

GIVEN: dict[str, object] = {"deadline": "50ms"}
HERE, THERE = Address("10.0.0.1", 8001), Address("models.example", 8001)


def test_an_upstream_on_the_command_line_is_the_default_one() -> None:
    config = read_config(
        ProxyConfig, None, GIVEN | {"upstream": "10.0.0.1:8001, models.example:8001", "upstream_profile": "triton"}
    )
    assert list(config.pools) == ["default"]
    assert config.pools["default"].addresses == (HERE, THERE)
    assert config.pools["default"].profile == "triton"
    assert build_routes(config).default.pool == "default"


def test_a_file_names_upstreams_and_the_first_is_the_default_where_none_is_called_so(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text(
        'deadline = "50ms"\n[upstreams.new]\naddresses = ["10.0.0.1:8001"]\n'
        '[upstreams.old]\naddresses = ["models.example:8001", "10.0.0.1:8001"]\nprofile = "mlserver"\n'
    )
    config = read_config(ProxyConfig, file, {})
    assert {name: (pool.addresses, pool.profile) for name, pool in config.pools.items()} == {
        "new": ((HERE,), "generic"),
        "old": ((THERE, HERE), "mlserver"),
    }
    assert build_routes(config).default.pool == "new"
    with_one_more = read_config(ProxyConfig, file, {"upstream": "10.0.0.1:8001"})
    assert build_routes(with_one_more).default.pool == "default"


def test_an_upstream_hedges_only_where_it_is_told_to_and_then_a_twentieth_of_its_requests() -> None:
    upstreams = {"plain": {"addresses": ["a:1", "b:1"]}, "x": {"addresses": ["a:1", "b:1"], "hedge_after": 0.95}}
    config = read_config(ProxyConfig, None, GIVEN | {"upstreams": upstreams, "upstream": "c:1"})
    assert {name: (pool.hedge_after, pool.hedge_budget) for name, pool in config.pools.items()} == {
        "default": (None, 0.05),
        "plain": (None, 0.05),
        "x": (0.95, 0.05),
    }


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({}, "--upstream is missing; give --upstream"),
        ({"upstream": "10.0.0.1:8001,nowhere"}, "'nowhere'; expected HOST:PORT, such as 127.0.0.1:9001"),
        ({"upstream": "a:1,b:1,a:1"}, "a:1 is there twice; leave one out"),
        (
            {"upstream": "a:1", "upstream_profile": "seldon"},
            "--upstream-profile is 'seldon': expected one of 'generic'",
        ),
        ({"upstreams": {"x": {"addresses": []}}}, "at least 1 item"),
        ({"upstreams": {"x": {"addresses": ["a:1"], "profile": 3}}}, "expected one of 'generic'"),
        ({"upstreams": {"a b": {"addresses": ["a:1"]}}}, "should match pattern"),
        (
            {"upstreams": {"x": {"addresses": ["a:1"]}}, "upstream_profile": "triton"},
            "this belongs to --upstream, which is not given",
        ),
        ({"upstreams": {"default": {"addresses": ["a:1"]}}, "upstream": "b:1"}, "given as [upstreams.default], too"),
        ({"upstreams": {"x": {"addresses": ["a:1"], "hedge_after": 95.0}}}, "95.0: input should be less than 1"),
        (
            {"upstreams": {"x": {"addresses": ["a:1"], "hedge_after": 0.3}}},
            "0.3: input should be greater than or equal to 0.5",
        ),
        (
            {"upstreams": {"x": {"addresses": ["a:1"], "hedge_after": 0.95, "hedge_budget": 0.5}}},
            "0.5: input should be less than or equal to 0.1",
        ),
        (
            {"upstreams": {"x": {"addresses": ["a:1"], "hedge_budget": 0.05}}},
            "this belongs to hedge_after, without which nothing is hedged; give that, too",
        ),
        (
            {"upstreams": {"x": {"addresses": ["a:1"], "profile": "mlserver", "hedge_after": 0.95}}},
            "which a server of profile 'mlserver' must never see; leave it out",
        ),
        (
            {"upstreams": {"x": {"addresses": ["a:1"], "hedge_after": 0.95}}, "admission": "off"},
            "hedge_after of [upstreams.x] is a quantile of the times that admission learns; take 'adaptive' or 'fixed'",
        ),
    ],
)
def test_what_is_wrong_with_an_upstream_is_one_sentence(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(ProxyConfig, None, GIVEN | wrong)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(";") <= 1
