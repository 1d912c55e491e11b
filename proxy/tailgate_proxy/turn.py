"""One call's turn at its upstream: from when it asks for one until it gives its place to others.

Who may go is decided by `steps.enter`, for all calls of an upstream; here is what one of them knows of it. It has no
ticket where nothing is limited, nor before it has asked, nor once it has given it back.
"""

from __future__ import annotations

import math
from typing import Final

from tailgate.policy.admission import Ended, State, Ticket
from tailgate.policy.attempts import Result
from tailgate.policy.hedging import Prospect
from tailgate_proxy.call import Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.steps.enter import Entrances, Guest, learned_later, what_is_learned
from tailgate_proxy.steps.observe import ends_late

_SENT: Final = State.SENT
_WAITING: Final = State.WAITING


class Turn:
    """One call's.

    Attributes:
        asked: Whether it has asked for one.
        overloaded: Whether the upstream had no room for it.
        goes_on: Whether the upstream goes on with it, though nobody waits any more: it keeps its place until that has
            done.
    """

    __slots__ = ("_entrances", "_ticket", "asked", "goes_on", "overloaded")

    def __init__(self, entrances: Entrances) -> None:
        """It has not asked."""
        self._entrances = entrances
        self._ticket: Ticket[Guest] | None = None
        self.asked = self.overloaded = self.goes_on = False

    @property
    def waits(self) -> bool:
        """Whether it waits for its turn."""
        return self._ticket is not None and self._ticket.state is _WAITING

    def ask(self, guest: Guest, message_bytes: int) -> None:
        """Ask for it; the guest may be told before this returns, and have ended."""
        self.asked = True
        self._ticket = self._entrances.enter(guest, message_bytes)

    def begun(self, now_s: float) -> None:
        """The upstream has the call, or the last of its body: it could not begin before."""
        ticket = self._ticket
        if ticket is not None and ticket.state is _SENT:
            ticket.sent_s = now_s

    def give_back(self, exchange: Exchange, reply: Reply, now_s: float, *, whole: bool) -> None:
        """The call has ended so; others may have its place, unless the upstream goes on with it.

        Args:
            exchange: What is known of it.
            reply: How it ended.
            now_s: When.
            whole: Whether all of its body had come.
        """
        ticket = self._ticket
        if ticket is not None and not self.goes_on:
            self._ticket = None
            learned = what_is_learned(
                reply,
                late=ends_late(exchange, reply.ending, now_s),
                overloaded=self.overloaded,
                whole=whole,
                begun=exchange.begun_s > 0.0,
            )
            self._entrances.leave(ticket, learned)

    def leave(self, learned: Ended) -> None:
        """The call has ended, and this is what it says; others may have its place."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._entrances.leave(ticket, learned)

    # -- of a second call for the same request -------------------------------------------------------------------------

    @property
    def may_have_second(self) -> bool:
        """Whether there may be one: not where nothing is limited, for nothing is learned there, nor where this is to
        show whether it would have been rightly refused.
        """
        ticket = self._ticket
        return ticket is not None and ticket.state is _SENT and not (ticket.tried or ticket.watched)

    def usual_s(self, share: float) -> float:
        """The time that this share of its kind take at the upstream; infinity where that is not known."""
        return math.inf if self._ticket is None else self._entrances.usual_s(self._ticket, share)

    def prospect(self) -> Prospect:
        """How it would be with one now."""
        ticket = self._ticket
        if ticket is None or ticket.state is not _SENT:
            return Prospect(0.0, spare=False)
        return self._entrances.prospect(ticket)

    def second(self) -> Turn:
        """One of its own for it, at once: there has to be room to spare."""
        assert self._ticket is not None
        other = Turn(self._entrances)
        other.asked, other._ticket = True, self._entrances.send_second(self._ticket)
        return other

    def done(self, exchange: Exchange, result: Result, now_s: float) -> None:
        """The upstream has done with a call that it went on with."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._entrances.leave(ticket, learned_later(result, late=exchange.deadline.passed(now_s)))
