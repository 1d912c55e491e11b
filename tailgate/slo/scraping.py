"""Prometheus's own configuration, held to the interval of `slo.toml`: the rules count right only with that one."""

from __future__ import annotations

import re

_GLOBAL = re.compile(r"^global:[^\n]*\n(?:(?:[ ][^\n]*|#[^\n]*|)\n)*", re.MULTILINE)
_INTERVAL = re.compile(r"^([ ]+(?:scrape_interval|evaluation_interval):[ ]*)[^\s#]+", re.MULTILINE)


def with_interval(text: str, interval: str) -> str:
    r"""A `prometheus.yml` that scrapes and evaluates so often; jobs with an interval of their own keep it.

    >>> with_interval("global:\n  scrape_interval: 15s  # ours\n", "5s")
    'global:\n  scrape_interval: 5s  # ours\n'
    """
    return _GLOBAL.sub(lambda found: _INTERVAL.sub(rf"\g<1>{interval}", found[0]), text)
