"""Where weights come from, and what is said when they do not fit."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tailgate.errors import ConfigError, WeightsError
from tailgate_server import weights
from tailgate_server.architectures import find_architecture
from tailgate_server.checksums import CONTENT_SHA256
from tailgate_server.weights import load_network

DIGITS = find_architecture("digits")
SQUEEZE = find_architecture("squeezenet1_1")


def outputs(module: nn.Module, side: int = 32) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = module(torch.linspace(-1, 1, 3 * side * side).reshape(1, 3, side, side))
    return result


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return load_network(DIGITS, "random:5").module.state_dict()


@pytest.mark.parametrize("form", ["safetensors", "pth", "checkpoint.pt", "parallel.pt"])
def test_a_file_gives_back_the_network_it_was_made_from(form: str, state: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / f"weights.{form}"
    if form == "safetensors":
        save_file(state, path)
    elif form == "checkpoint.pt":
        torch.save({"epoch": 3, "state_dict": state}, path)
    elif form == "parallel.pt":
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    else:
        torch.save(state, path)
    loaded = load_network(DIGITS, str(path))
    assert torch.equal(outputs(loaded.module), outputs(load_network(DIGITS, "random:5").module))
    assert loaded.labels == tuple("0123456789")


def test_the_seed_decides_random_weights_and_nothing_else_is_disturbed() -> None:
    torch.manual_seed(1)
    first = outputs(load_network(DIGITS, "random:1").module)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    assert torch.equal(first, outputs(load_network(DIGITS, "random:1").module))
    assert not torch.equal(first, outputs(load_network(DIGITS, "random:2").module))


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5", "googlenet"])
def test_the_number_of_classes_is_that_of_the_file(name: str, tmp_path: Path) -> None:
    architecture = find_architecture(name)
    made = architecture.build(7, False).eval()
    torch.save(made.state_dict(), tmp_path / "w.pth")
    loaded = load_network(architecture, str(tmp_path / "w.pth"))
    assert (loaded.classes, loaded.labels) == (7, ())
    assert outputs(loaded.module, 64).shape == (1, 7)
    assert torch.equal(outputs(loaded.module, 64), outputs(made, 64))


def test_weights_of_another_network_are_refused_with_the_first_tensors_that_differ(
    state: dict[str, Any], tmp_path: Path
) -> None:
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(
        WeightsError, match=r"does not fit .* squeezenet1_1: features.0.weight is .*; .* and [0-9]+ more; give"
    ):
        load_network(SQUEEZE, str(tmp_path / "w.safetensors"))


def test_a_missing_a_superfluous_and_a_misshapen_tensor_are_named(state: dict[str, Any], tmp_path: Path) -> None:
    bias = "classifier.1.bias"
    for change, sentence in (
        ({bias: None}, f"{bias} is missing"),
        ({"more": torch.zeros(1)}, "more is unknown"),
        ({bias: torch.zeros(3)}, rf"{bias} is \[3\], expected \[10\]"),
    ):
        changed = {name: tensor for name, tensor in (state | change).items() if tensor is not None}
        save_file(changed, tmp_path / "w.safetensors")
        with pytest.raises(WeightsError, match=sentence):
            load_network(DIGITS, str(tmp_path / "w.safetensors"))


class Bomb:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (Path.touch, (self.canary,))


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "w.pth"
    torch.save({"weight": Bomb(canary)}, path)
    with pytest.raises(WeightsError, match="no file of plain tensors"):
        load_network(DIGITS, str(path))
    path.write_bytes(pickle.dumps(Bomb(canary), protocol=2))
    with pytest.raises(WeightsError, match="no file of plain tensors"):
        load_network(DIGITS, str(path))
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"garbage" * 9, b"PK\x03\x04" + bytes(40)])
@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt"])
def test_a_damaged_file_is_one_clear_sentence(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.\w+' (is|holds) no ") as caught:
        load_network(DIGITS, str(path))
    assert "\n" not in str(caught.value)


def test_tensors_that_no_longer_have_their_recorded_checksum_are_refused(state: dict[str, Any], tmp_path: Path) -> None:
    save_file(state, tmp_path / "w.safetensors", {CONTENT_SHA256: "0" * 64})
    with pytest.raises(WeightsError, match="do not have the checksum"):
        load_network(DIGITS, str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("random:", "a whole number"),
        ("random:x", "a whole number"),
        ("nowhere.pth", "does not exist"),
        ("weights.bin", r"expected DEFAULT, random:SEED or a file ending in"),
        ("DEFAULT", "train-digits"),
    ],
)
def test_a_source_that_is_none_is_refused_with_the_remedy(source: str, sentence: str) -> None:
    with pytest.raises(WeightsError, match=sentence):
        load_network(DIGITS, source)


@pytest.fixture
def silent_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Downloads go to a proxy that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        yield


@pytest.mark.usefixtures("silent_network")
def test_a_download_that_hangs_is_given_up_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_DOWNLOAD_TIMEOUT_S", 0.1)
    with pytest.raises(WeightsError, match=r"cannot download torchvision's weights for squeezenet1_1 .*local file"):
        load_network(SQUEEZE, "DEFAULT")
    assert socket.getdefaulttimeout() is None


@pytest.mark.usefixtures("silent_network")
def test_torchvisions_own_weights_bring_their_labels(tmp_path: Path) -> None:
    made = load_network(SQUEEZE, "random:0").module
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(made.state_dict(), cache / "squeezenet1_1-b8a52dc0.pth")
    loaded = load_network(SQUEEZE, "DEFAULT")
    assert (loaded.classes, loaded.labels[0], len(loaded.labels)) == (1000, "tench", 1000)
    assert torch.equal(outputs(loaded.module, 64), outputs(made, 64))


@pytest.mark.parametrize(
    ("name", "close"), [("resnet81", "resnet18"), ("digit", "digits"), ("zzzz", "there is digits")]
)
def test_an_unknown_architecture_is_refused_with_close_matches(name: str, close: str) -> None:
    with pytest.raises(ConfigError, match=close):
        find_architecture(name)
