"""The way of a request through the proxy, in one place: the steps, outermost first, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from uuid import uuid4

from tailgate.outcome import Mode
from tailgate_proxy.call import Call, Handler, Reply
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.exchange import Exchange, read_headers
from tailgate_proxy.steps import Inner, Step
from tailgate_proxy.steps.admit import Admit
from tailgate_proxy.steps.enforce import Enforce
from tailgate_proxy.steps.forward import Forward
from tailgate_proxy.steps.observe import Observe
from tailgate_proxy.steps.receive import Receive
from tailgate_proxy.upstream import Upstream


def build_handler(
    config: ProxyConfig,
    *,
    clock: Callable[[], float],
    observe: Observe,
    admit: Admit,
    upstream: Upstream,
) -> Handler:
    """The handler a front calls."""
    steps: list[Step] = [
        observe,  # outermost: whatever happens inside is booked
        admit,  # before any work is begun for a request that cannot be served
    ]
    receive, forward = Receive(config), Forward(config.mode, clock, upstream)
    if config.mode is Mode.ENFORCE:
        steps += [
            Enforce(clock),  # around all that may take time, a message that never ends among it
            receive,  # from here on the model is known
        ]
        if any(model.deadline is not None for model in config.models.values()):
            steps.append(Enforce(clock))  # once more: the model's own deadline may be earlier
    else:
        steps.append(receive)
    steps.append(forward)  # innermost: the only step that leaves the process
    return compose(steps, partial(read_headers, config=config, make_id=lambda: uuid4().hex))


def compose(steps: Sequence[Step], read: Callable[[Call], Exchange]) -> Handler:
    """Steps around one another as one handler of calls."""
    inner: Inner = _nothing_left
    for step in reversed(steps):
        inner = partial(_run, step, inner)
    outermost = inner

    async def handle(call: Call) -> Reply:
        return await outermost(read(call))

    return handle


async def _run(step: Step, inner: Inner, exchange: Exchange) -> Reply:
    return await step(exchange, inner)


async def _nothing_left(exchange: Exchange) -> Reply:
    raise AssertionError(f"request {exchange.request_id} went past the innermost step")
