"""PromQL of what is expected while labels are missing, and of how far off that was: from counters that add up.

Beside `queries.py`, whose pieces it is built from. Of any range and any number of replicas it makes what the proxy
makes of its own (`tailgate/expected_sums.py`).
"""

from __future__ import annotations

from tailgate_dashboards import queries as q

OF_VERSIONS = f'{q.MODELS},version=~"$version"'
"""What is known by version knows no slices."""

_Z95 = 1.96


def expected(by: tuple[str, ...], window: str) -> str:
    """Time-critical accuracy as expected from the model's own confidence, where no label in time is known."""
    return _without_labels(f"({q.in_time_share(by, window)}) * ({_share(by, window)})", by, window)


def expected_end(side: str, by: tuple[str, ...], window: str) -> str:
    """An end of its 95 % interval: side ``-`` is the lower one, ``+`` the upper.

    The variance is that of as many independent answers as were looked at, and the squared mean of their spreads: these
    come from the same labels, so they err together.
    """
    share, looked_at = _share(by, window), q.total(by, _increase("tailgate_expected_looked_at_total", window))
    spread = q.ratio(_sum("spread", by, window), _sum("answers", by, window))
    error = f"{_Z95} * sqrt({share} * (1 - {share}) / ({looked_at} > 0) + ({spread}) ^ 2)"
    end = f"clamp({share} {side} {error}, 0, 1)"
    return _without_labels(f"({q.in_time_share(by, window)}) * {end}", by, window)


def reconciled(window: str) -> str:
    """Answers, by version, of which something had been expected before their label came."""
    return _reconciled("answers", q.VERSION, window)


def came_true(window: str) -> str:
    """Of these, the share that was right."""
    return q.ratio(_reconciled("right", q.VERSION, window), reconciled(window))


def had_been_expected(window: str) -> str:
    """Of these, the share that had been expected to be right."""
    return q.ratio(_reconciled("expected_right", q.VERSION, window), reconciled(window))


def past_error(window: str) -> str:
    """The second of these less the first: above zero, too much was expected."""
    off = f"({_reconciled('expected_right', q.VERSION, window)} - {_reconciled('right', q.VERSION, window)})"
    return q.ratio(off, reconciled(window))


def error_quantile(level: float, window: str) -> str:
    """The size below which that error stayed in such a share of minutes, whichever its sign."""
    return q.quantile(level, "tailgate_expected_error_ratio", q.VERSION, window, OF_VERSIONS)


def _share(by: tuple[str, ...], window: str) -> str:
    return q.ratio(_sum("right", by, window), _sum("answers", by, window))


def _sum(what: str, by: tuple[str, ...], window: str) -> str:
    return q.total(by, q.per_second(f"tailgate_expected_{what}_total", window))


def _increase(metric: str, window: str) -> str:
    return f"increase({metric}{{{q.SERIES}}}[{window}])"


def _reconciled(what: str, by: tuple[str, ...], window: str) -> str:
    return q.total(by, q.per_second(f"tailgate_reconciled_{what}_total", window, where=OF_VERSIONS))


def _without_labels(expr: str, by: tuple[str, ...], window: str) -> str:
    return f"({expr}) unless ({q.tca(by, window)})"
