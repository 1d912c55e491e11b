"""The generated files as text: which there are, and what stands in each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath

from jinja2 import Environment, PackageLoader, StrictUndefined

from tailgate.slo.alerts import alerts
from tailgate.slo.config import ObjectiveConfig, SloConfig, openslo_name
from tailgate.slo.recording import recording
from tailgate.slo.spans import promql
from tailgate.slo.unit_tests.all import all_files

FOLDERS = ("rules", "tests", "openslo")
"""Where generated files lie; whatever else is there is left over from an earlier slo.toml."""


def generate(config: SloConfig) -> dict[PurePosixPath, str]:
    """Every file, by its path below the output folder."""
    environment = _environment(config)
    rules = environment.get_template("rules.yml.j2")
    tests = environment.get_template("tests.yml.j2")
    scrape, window = promql(config.scrape_interval), promql(config.window)
    files = {
        PurePosixPath("rules/tailgate-recording.yml"): rules.render(
            title="Time-critical accuracy, recorded.", groups=recording(config), runbooks=config.runbooks
        ),
        PurePosixPath("rules/tailgate-alerts.yml"): rules.render(
            title="Alerts on time-critical accuracy.", groups=alerts(config), runbooks=config.runbooks
        ),
    }
    for file in all_files(config):
        files[PurePosixPath(f"tests/{file.name}.yml")] = tests.render(
            file=file, step=scrape, evaluation=window if file.every_window else scrape, runbooks=config.runbooks
        )
    for one in config.objective:
        files[PurePosixPath(f"openslo/{openslo_name(one.model)}.yml")] = _openslo(environment, config, one)
    return files


def _openslo(environment: Environment, config: SloConfig, one: ObjectiveConfig) -> str:
    window = promql(config.window)
    return environment.get_template("openslo.yml.j2").render(
        config=config,
        one=one,
        name=openslo_name(one.model),
        window=_openslo_window(config.window),
        query=f'model:tailgate_tca_upper:ratio_rate{window}{{model="{_escaped(one.model)}"}}',
        description=(
            f"Share of requests answered right and within {promql(one.deadline)}, window by window. A window counts as "
            "bad where it was surely under the floor, by the upper bound of its confidence interval."
        ),
    )


def _openslo_window(seconds: float) -> str:
    """OpenSLO knows no unit below the minute; a number without unit is minutes."""
    minutes = seconds / 60
    return f"{minutes:g}m" if minutes.is_integer() else f"{minutes:g}"


def _environment(config: SloConfig) -> Environment:
    environment = Environment(
        loader=PackageLoader("tailgate.slo"),
        autoescape=False,  # noqa: S701 - YAML, not HTML; what varies is quoted
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        variable_start_string="<<",  # braces are Prometheus's own
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters |= {
        "quoted": lambda text: json.dumps(text, ensure_ascii=False),  # JSON's strings are YAML's
        "at": lambda windows: promql(windows * config.window),
        "selector": _selector,
        "four_digits": lambda number: f"{round(number * 10_000) / 10_000:.10g}",
    }
    return environment


def _selector(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
