"""The guard: asks whether a request is let in, and counts those that are not. One for all ports of a process."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import product

from tailgate.access.decision import Reason, Refusal, decide, presented
from tailgate.access.tokens import Scope
from tailgate.gauges import AccessCounts
from tailgate.outcome import Ending
from tailgate_proxy.access.exposure import check_exposure
from tailgate_proxy.access.needs import ADMIN, INFER, OPEN, Needed, of_call
from tailgate_proxy.access.token_file import TokenFile
from tailgate_proxy.call import Reply
from tailgate_proxy.config import ProxyConfig
from tailgate_proxy.exchange import Exchange

_log = logging.getLogger(__name__)


class Guard:
    """Who is let in.

    Attributes:
        file: Where the tokens come from.
        refusals: Requests that were refused, by the scope they needed first and the reason.
    """

    def __init__(self, file: TokenFile) -> None:
        """Let in whoever has a token of this file."""
        self.file = file
        self.refusals: Counter[tuple[Scope, Reason]] = Counter(dict.fromkeys(product(Scope, Reason), 0))

    def check(self, authorization: bytes, needed: Needed, *, basic: bool = False, call: bytes = b"") -> Refusal | None:
        """Why a request is not let in, or None. To be asked when its headers are known, before any of its body is read.

        Args:
            authorization: Its field of that name; of several, all with commas between them.
            needed: What it needs.
            basic: Whether the password of Basic authentication counts as a token: a person in a browser.
            call: What is called, where it is to stand in the log if only an administrator may.
        """
        if needed == OPEN:
            return None
        verdict = decide(self.file.tokens, presented(authorization, basic=basic), needed)
        if isinstance(verdict, Refusal):
            self.refusals[needed[0], verdict.reason] += 1
            return verdict
        if call and needed == ADMIN:
            _log.info("%s is called with the token of %s", call.decode("latin-1"), verdict.name)
        return None

    def check_call(self, path: bytes, authorization: bytes) -> Refusal | None:
        """The same for a gRPC call that is not observed."""
        return self.check(authorization, of_call(path), call=path)

    def refuse_stranger(self, exchange: Exchange, _now_s: float) -> Reply | None:
        """A gate: nobody infers without a token that is good for it."""
        refusal = self.check(exchange.authorization, INFER)
        if refusal is None:
            return None
        return Reply(Ending.UNAUTHORIZED, refusal.error.status, str(refusal.error))

    def counts(self) -> AccessCounts:
        """For a scrape."""
        refusals = {(scope.value, reason.value): count for (scope, reason), count in self.refusals.items()}
        return AccessCounts(refusals, self.file.reloads, self.file.failures)


def build_guard(config: ProxyConfig) -> Guard | None:
    """The guard that a configuration asks for; None: everybody is let in.

    Raises:
        ConfigError: The file of tokens cannot be used, or what is to be bound must not be without one.
    """
    check_exposure(config)
    return None if config.tokens is None else Guard(TokenFile(config.tokens))
