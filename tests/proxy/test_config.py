"""What `tailgate proxy` can be told, and what it says when it is told wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tailgate.config import Address, read_config
from tailgate.errors import ConfigError
from tailgate.outcome import Mode
from tailgate_proxy.config import ProxyConfig

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {"upstream": "127.0.0.1:8001", "deadline": "50ms"}


def test_the_sample_configuration_is_valid_and_says_what_its_comments_say() -> None:
    config = read_config(ProxyConfig, ROOT / "proxy" / "proxy.toml", {})
    assert config.mode is Mode.ENFORCE
    assert config.models["resnet50"].deadline == 0.1
    assert config.models["resnet50"].output == "logits"
    assert config.upstream == (Address("127.0.0.1", 8001),)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"upstream": "somewhere"}, "--upstream is 'somewhere'; expected HOST:PORT, such as 127.0.0.1:9001"),
        ({"upstream": None}, "--upstream is missing"),
        ({"deadline": None}, "--deadline is missing"),
        ({"deadline": "0ms"}, "--deadline is '0ms'; expected a number above zero with its unit"),
        ({"deadline": "fast"}, "--deadline is 'fast'; expected a number above zero with its unit"),
        ({"mode": "both"}, "--mode is 'both': expected 'enforce', 'observe' or 'default-answer'"),
        ({"late_share": 1.5}, "--late-share is 1.5: input should be less than or equal to 1"),
        ({"late_share": -0.1}, "--late-share is -0.1: input should be greater than or equal to 0"),
        ({"late_patience": "0s"}, "--late-patience is '0s'; expected a number above zero with its unit"),
        ({"max_in_flight": 0}, "--max-in-flight is 0: input should be greater than or equal to 1"),
        ({"max_message_mib": 4096}, "--max-message-mib is 4096: input should be less than or equal to 1024"),
        ({"listen": "127.0.0.1:99999"}, "--listen is '127.0.0.1:99999'; expected HOST:PORT"),
    ],
)
def test_every_wrong_option_is_one_sentence(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(ProxyConfig, None, GIVEN | wrong)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_may_have_a_mode_a_deadline_and_a_default_answer_of_its_own() -> None:
    given = GIVEN | {
        "late_share": 0.25,
        "late_patience": "2s",
        "default_answer": "everywhere.json",
        "models": {"soft": {"mode": "default-answer", "default_answer": "own.json"}, "plain": {}},
    }
    config = read_config(ProxyConfig, None, given)
    assert (config.late_share, config.late_patience, config.default_answer) == (0.25, 2.0, Path("everywhere.json"))
    soft, plain = config.models["soft"], config.models["plain"]
    assert (soft.mode, soft.default_answer) == (Mode.DEFAULT_ANSWER, Path("own.json"))
    assert (plain.mode, plain.default_answer, plain.deadline) == (None, None, None)


def test_a_models_wrong_mode_is_one_sentence_that_names_the_model(tmp_path: Path) -> None:
    path = tmp_path / "proxy.toml"
    path.write_text('upstream = "127.0.0.1:1"\ndeadline = "50ms"\n[models.soft]\nmode = "both"\n')
    with pytest.raises(ConfigError) as caught:
        read_config(ProxyConfig, path, {})
    assert "models.soft.mode is 'both': expected 'enforce', 'observe' or 'default-answer'" in str(caught.value)
    assert "\n" not in str(caught.value)


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tailgate", "proxy", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_a_mistake_on_the_command_line_exits_with_2_and_no_stack_trace(tmp_path: Path) -> None:
    broken = tmp_path / "proxy.toml"
    broken.write_text('upstraem = "127.0.0.1:8001"\ndeadline = "50ms"\n')
    for options, sentence in (
        (("--upstream", "x", "--deadline", "50ms"), "--upstream is 'x'"),
        (("--config", str(broken)), f"{broken}: upstraem is not known; did you mean 'upstream'?"),
        (("--config", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("--upstream", "127.0.0.1:1", "--deadline", "50ms", "--listen", "203.0.113.1:1"), "cannot be bound"),
        (("--upstream", "127.0.0.1:1", "--deadline", "50ms", "--trace", str(broken)), "cannot be created"),
        (("--upstream", "127.0.0.1:1", "--deadline", "50ms", "--mode", "both"), "--mode is 'both'"),
        (("--upstream", "127.0.0.1:1", "--deadline", "50ms", "--late-share", "2"), "--late-share is 2"),
        (("--upstream", "127.0.0.1:1", "--deadline", "50ms", "--default-answer", str(broken)), "default_answer"),
        (("--max-in-flight", "many"), "argument --max-in-flight: invalid int value: 'many'"),
    ):
        done = run(*options)
        assert done.returncode == 2, done.stderr
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
