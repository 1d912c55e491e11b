"""The seeds of a run. Pure.

Four things are random, and each has a seed of its own, so that one can be changed without the others: which samples
make up the subset, in which order they come, when they are due, and of which requests the answers are kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SEED_NAMES = ("order", "arrivals", "subset", "sampling")
"""In the order in which they are derived, which never changes: a new one comes last."""


def derive_seeds(seed: int, given: Mapping[str, int] | None = None) -> dict[str, int]:
    """Independent seeds out of one, by name, but for those that are given."""
    children = np.random.SeedSequence(seed).spawn(len(SEED_NAMES))
    derived = {
        name: int.from_bytes(child.generate_state(2, np.uint64).astype("<u8").tobytes(), "little")
        for name, child in zip(SEED_NAMES, children, strict=True)
    }
    return derived | dict(given or {})


def generator(seed: int) -> np.random.Generator:
    """The generator that this seed starts."""
    return np.random.Generator(np.random.PCG64(seed))
