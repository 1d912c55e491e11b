"""Fills a network with weights: torchvision's own, a local file's, or random ones."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from tailgate import digits
from tailgate.errors import WeightsError
from tailgate_server.architectures import DIGITS, Architecture, classifier_layer, default_weights
from tailgate_server.options import DEFAULT_WEIGHTS
from tailgate_server.state_files import State, read_state

_RANDOM = "random:"
_DOWNLOAD_TIMEOUT_S = 15.0
"""Longest silence while downloading; a network that drops packets must not hang the start."""

_SHOWN = 3
"""How many differing tensors an error names."""


@dataclass(frozen=True)
class Network:
    """A network with its weights in, in evaluation mode.

    Attributes:
        module: From normalised images `[N, 3, H, W]` to logits `[N, classes]`.
        classes: How many logits.
        labels: The classes' names; empty where unknown.
    """

    module: nn.Module
    classes: int
    labels: tuple[str, ...]


def load_network(architecture: Architecture, source: str) -> Network:
    """The network of this architecture with weights from `source`.

    Args:
        architecture: What to build.
        source: DEFAULT, `random:SEED`, or the path of a local file.

    Raises:
        WeightsError: There are no such weights, or they belong to another network.
    """
    labels: tuple[str, ...] = ()
    if source.startswith(_RANDOM):
        module, classes = _random(architecture, source), architecture.classes
    elif source == DEFAULT_WEIGHTS:
        state, labels = _default(architecture)
        module, classes = _fill(architecture, state, f"torchvision's weights for {architecture.name}")
    else:
        module, classes = _fill(architecture, read_state(Path(source)), repr(source))
    if architecture.name == DIGITS and classes == digits.CLASSES:
        labels = tuple(str(label) for label in range(classes))
    return Network(module.eval(), classes, labels)


def _random(architecture: Architecture, source: str) -> nn.Module:
    seed = source.removeprefix(_RANDOM)
    if not (seed.isascii() and seed.isdigit() and len(seed) <= 18):
        raise WeightsError(f"--weights is {source!r}; expected random: and a whole number, such as random:0")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed))
        return architecture.build(architecture.classes, False)  # noqa: FBT003 - named in Architecture.build


def _default(architecture: Architecture) -> tuple[State, tuple[str, ...]]:
    if architecture.name == DIGITS:
        raise WeightsError(
            "--weights is DEFAULT, but the built-in digits network has none; "
            "make some with 'tailgate train-digits --out FILE.safetensors' and give --weights FILE.safetensors"
        )
    weights = default_weights(architecture.name)
    try:
        with _socket_timeout(_DOWNLOAD_TIMEOUT_S):
            state = weights.get_state_dict(progress=False, check_hash=True, map_location="cpu")
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"cannot download torchvision's weights for {architecture.name} ({error}); "
            "fetch them elsewhere and give the local file, as --weights FILE.pth"
        ) from error
    return state, tuple(weights.meta["categories"])


def _fill(architecture: Architecture, state: State, origin: str) -> tuple[nn.Module, int]:
    """A network that fits the state dict in its number of classes, with the state dict in it."""
    auxiliary = any(name.lower().startswith("aux") for name in state)
    classes = architecture.classes
    module = architecture.build(classes, auxiliary)
    weight = f"{classifier_layer(module)}.weight"
    found = state.get(weight)
    if found is not None and found.ndim == module.state_dict()[weight].ndim and found.shape[0] != classes:
        classes = found.shape[0]
        module = architecture.build(classes, auxiliary)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(
            f"--weights: {origin} does not fit the architecture {architecture.name}: "
            f"{_differences(module.state_dict(), state) or error}; "
            "give the architecture it was made with, as --model NAME=ARCH"
        ) from error
    return module, classes


def _differences(expected: State, given: State) -> str:
    """The first few tensors in which two state dicts differ, and how many more there are."""
    different = [
        f"{name} is {list(given[name].shape)}, expected {list(tensor.shape)}" if name in given else f"{name} is missing"
        for name, tensor in expected.items()
        if name not in given or given[name].shape != tensor.shape
    ]
    different += [f"{name} is unknown" for name in given if name not in expected]
    more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
    return "; ".join(different[:_SHOWN]) + more


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
