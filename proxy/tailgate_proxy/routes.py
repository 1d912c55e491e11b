"""What is done for which requests: today by model. Made once from the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tailgate.errors import ConfigError
from tailgate.outcome import Mode
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.default_answer import DefaultAnswer, read_default_answer
from tailgate_proxy.known_models import OTHER


@dataclass(frozen=True, slots=True)
class Route:
    """What is done for a request.

    Attributes:
        mode: What happens at its deadline.
        deadline_s: Seconds it has where the client sets no deadline.
        output: The output that names the class; empty: the first one.
        default: The answer at the deadline, in mode default-answer.
    """

    mode: Mode
    deadline_s: float
    output: str = ""
    default: DefaultAnswer | None = None


class Routes:
    """The routes of a proxy.

    Attributes:
        default: For models that the configuration does not name.
        longest_deadline_s: The longest deadline of any; it holds while a request's model is not known.
        slices: Every slice there can be.
    """

    def __init__(self, default: Route, models: Mapping[str, Route], slices: Sequence[str] = ()) -> None:
        """Route by model; tell these slices apart."""
        self.default = default
        self._models = dict(models)
        self._slices = {name.encode(): name for name in slices}
        self.slices = ("", *slices, OTHER) if slices else ("",)
        self.longest_deadline_s = max(route.deadline_s for route in (default, *models.values()))

    def of(self, model: str) -> Route:
        """The route of requests for a model."""
        return self._models.get(model, self.default)

    def slice_of(self, value: bytes) -> str:
        """The slice that a client names: one of those configured, `other`, or empty where it names none."""
        if not value or not self._slices:
            return ""
        return self._slices.get(value, OTHER)


def build_routes(config: ProxyConfig) -> Routes:
    """The routes that a configuration asks for.

    Raises:
        ConfigError: A default answer is missing, or cannot be read.
    """
    default = Route(config.mode, config.deadline, "", _default(config, ""))
    models = {
        name: replace(
            default,
            mode=model.mode or config.mode,
            deadline_s=config.deadline if model.deadline is None else model.deadline,
            output=model.output,
            default=_default(config, name),
        )
        for name, model in config.models.items()
    }
    return Routes(default, models, config.slices)


def _default(config: ProxyConfig, name: str) -> DefaultAnswer | None:
    model = config.models.get(name)
    path = config.default_answer if model is None or model.default_answer is None else model.default_answer
    mode = config.mode if model is None or model.mode is None else model.mode
    if path is None and mode is Mode.DEFAULT_ANSWER:
        where = f"models.{name}.default_answer" if name else "default_answer"
        raise ConfigError(f"{where} is missing; mode 'default-answer' needs the file with the answer")
    return None if path is None else read_default_answer(path)
