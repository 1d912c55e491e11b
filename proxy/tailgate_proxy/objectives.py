"""What each model is meant to achieve, by the configuration; also for models that nobody had named before they came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tailgate.objective import Objective
from tailgate_proxy.config import ModelConfig, ProxyConfig

MISSES: Final = 10.0
"""Where no floor is set, a minute that misses so many times as much as the objective allows is an incident."""


class Objectives(Mapping[str, Objective]):
    """By model. Those that have none are missing."""

    def __init__(self, config: ProxyConfig) -> None:
        """As this configuration says."""
        self._config = config

    def use(self, config: ProxyConfig) -> None:
        """From now on as this one says."""
        self._config = config

    def __getitem__(self, model: str) -> Objective:
        """Of one model.

        Raises:
            KeyError: None is set.
        """
        own = self._config.models.get(model) or ModelConfig()
        objective = self._config.objective if own.objective is None else own.objective
        if objective is None:
            raise KeyError(model)
        floor = self._config.floor if own.floor is None else own.floor
        if floor is None:
            floor = max(1.0 - MISSES * (1.0 - objective), objective / 2.0)
        return Objective(objective, floor, self.deadline_s(model))

    def deadline_s(self, model: str) -> float:
        """The deadline of a model where the client sets none, whether it has an objective or not."""
        own = self._config.models.get(model) or ModelConfig()
        return self._config.deadline if own.deadline is None else own.deadline

    def __iter__(self) -> Iterator[str]:
        """The models that the configuration names and that have one."""
        return (model for model in self._config.models if self.get(model) is not None)

    def __len__(self) -> int:
        """How many those are."""
        return sum(1 for _ in self)


def role_of(config: ProxyConfig, model: str, version: str) -> str:
    """Whether a version is on trial (`canary`) or not (`stable`)."""
    own = config.models.get(model)
    return "canary" if own is not None and version in own.canary else "stable"
