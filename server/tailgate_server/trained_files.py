"""Writes trained weights with their history, and tells whether a file is what a recipe would make again."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save

from tailgate import digits
from tailgate.errors import ConfigError, WeightsError
from tailgate_server.checksums import CONTENT_SHA256, content_sha256
from tailgate_server.state_files import State, read_safetensors
from tailgate_server.training import Recipe

_RECIPE_SHA256 = "recipe_sha256"
_ACCURACY = "validation_accuracy"


def write_trained(path: Path, state: State, recipe: Recipe, training_sha256: str, accuracy: float) -> None:
    """Write a safetensors file that says how it was made; whole, or not at all.

    Raises:
        ConfigError: The folder cannot be written to.
    """
    metadata = {
        "architecture": "digits",
        "classes": str(digits.CLASSES),
        "recipe": json.dumps(asdict(recipe), sort_keys=True),
        "training_sha256": training_sha256,
        _RECIPE_SHA256: recipe.digest(training_sha256),
        _ACCURACY: repr(accuracy),
        CONTENT_SHA256: content_sha256(state),
    }
    content = save(state, metadata)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ConfigError(f"--out is {str(path)!r}, which cannot be written: {error}; choose another place") from error


def recorded_accuracy(path: Path, recipe: Recipe, training_sha256: str) -> float | None:
    """The validation accuracy a whole file of this recipe and data records; None for any other file, or none."""
    try:
        _, metadata = read_safetensors(path)
    except WeightsError:
        return None
    # Reading has checked the content against its checksum, if there is one.
    if CONTENT_SHA256 not in metadata or metadata.get(_RECIPE_SHA256) != recipe.digest(training_sha256):
        return None
    try:
        return float(metadata.get(_ACCURACY, ""))
    except ValueError:
        return None
