"""`slo.toml`: what is promised for each model, and how Prometheus looks at it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from tailgate.config import Config, DurationField
from tailgate.slo.spans import LEAST_SCRAPES

_DAY_S = 86_400.0
_JOB = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)


def openslo_name(model: str) -> str:
    """A model's name as RFC 1123 wants names: lower case, digits and hyphens.

    >>> openslo_name("ResNet_50 v2")
    'resnet-50-v2'
    """
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:59].rstrip("-") or "model"


class ObjectiveConfig(Config):
    """What is promised for one model.

    Attributes:
        model: Its name.
        deadline: Seconds its clients wait.
        objective: Time-critical accuracy over the period.
        floor: Time-critical accuracy of one window; a window surely under it is an incident.
    """

    model: Annotated[str, Field(min_length=1)]
    deadline: DurationField
    objective: Annotated[float, Field(gt=0, lt=1)]
    floor: Annotated[float, Field(gt=0, lt=1)]

    @field_validator("floor")
    @classmethod
    def _under_the_objective(cls, floor: float, info: ValidationInfo) -> float:
        objective = info.data.get("objective", 1.0)
        if floor > objective:
            raise ValueError(f"expected at most the objective, {objective:g}: a single window scatters more than weeks")
        return floor


class SloConfig(Config):
    """The whole file.

    Attributes:
        objective: The models.
        scrape_interval: Seconds between Prometheus's scrapes of the proxies, and between looks at the windows.
        window: The shortest stretch that is judged. All longer ones are multiples of it.
        period_days: Over which the objective is promised.
        good_windows: Share of windows that shall hold their floor (for OpenSLO).
        labels_due: Seconds after which a label is stale, where there are labels.
        job: Prometheus's name for the proxies.
        runbooks: Where the runbooks are: a folder or the start of an address.
    """

    objective: Annotated[list[ObjectiveConfig], Field(min_length=1)]
    scrape_interval: DurationField = 5.0
    window: DurationField = Field(default="1m", validate_default=True)  # read as from a file
    period_days: Annotated[int, Field(ge=1, le=365)] = 28
    good_windows: Annotated[float, Field(gt=0, lt=1)] = 0.999
    labels_due: DurationField = 900.0
    job: str = "tailgate"
    runbooks: Annotated[str, Field(min_length=1)] = "docs/runbooks"

    @field_validator("objective")
    @classmethod
    def _each_model_once(cls, objectives: list[ObjectiveConfig]) -> list[ObjectiveConfig]:
        names = [one.model for one in objectives]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the model {name!r} stands there twice; keep one of them")
        by_file: dict[str, str] = {}
        for name in names:
            other = by_file.setdefault(openslo_name(name), name)
            if other != name:
                raise ValueError(f"{other!r} and {name!r} would both be written to openslo/{openslo_name(name)}.yml")
        return objectives

    @field_validator("scrape_interval", "window", "labels_due")
    @classmethod
    def _whole_milliseconds(cls, seconds: float) -> float:
        if abs(seconds * 1e3 - round(seconds * 1e3)) > 1e-6:
            raise ValueError("expected whole milliseconds, as Prometheus counts them")
        return seconds

    @field_validator("window")
    @classmethod
    def _several_scrapes(cls, window: float, info: ValidationInfo) -> float:
        scrape_interval = info.data.get("scrape_interval", 0.0)
        if window < LEAST_SCRAPES * scrape_interval:
            raise ValueError(f"expected at least {LEAST_SCRAPES} times the scrape_interval, {scrape_interval:g} s")
        if window > _DAY_S / 1440 * 5:
            raise ValueError("expected at most 5m, after which Prometheus forgets a recorded value")
        return window

    @field_validator("job")
    @classmethod
    def _plain(cls, job: str) -> str:
        if not _JOB.fullmatch(job):
            raise ValueError("expected letters, digits, _ and -")
        return job
