"""What an audit compares: what each side wrote down. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tailgate.trace.format import Contents, Records

Labels = frozenset[tuple[str, str]]
Samples = Mapping[str, Mapping[Labels, float]]
"""Of one scrape, by the sample's name: each series' labels and its value."""


@dataclass(frozen=True)
class Evidence:
    """All there is.

    Attributes:
        client: The traces of the client; of several processes there are several. At least one.
        proxy: Those of the proxy: one for each process and each of its lives. At least one.
        scrapes: Of each of the proxy's processes the metrics that it exported last; empty where nobody kept them.
        executed: The ids of what the upstream began to compute, in its order; None where nobody wrote them down.
        unlogged: How many more it says that it could not write down.
    """

    client: tuple[Contents, ...]
    proxy: tuple[Contents, ...]
    scrapes: tuple[Samples, ...] = ()
    executed: tuple[str, ...] | None = None
    unlogged: int = 0


def rows_of(traces: tuple[Contents, ...]) -> Records:
    """The observations of several traces as one array."""
    return np.concatenate([trace.records for trace in traces])


def total(scrapes: tuple[Samples, ...], name: str, **labels: str) -> int:
    """The sum of a metric's samples over all scrapes: of those that have these labels, whatever else they have."""
    wanted = set(labels.items())
    return round(sum(v for one in scrapes for key, v in one.get(name, {}).items() if wanted <= key))
