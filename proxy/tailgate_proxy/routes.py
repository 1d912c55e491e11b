"""What is done for which requests, by model, and which upstream they go to. Made once from the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tailgate.errors import ConfigError, ConfigMistakes
from tailgate.outcome import Mode
from tailgate.policy.routing import RoutingTable, Rule
from tailgate.protocol.envelope import Envelope
from tailgate_proxy.config import DEFAULT_POOL, ProxyConfig
from tailgate_proxy.default_answer import DefaultAnswer, read_default_answer
from tailgate_proxy.forwarding import LIKELY, Forwarding
from tailgate_proxy.known_models import OTHER


@dataclass(frozen=True, slots=True)
class Route:
    """What is done for a request.

    Attributes:
        mode: What happens at its deadline.
        deadline_s: Seconds it has where the client sets no deadline.
        output: The output that names the class; empty: the first one.
        default: The answer at the deadline, in mode default-answer.
        pool: The upstream it is for, by name.
        version_suffix: What is written behind the versions that this one answers with.
        shadow: The upstream that copies of some go to; empty: none.
        shadow_share: Of how many.
        shadow_suffix: What is written behind the versions that that one answers with.
    """

    mode: Mode
    deadline_s: float
    output: str = ""
    default: DefaultAnswer | None = None
    pool: str = DEFAULT_POOL
    version_suffix: str = ""
    shadow: str = ""
    shadow_share: float = 0.0
    shadow_suffix: str = ""


class Routes:
    """The routes of a proxy.

    Attributes:
        default: For models that the configuration does not name.
        longest_deadline_s: The longest deadline of any; it holds while a request's model is not known.
        slices: Every slice there can be.
        forwarding: Which of a client's fields the upstream is to have.
    """

    def __init__(
        self,
        default: Route,
        models: Mapping[str, Route],
        slices: Sequence[str] = (),
        forward_metadata: Sequence[str] = LIKELY,
        *,
        rules: Sequence[Rule] = (),
        suffixes: Mapping[str, str] | None = None,
    ) -> None:
        """Do by model what is to be done; tell these slices apart.

        Args:
            default: For models that are not named.
            models: For those that are.
            slices: Every slice there can be.
            forward_metadata: Which of a client's fields the upstream is to have.
            rules: Say which upstream a request goes to; where none does, it is that of `default`.
            suffixes: What is written behind the versions of each upstream.
        """
        self.default = default
        self._table = RoutingTable(rules, default.pool) if rules else None
        self._elsewhere: dict[tuple[str, str, float], tuple[Route, dict[str, Route]]] = {}
        for rule in rules:
            for pool, _ in rule.weights:
                self._lead_to(pool, rule.shadow, rule.shadow_share, models, suffixes or {})
        self.forwarding = Forwarding(forward_metadata)
        self._models = dict(models)
        self._slices = {name.encode(): name for name in slices}
        self.slices = ("", *slices, OTHER) if slices else ("",)
        self.longest_deadline_s = max(route.deadline_s for route in (default, *models.values()))

    def of(self, model: str) -> Route:
        """The route of requests for a model, where no rule says more."""
        return self._models.get(model, self.default)

    def to(self, envelope: Envelope, request_id: str, fields: Mapping[bytes, bytes]) -> Route:
        """The route of a request: what is done for its model, at the upstream that it goes to.

        Args:
            envelope: What it says of itself.
            request_id: By which it is dealt out where several upstreams share the requests.
            fields: Its header fields; of several with one name the last.
        """
        rule = None if self._table is None else self._table.rule(envelope.model, envelope.version, fields)
        if rule is None:
            return self.of(envelope.model)
        default, models = self._elsewhere[rule.target(request_id), rule.shadow, rule.shadow_share]
        return models.get(envelope.model, default)

    def _lead_to(
        self, pool: str, shadow: str, share: float, models: Mapping[str, Route], suffixes: Mapping[str, str]
    ) -> None:
        """What is done for requests that a rule leads there."""

        def there(route: Route) -> Route:
            return replace(
                route,
                pool=pool,
                version_suffix=suffixes.get(pool, ""),
                shadow=shadow,
                shadow_share=share,
                shadow_suffix=suffixes.get(shadow, ""),
            )

        self._elsewhere[pool, shadow, share] = (
            there(self.default),
            {name: there(route) for name, route in models.items()},
        )

    def pool_of(self, envelope: Envelope) -> str:
        """The upstream to be asked about a model: that of requests without headers, and of several the one that has
        the largest weight.
        """
        rule = None if self._table is None else self._table.rule(envelope.model, envelope.version, {})
        return self.default.pool if rule is None else max(rule.weights, key=lambda one: one[1])[0]

    def slice_of(self, value: bytes) -> str:
        """The slice that a client names: one of those configured, `other`, or empty where it names none."""
        if not value or not self._slices:
            return ""
        return self._slices.get(value, OTHER)


def build_routes(config: ProxyConfig) -> Routes:
    """The routes that a configuration asks for.

    Raises:
        ConfigMistakes: Default answers are missing, or cannot be read.
    """
    answers, mistakes = {}, []
    for name in ("", *config.models):
        try:
            answers[name] = _default(config, name)
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigMistakes(list(dict.fromkeys(mistakes)))
    suffixes = {name: upstream.version_suffix for name, upstream in config.pools.items()}
    pool = config.default_pool
    default = Route(config.mode, config.deadline, "", answers[""], pool, suffixes[pool])
    rules = [route.rule for route in config.routes]
    models = {
        name: replace(
            default,
            mode=model.mode or config.mode,
            deadline_s=config.deadline if model.deadline is None else model.deadline,
            output=model.output,
            default=answers[name],
        )
        for name, model in config.models.items()
    }
    return Routes(default, models, config.slices, config.forward_metadata, rules=rules, suffixes=suffixes)


def _default(config: ProxyConfig, name: str) -> DefaultAnswer | None:
    model = config.models.get(name)
    path = config.default_answer if model is None or model.default_answer is None else model.default_answer
    mode = config.mode if model is None or model.mode is None else model.mode
    if path is None and mode is Mode.DEFAULT_ANSWER:
        where = f"models.{name}.default_answer" if name else "default_answer"
        raise ConfigError(f"{where} is missing; mode 'default-answer' needs the file with the answer")
    return None if path is None else read_default_answer(path)
