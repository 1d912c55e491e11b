"""Which workers there are, and what each is told. Nothing is started here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tailgate.config import Address
from tailgate.errors import ConfigError
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.feedback.visiting import Siblings
from tailgate_proxy.reload.changes import with_fixed

if TYPE_CHECKING:  # it knows of plans
    from tailgate_proxy.reload.source import Source

_LAST_PORT = 65535


@dataclass(frozen=True)
class WorkerPlan:
    """One worker.

    Attributes:
        number: Which, from 0.
        core: The core it is pinned to.
        config: What it does; its admin port is its own.
        siblings: Whom it asks about labels whose request it has not seen; None: nobody.
        source: Where its configuration comes from, to be read again; None: it is not.
    """

    number: int
    core: int
    config: ProxyConfig
    siblings: Siblings | None = None
    source: Source | None = None


def changed_plan(plan: WorkerPlan, source: Source) -> WorkerPlan:
    """The plan of the same worker where what its configuration comes from has been read again."""
    return replace(plan, config=with_fixed(source.config, plan.config), source=source)


def worker_plans(
    config: ProxyConfig, cores: Sequence[int], meeting: Path | None = None, source: Source | None = None
) -> list[WorkerPlan]:
    """A plan for each of `config.workers`, by number.

    Cores are dealt out in turn, and again from the first when there are more workers. Admin ports follow one another;
    with port 0 each worker takes any that is free.

    Args:
        config: What was asked for; its port for clients is a real one, since all share it.
        cores: Those this process may use, at least one.
        meeting: The folder where they have sockets for each other; None: nowhere.
        source: Where the configuration comes from, to be read again; None: it is not.

    Raises:
        ConfigError: There are not enough ports after the first admin port.
    """
    first = config.admin
    if first.port + config.workers - 1 > _LAST_PORT:
        raise ConfigError(
            f"--admin {first} leaves no room for {config.workers} workers, each of which has a port of its own, "
            f"one after the other; give {_LAST_PORT - config.workers + 1} or lower, or 0 for any that are free"
        )
    return [
        WorkerPlan(
            number,
            cores[number % len(cores)],
            config.model_copy(update={"admin": Address(first.host, first.port + number if first.port else 0)}),
            Siblings(meeting, number, config.workers) if meeting is not None else None,
            source,
        )
        for number in range(config.workers)
    ]
