"""What of one client's answers waits in the proxy, counted among all that does (`Held`)."""

from __future__ import annotations

from tailgate_proxy.held import Held


class AnswersHeld:
    """One client's."""

    __slots__ = ("_bytes", "_held", "_in_transport")

    def __init__(self, held: Held) -> None:
        """Nothing waits."""
        self._held = held
        self._bytes = 0
        self._in_transport = 0  # where it cannot be taken back

    def wait(self, count: int) -> bool:
        """So much more has to; False, and nothing is counted, where there is no room for it."""
        if not self._held.take(count):
            return False
        self._bytes += count
        return True

    def leave(self, count: int) -> None:
        """So much has left."""
        self._bytes -= count
        self._held.give_back(count)

    def stop(self, in_transport: int) -> None:
        """The client does not read, and so much waits in the transport. It is given already, so where there is no room
        for it only others are refused.
        """
        if self._held.take(in_transport):
            self._in_transport += in_transport

    def go_on(self) -> None:
        """The client reads again."""
        self._held.give_back(self._in_transport)
        self._in_transport = 0

    def drop(self) -> None:
        """The client is gone."""
        self._held.give_back(self._bytes + self._in_transport)
        self._bytes = self._in_transport = 0
