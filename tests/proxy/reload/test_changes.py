"""What of a configuration may change while the proxy runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tailgate.config import read_config
from tailgate.errors import ConfigMistakes
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.reload.changes import CHANGEABLE, changed, refusals, with_fixed
from tailgate_proxy.reload.source import Source

ROOT = Path(__file__).resolve().parents[3]
GIVEN: dict[str, object] = {"upstream": "127.0.0.1:8001", "deadline": "50ms"}
OTHERS: dict[str, Any] = {
    "upstreams": {"x": {"addresses": ["127.0.0.1:1"]}},
    "upstream": "127.0.0.1:8002",
    "upstream_profile": "triton",
    "routes": [{"to": "default"}],
    "deadline": "1s",
    "forward_metadata": "x-*",
    "mode": "observe",
    "default_answer": "other.json",
    "late_share": 0.5,
    "late_patience": "3s",
    "models": {"m": {"deadline": "2s"}},
    "objective": 0.5,
    "floor": 0.25,
    "confidences": 3,
    "max_in_flight": 7,
    "max_held_mib": 7,
    "max_connections": 7,
    "max_connections_per_peer": 7,
    "handshake_timeout": "7s",
    "stall_timeout": "7s",
    "idle_timeout": "7s",
    "drain_grace": "7s",
}


def config(**more: object) -> ProxyConfig:
    return read_config(ProxyConfig, None, GIVEN | more)


@pytest.mark.parametrize("name", sorted(CHANGEABLE))
def test_what_may_change_is_not_refused_and_is_taken_over(name: str) -> None:
    old, new = config(), config(**{name: OTHERS[name]})
    assert changed(old, new) == [name]
    assert refusals(old, new) == []
    assert getattr(with_fixed(new, old), name) == getattr(new, name)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "listen",
            "127.0.0.1:1",
            "listen cannot change while the proxy runs, from 127.0.0.1:9001 to 127.0.0.1:1; restart it",
        ),
        ("admin", "127.0.0.1:1", "admin cannot change"),
        ("rest", "127.0.0.1:1", "rest cannot change while the proxy runs, from none to 127.0.0.1:1"),
        ("trace", "runs", "trace cannot change"),
        ("workers", 2, "workers cannot change while the proxy runs, from 1 to 2"),
        ("slices", "night", "slices cannot change"),
        ("tls_cert", "a.pem", "tls_cert cannot change"),
        ("tokens", "tokens", "tokens cannot change"),
        ("max_message_mib", 3, "max_message_mib cannot change"),
        ("label_wait", "3s", "label_wait cannot change"),
    ],
)
def test_what_is_fixed_is_refused_in_a_sentence_and_stays(name: str, value: object, sentence: str) -> None:
    old, new = config(), config(**{name: value})
    (refusal,) = refusals(old, new)
    assert sentence in refusal
    assert with_fixed(new, old) == old


def test_the_host_of_an_upstream_under_tls_is_fixed_where_its_certificate_is_checked_by_it() -> None:
    old, new = config(upstream_tls=True), config(upstream_tls=True, upstream="127.0.0.2:8001")
    (refusal,) = refusals(old, new)
    assert "give upstream_server_name, or restart it" in refusal
    assert refusals(old, config(upstream_tls=True, upstream="127.0.0.1:9")) == []
    named = {"upstream_tls": True, "upstream_server_name": "models"}
    assert refusals(config(**named), config(**named, upstream="127.0.0.2:8001")) == []


def test_a_file_is_read_again_under_the_same_options_and_its_mistakes_are_all_told(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text('upstream = "127.0.0.1:8001"\ndeadline = "50ms"\nmode = "observe"\n')
    given = {"mode": "enforce"}
    source = Source(file, given, read_config(ProxyConfig, file, given))
    assert source.read() == source.config
    file.write_text('upstream = "127.0.0.1:8001"\ndeadline = "80ms"\nmode = "observe"\n')
    assert (source.read().deadline, source.read().mode) == (0.08, "enforce")
    file.write_text('upstream = "127.0.0.1:8001"\ndeadline = "x"\nobjective = 2\n')
    with pytest.raises(ConfigMistakes) as caught:
        source.read()
    assert len(caught.value.sentences) == 2
    file.write_text('upstream = "127.0.0.1:8001"\ndeadline = "1s"\ntrace = "x"\nslices = ["y"]\n')
    with pytest.raises(ConfigMistakes) as caught:
        source.read()
    assert [sentence.split()[1] for sentence in caught.value.sentences] == ["slices", "trace"]
    assert all(sentence.startswith(f"{file}: ") for sentence in caught.value.sentences)


def test_the_document_names_what_may_change() -> None:
    text = (ROOT / "docs" / "routes.md").read_text()
    section = re.search(r"^## Reloading\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    listed = re.search(r"^May change: (.*?)\.$", section[1], re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"`([a-z_]+)`", listed[1])) == CHANGEABLE
