"""The series that prometheus/rules record and these dashboards read, by what they are.

Windows of one minute are looked at over hours and days: minima and quantiles of them need series that are there
already. They are sums over all replicas, so the variables job and instance do not narrow them.
"""

from __future__ import annotations

from pathlib import Path

from tailgate.config import read_config
from tailgate.slo.config import SloConfig
from tailgate.slo.spans import promql

_SLO = Path(__file__).resolve().parents[2] / "prometheus" / "slo.toml"
EVERY_S = read_config(SloConfig, _SLO, {}).scrape_interval
"""So far apart windows are recorded."""
EVERY = promql(EVERY_S)

WINDOW_TCA = "model:tailgate_tca:ratio_rate1m"
WINDOW_TCA_OF_SLICE = "model_version_slice:tailgate_tca:ratio_rate1m"
WINDOW_LABELLED = "model:tailgate_labelled:rate1m"
WINDOW_LABELLED_OF_SLICE = "model_version_slice:tailgate_labelled:rate1m"
WINDOW_UPPER = "model:tailgate_tca_upper:ratio_rate1m"
BAD_WINDOW = "model:tailgate_bad_window:bool"
CANARY_Z = "model_slice:tailgate_canary_z:1h"

OF_MODELS = 'model=~"$model"'
OF_SLICES = f'{OF_MODELS},version=~"$version",slice=~"$slice"'


def recorded(name: str, matchers: str = OF_MODELS) -> str:
    """The series, of the models that are chosen."""
    return f"{name}{{{matchers}}}"
