"""How routes are written: `[[routes]]` in the configuration file."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field

from tailgate.config import Config
from tailgate.policy.routing import Rule
from tailgate.protocol.names import MAX_NAME_LENGTH

UPSTREAM_NAME: Final = r"^[A-Za-z0-9_.-]{1,64}$"


def _targets(value: object) -> object:
    return {value: 1.0} if isinstance(value, str) else value


def _some(weights: dict[str, float]) -> dict[str, float]:
    if not weights:
        raise ValueError("it names no upstream; name one, or several with their weights")
    if sum(weights.values()) <= 0:
        raise ValueError("its weights add up to 0, so that no request could go anywhere; give one of them more")
    return weights


def _fields(value: object) -> object:
    if not isinstance(value, dict):
        return value
    fields = {name.lower() if isinstance(name, str) else name: content for name, content in value.items()}
    if len(fields) < len(value):
        raise ValueError("it names a header twice, which upper case does not change; leave one out")
    if "authorization" in fields:
        raise ValueError("authorization holds clients' secrets, which are no names for routes; use another header")
    return fields


Weight = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
HeaderName = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+$")]
HeaderValue = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]


class RouteConfig(Config):
    """Where some requests go. Of several routes that a request matches, the first counts.

    Attributes:
        model: The model that is asked for, or a pattern: `*` is any text, `?` any one character.
        version: The version that is asked for, "" for none; None: whatever is.
        headers: Metadata that the request must have, with exactly these values.
        to: The upstream they go to, by name; or a table of several, each with its weight among them.
        shadow: The upstream that gets copies of them, whose answers are scored and given to nobody; None: none does.
        shadow_share: Of how many of them.
    """

    model: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)] = "*"
    version: Annotated[str | None, Field(max_length=MAX_NAME_LENGTH)] = None
    headers: Annotated[dict[HeaderName, HeaderValue], BeforeValidator(_fields)] = Field(default_factory=dict)
    to: Annotated[
        dict[Annotated[str, Field(pattern=UPSTREAM_NAME)], Weight], BeforeValidator(_targets), AfterValidator(_some)
    ]
    shadow: Annotated[str | None, Field(pattern=UPSTREAM_NAME)] = None
    shadow_share: Annotated[float, Field(gt=0, le=1)] = 1.0

    @property
    def rule(self) -> Rule:
        """As it is decided by."""
        headers = tuple(sorted((name.encode(), value.encode()) for name, value in self.headers.items()))
        shadow, share = ("", 0.0) if self.shadow is None else (self.shadow, self.shadow_share)
        return Rule(self.model, self.version, headers, tuple(self.to.items()), shadow, share)

    def __str__(self) -> str:
        """Which requests it is for, in words."""
        words = [f"model {self.model}"]
        if self.version is not None:
            words.append(f"version {self.version}" if self.version else "no version")
        return ", ".join([*words, *(f"{name} = {value}" for name, value in self.headers.items())])
