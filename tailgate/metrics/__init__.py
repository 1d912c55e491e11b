"""Every metric Tailgate exports: its name, what it means, its labels, a module for each family. Nothing is named
anywhere else.

Must not live here: where their values come from (`snapshot.py`).
"""

from __future__ import annotations

from typing import Final

from tailgate.metrics import (
    admission,
    configuration,
    labels,
    process,
    quality,
    requests,
    security,
    shadows,
    upstreams,
)

FAMILIES: Final = (
    requests,
    labels,
    quality,
    upstreams,
    admission,
    process,
    security,
    configuration,
    shadows,
)

DEFINITIONS: Final = tuple(definition for family in FAMILIES for definition in family.DEFINITIONS)
"""All of them, in the order in which they are exported."""
