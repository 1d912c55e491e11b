"""Which names of models and versions become metric labels: a closed set, whatever clients send.

A name is known if the configuration holds it, the upstream lists it, or the upstream has answered for it; any other
is `OTHER`. So a client that makes up a hundred thousand names makes no new series.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tailgate.protocol.names import MAX_NAME_LENGTH

OTHER: Final = "other"
MAX_KNOWN: Final = 100
"""Names and versions beyond this many are `OTHER` too."""


class KnownModels:
    """The closed set, as it grows."""

    def __init__(self, configured: Iterable[str]) -> None:
        """Start with the configured names, in versions yet unknown."""
        self._versions: dict[str, set[str]] = {name: set() for name in configured}
        self._at: dict[tuple[str, str], set[str]] = {}  # the same, by upstream and model

    def configure(self, names: Iterable[str]) -> None:
        """The configuration names these, too."""
        for name in names:
            self._versions.setdefault(name, set())

    def learn(self, model: str, version: str, upstream: str = "") -> bool:
        """This upstream has this model; returns whether there was room for it."""
        at = self._at.get((upstream, model))
        if at is not None and version in at:
            return True
        versions = self._versions.get(model)
        fits = 0 < len(model) <= MAX_NAME_LENGTH and len(version) <= MAX_NAME_LENGTH
        if not fits or (versions is None and len(self._versions) >= MAX_KNOWN):
            return False
        versions = self._versions.setdefault(model, set())
        if version not in versions and len(versions) >= MAX_KNOWN:
            return False
        versions.add(version)
        self._at.setdefault((upstream, model), set()).add(version)
        return True

    def labels(self, model: str, version: str, upstream: str = "") -> tuple[str, str]:
        """The labels of a request for this model and version, that went or was to go to this upstream."""
        versions = self._versions.get(model)
        if versions is None:
            return OTHER, OTHER
        if version:
            return model, version if version in versions else OTHER
        # A request that names no version, and was not answered, belongs to the only one there is, there or at all.
        at = self._at.get((upstream, model))
        if at is not None and len(at) == 1:
            versions = at
        return model, next(iter(versions)) if len(versions) == 1 else ""
