"""A call whose client had hung up before anybody read it: it is booked, and nothing else is done for it."""

from __future__ import annotations

from tailgate.errors import Status
from tailgate.outcome import Ending
from tailgate_proxy.call import Reply
from tailgate_proxy.exchange import Exchange
from tailgate_proxy.pipeline import Pipeline


def book_gone(exchange: Exchange, pipeline: Pipeline) -> None:
    """Book it as every other that ends at its arrival: as what refuses it there, else as cancelled by its client.

    Most of what a call costs is what is made for its way: here there is none to go. A client that asks and leaves, over
    and over, has everybody else wait for as long as this takes.
    """
    pipeline.observe.arrive()
    now_s, reply = pipeline.clock(), None
    for gate in pipeline.on_arrival:
        reply = gate(exchange, now_s)
        if reply is not None:
            break
    pipeline.admit.leave(exchange)
    pipeline.observe.book(exchange, reply or Reply(Ending.CANCELLED, Status.CANCELLED), now_s)
