"""The body of one call between its client and its upstream: what of it waits, what the client may send for that.

Three amounts are kept apart here:

    held   what has come and not left: it waits for more of it, for a place at the upstream, or for room there
    owed   what of that the client still has to hear of when it leaves: its window opens only then
    kept   a copy of all that has come while that is little, to be sent again where the upstream cannot have seen it

Against the bound on what waits in the proxy (`Held`) counts what is kept, or where it is not, what is held: nothing
counts twice. Must not live here: when anything is sent, or what ends a call; a client is told by whoever calls.
"""

from __future__ import annotations

from tailgate.errors import Overloaded
from tailgate.http2.grpc_messages import frame_message
from tailgate.protocol.envelope import read_envelope
from tailgate.protocol.request_reader import RequestReader
from tailgate_proxy.call import Leg
from tailgate_proxy.compression import open_message
from tailgate_proxy.held import Held
from tailgate_proxy.pipeline import Copy


class RequestBody:
    """One call's.

    What returns a number of bytes says how many more the client may send.

    Attributes:
        reader: Reads what the request says of itself.
        whole: Whether all of it has come.
        leg: The way to the upstream, once there is one.
        copy: Takes what is passed on, too; None where nobody does.
    """

    __slots__ = (
        "_bound",
        "_collected",
        "_held",
        "_kept",
        "_kept_bytes",
        "_max_message_bytes",
        "_most_kept",
        "_owed",
        "_stream_id",
        "_waiting",
        "copy",
        "leg",
        "reader",
        "whole",
    )

    def __init__(self, bound: Held, max_message_bytes: int, most_kept: int) -> None:
        """Nothing has come.

        Args:
            bound: Of what waits in the proxy.
            max_message_bytes: The longest message.
            most_kept: How much is kept of a body; a longer one is not.
        """
        self.reader = RequestReader(max_message_bytes)
        self.whole = False
        self.leg: Leg | None = None
        self.copy: Copy | None = None
        self._bound = bound
        self._max_message_bytes = max_message_bytes
        self._most_kept = most_kept
        self._stream_id = 0  # of the leg
        self._waiting: list[bytes] = []  # pieces for an upstream that has no place yet
        self._collected: list[bytes] | None = None  # pieces that nothing can be done with before there are more
        self._kept: list[bytes] | None = []  # all pieces; None where they are too many
        self._kept_bytes = 0
        self._held = 0
        self._owed = 0

    @property
    def replayable(self) -> bool:
        """Whether all that has come is kept."""
        return self._kept is not None

    @property
    def kept(self) -> list[bytes]:
        """All that has come, as it is to be sent again. Only of what is `replayable`."""
        assert self._kept is not None
        return self._kept

    @property
    def unread(self) -> bool:
        """Whether nothing can be done yet with what comes: it has to be collected."""
        return self._collected is not None or self.reader.compressed or not self.reader.known

    def inside(self, count: int) -> bool:
        """Step over so many bytes if they are the middle of a large tensor, as nearly all are: nothing is to be done
        with them but to `send` them; returns whether they are.
        """
        return self._kept is None and self.leg is not None and self.copy is None and self.reader.inside(count)

    def feed(self, piece: memoryview, *, end: bool) -> None:
        """Read what a piece says.

        Raises:
            InvalidRequest: It cannot be, or end, the body of a ModelInfer call.
            TooLarge: The message is longer than allowed.
        """
        self.reader.feed(piece)
        if end:
            self.reader.end()
            self.whole = True

    def collect(self, piece: memoryview, encoding: str) -> bytes | None:
        """Keep a piece until something can be done with what there is: then, all of it, as it is to be passed on.

        The client is to be told at once that the piece has left, for it must be able to send the rest; the bound on all
        that is held is what stops it.

        Raises:
            Overloaded: There is no room for it.
            InvalidRequest: It is compressed, and cannot be opened.
        """
        if self._collected is None:
            self._collected = []
        self._hold(len(piece))
        self._collected.append(bytes(piece))
        reader = self.reader
        if not (reader.complete if reader.compressed else reader.known):
            return None
        whole, self._collected = b"".join(self._collected), None
        self._bound.give_back(self._held)
        self._held = 0
        if reader.compressed:
            message = open_message(whole, encoding, self._max_message_bytes)
            reader.envelope = read_envelope(message)
            whole = frame_message(message)
        return whole

    def pass_on(self, piece: memoryview | bytes, *, end: bool, told: bool) -> int:
        """Send a piece, and keep it if it is to be kept; `told`: its client knows already that it has left.

        Raises:
            Overloaded: There is no room for what has to wait.
        """
        if self._kept is not None:
            size = len(piece)
            if self._kept_bytes + size <= self._most_kept and self._bound.take(size):
                self._kept_bytes += size
                piece = bytes(piece)
                self._kept.append(piece)
            else:  # what waits of it is all that is left
                self._kept = None
                self._bound.give_back(self._kept_bytes - self._held)
        if self.copy is not None and not self.copy.add(piece, end=end):
            self.copy = None
        return self.send(piece, end=end, told=told)

    def send(self, piece: memoryview | bytes, *, end: bool, told: bool = False) -> int:
        """Send a piece, or have it wait for an upstream that has no place yet.

        Raises:
            Overloaded: There is no room for what has to wait.
        """
        size, leg = len(piece), self.leg
        if leg is None:
            self._waiting.append(bytes(piece))
            sent = 0
        else:
            sent = leg.send(self._stream_id, piece, end=end)
        if sent < size:
            if not told:
                self._owed += size - sent
            self._hold(size - sent)
        return 0 if told else sent

    def begin(self, leg: Leg, stream_id: int) -> int:
        """The upstream has a place: what waits for that is sent."""
        self.leg, self._stream_id = leg, stream_id
        pieces, self._waiting = self._waiting, []
        may_send = 0
        for index, piece in enumerate(pieces, 1):
            may_send += self.left(leg.send(stream_id, piece, end=self.whole and index == len(pieces)))
        return may_send

    def left(self, count: int) -> int:
        """So much of what was held has gone to the upstream."""
        freed, owed = min(count, self._held), min(count, self._owed)
        self._held -= freed
        if self._kept is None:
            self._bound.give_back(freed)
        self._owed -= owed
        return owed

    def rewind(self) -> None:
        """The call is made once more: what was sent waits again. Only of what is `replayable`."""
        assert self._kept is not None
        self._held = self._kept_bytes
        self._waiting = list(self._kept)

    def cancel(self) -> None:
        """Nobody wants the answer any more."""
        leg, self.leg = self.leg, None
        if leg is not None:
            leg.cancel(self._stream_id)

    def drop(self) -> None:
        """The call has ended: nothing of the body is held any longer."""
        counted = self._held if self._counts_held else self._kept_bytes
        if counted:
            self._bound.give_back(counted)
        self._held = 0
        self._kept = self._collected = None
        self._waiting = []

    @property
    def _counts_held(self) -> bool:
        """Whether what is held counts against the bound, rather than what is kept."""
        return self._kept is None or self._collected is not None

    def _hold(self, count: int) -> None:
        """So much more waits."""
        if self._counts_held and not self._bound.take(count):
            raise Overloaded(f"the proxy holds {self._bound.bytes} bytes, about as many as it may")
        self._held += count
