"""The list of all test files."""

from __future__ import annotations

from tailgate.slo.config import SloConfig
from tailgate.slo.unit_tests import calm, causes, change, quality, sight
from tailgate.slo.unit_tests.bench import Bench
from tailgate.slo.unit_tests.recorded import recorded
from tailgate.slo.unit_tests.shapes import TestFile

_FILES = (
    recorded,
    quality.bad_window,
    quality.burn_fast,
    quality.burn_slow,
    change.canary,
    change.regression,
    sight.labels_stale,
    sight.no_traffic,
    sight.target_down,
    causes.upstream_down,
    causes.reload_failed,
    causes.shedding,
    causes.deadline,
    calm.healthy,
    calm.low_traffic,
)


def all_files(config: SloConfig) -> tuple[TestFile, ...]:
    """All of them, for this configuration."""
    bench = Bench(config)
    return tuple(build(bench) for build in _FILES)
