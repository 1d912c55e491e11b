"""What the proxy can be configured to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from tailgate.config import Address, AddressField, Config, DurationField, missing, several
from tailgate.errors import ConfigError
from tailgate.outcome import Mode
from tailgate.policy.hedging import BUDGET
from tailgate.protocol.names import MAX_NAME_LENGTH, REQUEST_ID
from tailgate_proxy.event_loop import LoopChoice
from tailgate_proxy.forwarding import LIKELY, may_be_forwarded
from tailgate_proxy.profiles import PROFILES, ProfileName
from tailgate_proxy.routing.check import mistakes_of
from tailgate_proxy.routing.config import UPSTREAM_NAME, RouteConfig

_METADATA: Final = re.compile(r"[a-z0-9_.-]+|[a-z0-9_.-]*\*")


AdmissionMode = Literal["adaptive", "fixed", "off"]


def _mode(value: object) -> object:
    if isinstance(value, str):
        try:
            return Mode(value)
        except ValueError:
            raise ValueError("expected 'enforce', 'observe' or 'default-answer'") from None
    return value


def _path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


def _names(value: object) -> object:
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(","))
    return tuple(value) if isinstance(value, list) else value


def _addresses(value: object) -> object:
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    try:
        return tuple(Address.parse(part.strip(), "it") for part in value.split(","))
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _different(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    twice = [address for address in addresses if addresses.count(address) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is there twice; leave one out")
    return addresses


def _some_upstream(addresses: tuple[Address, ...], info: ValidationInfo) -> tuple[Address, ...]:
    if not addresses and info.data.get("upstreams") == {}:
        raise missing()
    if addresses and DEFAULT_POOL in info.data.get("upstreams", {}):
        raise ValueError(f"given as [upstreams.{DEFAULT_POOL}], too; leave one of them out")
    return addresses


def _has_upstream(profile: ProfileName, info: ValidationInfo) -> ProfileName:
    if info.data.get("upstream") == ():
        raise ValueError("this belongs to --upstream, which is not given; write it in [upstreams.NAME]")
    return profile


def _fitting(routes: tuple[RouteConfig, ...], info: ValidationInfo) -> tuple[RouteConfig, ...]:
    if "upstreams" not in info.data or "upstream" not in info.data:
        return routes  # what is wrong there has to be mended first
    upstreams = {*info.data["upstreams"], *([DEFAULT_POOL] if info.data["upstream"] else [])}
    mistakes = mistakes_of(routes, upstreams)
    if mistakes:
        raise several(mistakes)
    return routes


def _may_hedge(after: float | None, info: ValidationInfo) -> float | None:
    profile = info.data.get("profile")
    if after is not None and profile is not None and not PROFILES[profile].cancels:
        raise ValueError(
            f"the slower of two calls is cancelled, which a server of profile {profile!r} must never see; leave it out"
        )
    return after


def _has_hedges(budget: float, info: ValidationInfo) -> float:
    if "hedge_after" in info.data and info.data["hedge_after"] is None:
        raise ValueError("this belongs to hedge_after, without which nothing is hedged; give that, too")
    return budget


def _learns(admission: AdmissionMode, info: ValidationInfo) -> AdmissionMode:
    hedged = [name for name, one in info.data.get("upstreams", {}).items() if one.hedge_after is not None]
    if admission == "off" and hedged:
        raise ValueError(
            f"hedge_after of [upstreams.{hedged[0]}] is a quantile of the times that admission learns; "
            "take 'adaptive' or 'fixed', or leave it out"
        )
    return admission


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _profile(value: object) -> object:
    if not isinstance(value, str) or value not in PROFILES:
        raise ValueError(f"expected one of {', '.join(map(repr, PROFILES))}")
    return value


def _metadata(value: object) -> object:
    names = _names(value) if value != "" else ()
    if not isinstance(names, tuple):
        return names
    names = tuple(name.lower() if isinstance(name, str) else name for name in names)
    for name in names:
        if not isinstance(name, str) or not _METADATA.fullmatch(name):
            raise ValueError(f"it has {name!r}; expected names such as 'x-team', or beginnings such as 'x-*'")
        if name != REQUEST_ID and not may_be_forwarded(name.encode()):
            raise ValueError(f"it has {name!r}, which is the proxy's own or belongs to one connection; leave it out")
    return names


def _discovery(value: object) -> object:
    if isinstance(value, str) and not value.endswith(".json"):
        raise ValueError("expected a file whose name ends in .json, since Prometheus reads no other")
    return _path(value)


DEFAULT_POOL: Final = "default"
"""The upstream of requests for which nothing else is configured."""

AddressesField = Annotated[tuple[AddressField, ...], BeforeValidator(_addresses), AfterValidator(_different)]
ProfileField = Annotated[ProfileName, BeforeValidator(_profile)]
PoolName = Annotated[str, Field(pattern=UPSTREAM_NAME)]
ModeField = Annotated[Mode, BeforeValidator(_mode)]
PathField = Annotated[Path | None, BeforeValidator(_path)]
ShareField = Annotated[float, Field(gt=0, lt=1)]
SliceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
ModelName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]


class ModelConfig(Config):
    """What is known of one model.

    Attributes:
        deadline: Seconds it has where the client sets no deadline; None: the proxy's default.
        output: The output that names the class; empty: the first one.
        mode: What happens at the deadline; None: as for other models.
        default_answer: File with the answer of mode default-answer; None: the proxy's.
        objective: Time-critical accuracy it is to have; None: the proxy's.
        floor: Time-critical accuracy under which a single minute is an incident; None: the proxy's.
        canary: Its versions that are on trial, beside those that are not.
    """

    deadline: DurationField | None = None
    output: str = ""
    mode: ModeField | None = None
    default_answer: PathField = None
    objective: ShareField | None = None
    floor: ShareField | None = None
    canary: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()


class UpstreamConfig(Config):
    """V2 gRPC servers that do the same.

    Attributes:
        addresses: Where they are.
        profile: What kind of server they are.
        version_suffix: What is written behind the versions they answer with, in metrics, traces and roles, to tell them
            from the same versions of another upstream.
        hedge_after: Quantile of the time that calls of the same model and size take there: a request whose call has
            taken longer is given to a second one of them as well; None: to one at a time. Where in doubt, 0.95.
        hedge_budget: Largest share of the requests to which that happens.
    """

    addresses: Annotated[AddressesField, Field(min_length=1)]
    profile: ProfileField = "generic"
    version_suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@+-]{0,16}$")] = ""
    hedge_after: Annotated[float | None, Field(ge=0.5, lt=1), AfterValidator(_may_hedge)] = None
    hedge_budget: Annotated[float, Field(gt=0, le=0.1), AfterValidator(_has_hedges)] = BUDGET


class ProxyConfig(Config):
    """One proxy.

    Attributes:
        upstreams: The V2 gRPC servers behind it, those that do the same under one name.
        upstream: Those of the upstream named `default`.
        upstream_profile: What kind of server these are.
        routes: Which requests go to which upstream; the first that fits counts, and all others go to `default`.
        listen: Where it serves gRPC.
        admin: Where it serves metrics, health and status over HTTP.
        rest: Where it serves V2 over HTTP; None: nowhere.
        rest_max_json_mib: Longest JSON of a request over HTTP, in MiB: nothing else is done while it is read.
        tokens: File with the tokens that let clients in, and what each is good for; None: everybody is let in.
        admin_open: Whether everybody who reaches the admin port may read there, wherever it is bound.
        forward_metadata: Metadata that the upstream gets: names, or beginnings of names with a `*` behind them.
        deadline: Seconds a request has where neither client nor model sets a deadline.
        mode: What happens at the deadline.
        default_answer: File with the answer of mode default-answer: a V2 answer in JSON.
        late_share: Share of the calls that run on at the upstream after their deadline (enforce), for their answers to
            be scored; the client never sees them.
        late_patience: How long after its deadline such a call may run.
        models: By name; these have their metrics from the start.
        objective: Time-critical accuracy that models are to have; None: none is set.
        floor: Time-critical accuracy under which a single minute is an incident; None: none is set.
        slices: Groups of requests that are counted apart, by the name that clients give in `tailgate-slice`.
        label_wait: Seconds that a request waits for its label, and a label for its request.
        label_settle: Seconds for which a label that was given afterwards may be corrected, before it is counted.
        window_wait: Seconds after its end for which a minute waits for labels, before it is final.
        confidences: Answers a second whose confidence is looked at, to say what is expected while labels are missing.
        max_predictions: Requests that wait for a label at once; beyond, the oldest are given up.
        max_labels: Labels that wait for their request at once; beyond, the oldest are given up.
        trace: Folder for the trace; None: no trace.
        admission: How it is decided who may go to an upstream, waits for its turn, or is refused.
        upstream_limit: Requests at an upstream at once: the limit (fixed), or what it never goes beyond (adaptive);
            None: as many as it does best with.
        false_refusals: Largest share of the refusals for lateness that may prove false.
        max_in_flight: Requests taken at once; more are refused.
        max_message_mib: Largest request or answer, in MiB.
        max_held_mib: Bytes of requests held at once over all clients, in MiB; requests beyond are refused.
        max_connections: Clients connected at once; more are turned away.
        max_connections_per_peer: The same from one address.
        handshake_timeout: Seconds a client has to acknowledge our settings, and to complete what it has begun to send.
        stall_timeout: Seconds that answers may wait for a client that reads nothing, or next to nothing.
        idle_timeout: Seconds that a connection may be without a call.
        drain_grace: Longest wait for requests in flight when told to stop.
        tls_cert: The certificate clients are served with, with its chain, in PEM; None: no TLS.
        tls_key: Its private key, in PEM.
        tls_client_ca: Authorities of which a client must show a certificate; None: clients show none.
        upstream_tls: Whether the upstream is called over TLS.
        upstream_ca: Authorities the upstream's certificate must be of; None: the system's.
        upstream_cert: The certificate shown to the upstream, with its chain; None: none.
        upstream_key: Its private key.
        upstream_server_name: The name the upstream's certificate must have; None: the host that is called.
        reuse_port: Whether other proxies that say so, too, may listen on the same port: for a rolling restart.
        workers: Processes that share the port. What is limited is limited in each of them.
        discovery: File that tells Prometheus where the metrics are; None: no such file.
        loop: The event loop.
    """

    upstreams: dict[PoolName, UpstreamConfig] = Field(default_factory=dict)
    upstream: Annotated[AddressesField, AfterValidator(_some_upstream), Field(validate_default=True)] = ()
    upstream_profile: Annotated[ProfileField, AfterValidator(_has_upstream)] = "generic"
    routes: Annotated[tuple[RouteConfig, ...], BeforeValidator(_listed), AfterValidator(_fitting)] = ()
    deadline: DurationField
    listen: AddressField = Address("127.0.0.1", 9001)
    admin: AddressField = Address("127.0.0.1", 9090)
    rest: AddressField | None = None
    rest_max_json_mib: Annotated[int, Field(ge=1, le=1024)] = 4
    tokens: PathField = None
    admin_open: bool = False
    forward_metadata: Annotated[tuple[str, ...], BeforeValidator(_metadata)] = LIKELY
    mode: ModeField = Mode.ENFORCE
    default_answer: PathField = None
    late_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    late_patience: DurationField = 1.0
    models: dict[ModelName, ModelConfig] = Field(default_factory=dict)
    objective: ShareField | None = None
    floor: ShareField | None = None
    slices: Annotated[tuple[SliceName, ...], BeforeValidator(_names), Field(max_length=32)] = ()
    label_wait: DurationField = 900.0
    label_settle: DurationField = 0.0
    window_wait: DurationField = 10.0
    confidences: Annotated[int, Field(ge=0)] = 100
    max_predictions: Annotated[int, Field(ge=1)] = 50_000
    max_labels: Annotated[int, Field(ge=1)] = 10_000
    trace: Annotated[Path | None, BeforeValidator(_path)] = None
    admission: Annotated[AdmissionMode, AfterValidator(_learns)] = "adaptive"
    upstream_limit: Annotated[int | None, Field(ge=1)] = None
    false_refusals: ShareField = 0.1
    max_in_flight: Annotated[int, Field(ge=1)] = 1024
    max_message_mib: Annotated[int, Field(ge=1, le=1024)] = 64
    max_held_mib: Annotated[int, Field(ge=1)] = 1024
    max_connections: Annotated[int, Field(ge=1)] = 10_000
    max_connections_per_peer: Annotated[int, Field(ge=1)] = 1000
    handshake_timeout: DurationField = 10.0
    stall_timeout: DurationField = 30.0
    idle_timeout: DurationField = 3600.0
    drain_grace: DurationField = 10.0
    tls_cert: PathField = None
    tls_key: PathField = None
    tls_client_ca: PathField = None
    upstream_tls: bool = False
    upstream_ca: PathField = None
    upstream_cert: PathField = None
    upstream_key: PathField = None
    upstream_server_name: Annotated[str | None, Field(min_length=1)] = None
    reuse_port: bool = False
    workers: Annotated[int, Field(ge=1)] = 1
    discovery: Annotated[Path | None, BeforeValidator(_discovery)] = None
    loop: LoopChoice = "auto"

    @property
    def pools(self) -> dict[str, UpstreamConfig]:
        """Every upstream by name, wherever it was configured."""
        if not self.upstream:
            return dict(self.upstreams)
        own = UpstreamConfig(addresses=self.upstream, profile=self.upstream_profile)
        return {DEFAULT_POOL: own, **self.upstreams}

    @property
    def default_pool(self) -> str:
        """The upstream of requests for which nothing else is configured: the one of that name, else the first."""
        pools = self.pools
        return DEFAULT_POOL if DEFAULT_POOL in pools else next(iter(pools))
