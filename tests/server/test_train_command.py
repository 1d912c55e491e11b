"""`tailgate train-digits`: what it writes, what it keeps, what it refuses."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
import torch

from tailgate.digits import load_digits
from tailgate.errors import ConfigError
from tailgate_server.architectures import find_architecture
from tailgate_server.state_files import read_safetensors
from tailgate_server.train_command import COMMAND, DEFAULT_EPOCHS, DEFAULT_SEED
from tailgate_server.training import Recipe, accuracy, train
from tailgate_server.weights import load_network


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    return COMMAND.run(parser.parse_args(arguments))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file from a recipe that is shorter than the default, and still good enough."""
    path = tmp_path_factory.mktemp("trained") / "digits.safetensors"
    assert run("--out", str(path), "--epochs", "8") == 0
    return path


def test_the_written_network_reads_digits_it_has_never_seen(trained: Path) -> None:
    network = load_network(find_architecture("digits"), str(trained)).module
    reached = accuracy(network, load_digits("validation"))
    assert reached >= 0.97
    _, metadata = read_safetensors(trained)
    assert float(metadata["validation_accuracy"]) == reached
    assert [path.name for path in trained.parent.iterdir()] == [trained.name]


def test_the_same_recipe_gives_the_same_weights() -> None:
    data = load_digits("training")
    first, second, other = (
        train(Recipe(epochs=1, seed=seed), data, lambda *_: None).state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_whole_file_of_the_same_recipe_is_kept(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = trained.stat().st_mtime_ns
    assert run("--out", str(trained), "--epochs", "8", "--if-missing") == 0
    assert trained.stat().st_mtime_ns == before
    assert capsys.readouterr().out.startswith("kept ")


@pytest.mark.parametrize("change", ["a flipped bit", "another recipe", "a torn end"])
def test_any_other_file_is_made_anew(
    trained: Path, tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, epochs = tmp_path / "digits.safetensors", "8"
    content = bytearray(trained.read_bytes())
    if change == "a flipped bit":
        content[-5] ^= 1
    elif change == "a torn end":
        del content[-100:]
    elif change == "another recipe":
        # One epoch does not reach the mark, so that training was tried shows in the exit status.
        epochs = "1"
    path.write_bytes(content)
    status = run("--out", str(path), "--epochs", epochs, "--if-missing")
    printed = capsys.readouterr().out
    if change == "another recipe":
        assert status == 1
        assert "nothing was written" in printed
        assert path.read_bytes() == content
    else:
        assert status == 0
        assert printed.startswith("wrote ")
        # The same tensors and history; only the order in which the format writes the latter varies.
        assert read_safetensors(path)[1] == read_safetensors(trained)[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "digits.pth"], "ending in .safetensors"),
        (["--out", "no/such/folder/d.safetensors"], "there is no folder"),
        (["--out", "d.safetensors", "--epochs", "0"], "--epochs is 0"),
        (["--out", "d.safetensors", "--seed", "-1"], "--seed is -1"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        run(*arguments)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_to_is_one_clear_sentence(trained: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        run("--out", str(tmp_path / "d.safetensors"), "--epochs", "8")


def test_the_defaults_of_the_command_are_those_of_the_recipe() -> None:
    assert Recipe() == Recipe(epochs=DEFAULT_EPOCHS, seed=DEFAULT_SEED)
