"""Reads a state dict from a local file, executing nothing that the file holds."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from tailgate.errors import WeightsError
from tailgate_server.checksums import CONTENT_SHA256, content_sha256

State = dict[str, torch.Tensor]

# Where training scripts put the state dict inside a checkpoint.
_NESTED = ("state_dict", "model_state_dict", "model")
# What `DataParallel` and `DistributedDataParallel` put before every name.
_PARALLEL_PREFIX = "module."


def read_state(path: Path) -> State:
    """The tensors of a `.safetensors`, `.pth` or `.pt` file, on the CPU, by name.

    Raises:
        WeightsError: It is missing, of another kind, damaged, or holds something else than tensors.
    """
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise WeightsError(
            f"--weights names {str(path)!r}; expected DEFAULT, random:SEED or a file ending in .safetensors, .pth, .pt"
        )
    if not path.is_file():
        raise WeightsError(f"--weights names the file {str(path)!r}, which does not exist")
    return _safetensors(path)[0] if path.suffix == ".safetensors" else _pickled(path)


def read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        WeightsError: It cannot be read, or its tensors are not those whose checksum it records.
    """
    return _safetensors(path)


def _safetensors(path: Path) -> tuple[State, dict[str, str]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"--weights: {str(path)!r} is no readable safetensors file: {error}") from error
    recorded = metadata.get(CONTENT_SHA256)
    if recorded is not None and recorded != content_sha256(state):
        raise WeightsError(
            f"--weights: the tensors in {str(path)!r} do not have the checksum the file records for them"
        )
    return state, metadata


def _pickled(path: Path) -> State:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise WeightsError(
            f"--weights: {str(path)!r} is no file of plain tensors: {reason}; "
            "save it with torch.save(model.state_dict())"
        ) from error
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(map(_is_entry, content.items())):
        raise WeightsError(f"--weights: {str(path)!r} holds no state dict; save it with torch.save(model.state_dict())")
    return {name.removeprefix(_PARALLEL_PREFIX): tensor for name, tensor in content.items()}


def _is_entry(entry: tuple[Any, Any]) -> bool:
    return isinstance(entry[0], str) and isinstance(entry[1], torch.Tensor)
