"""In which form Tailgate runs: as pure Python, or with a compiled data path. Known from how Python would load it."""

from __future__ import annotations

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec


def compiled() -> bool:
    """Whether the data path is compiled."""
    spec = find_spec("tailgate.http2.connection")
    return spec is not None and isinstance(spec.loader, ExtensionFileLoader)
