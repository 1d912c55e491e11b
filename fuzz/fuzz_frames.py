"""Any bytes, cut anywhere, into a `Connection` of either role.

The first byte chooses the role and how the others are read: as they are, or as a story of frames that are nearly right
and of what an application does meanwhile. Promised: nothing is raised; events tell a story that makes sense (see
`_watcher`); memory and what is sent stay in proportion to what came; after the end, nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fuzz._application import REQUEST, Application
from fuzz._input import Input
from fuzz._watcher import Watcher
from fuzz._weight import weight
from fuzz._wire import Story, check_frames, opening
from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import ConnectionTerminated, DataReceived, StreamReset
from tailgate.http2.limits import Limits

LIMITS: Final = (
    Limits(),
    Limits(
        max_concurrent_streams=8,
        max_header_list_bytes=2048,
        max_header_block_bytes=4096,
        max_frame_bytes=20_000,
        stream_window=2000,
        connection_window=100_000,
        resets=20,
        overhead=60,
    ),
)
MOST_WEIGHT: Final = 1 << 18
"""Bytes that a connection may keep alive after an input; a fresh one keeps 14 KB."""
LEAST_WEIGHED: Final = 300
"""Bytes of input that it takes to make anything grow."""
MOST_SENT: Final = (600, 3)
"""Bytes that a connection may send of itself: to begin and to end with, and for each byte that came."""


class Subject:
    """A connection with all that watches it."""

    def __init__(self, role: Role, limits: Limits) -> None:
        """A client has asked something already, so that there is something to answer."""
        self.role = role
        self.connection = Connection(role, limits)
        self.watcher = Watcher(self.connection, role, limits)
        self.application = Application(self.connection, role, self.watcher)
        self._received = self._sent = 0
        if role is Role.CLIENT:
            for _ in range(3):
                self.watcher.opened(self.connection.open_stream(REQUEST))
        check_frames(self.connection.data_to_send())

    def receive(self, content: bytes) -> None:
        """Take a piece, out of a buffer that is used again at once."""
        over, buffer = self.connection.terminated, bytearray(content)
        events = self.connection.receive(memoryview(buffer))
        assert not (over and events)
        self.watcher.take(events)
        buffer[:] = b"\xaa" * len(buffer)
        sent = self.connection.data_to_send()
        check_frames(sent)
        if not over and self.connection.terminated:
            assert b"\x07\x00\x00\x00\x00\x00" in sent  # type, flags and stream of GOAWAY
        self._received += len(content)
        self._sent += len(sent)
        assert self._sent <= MOST_SENT[0] + MOST_SENT[1] * self._received, "it sends more than it gets"

    def finish(self, *, weigh: bool) -> None:
        """The end of an input; what is kept alive takes a while to weigh."""
        if self.connection.terminated:
            assert self.connection.receive(opening(of_client=True)) == []
            assert self.connection.open_streams == 0
            assert not self.connection.can_open
        assert not weigh or weight(self.connection) <= MOST_WEIGHT


def fuzz(data: bytes) -> None:
    """Feed one input.

    Raises:
        AssertionError: A promise is broken. Anything else is a crash.
    """
    choices = Input(data)
    how = choices.byte()
    role, limits = Role(how & 1), LIMITS[how >> 1 & 1]
    if how & 4:
        _cut_anywhere(role, limits, choices, told=bool(how & 8))
        return
    subject = Subject(role, limits)
    subject.receive(opening(of_client=role is Role.SERVER))
    story = choices.rest()
    for _ in range(10 if how & 48 == 48 else 1):
        _tell(subject, Input(story))
    subject.finish(weigh=len(data) >= LEAST_WEIGHED)


def _tell(subject: Subject, choices: Input) -> None:
    """Frames that are nearly right, and moves of the application."""
    story, wire = Story(choices, of_client=subject.role is Role.SERVER), b""
    while choices.left > 0 and not subject.connection.terminated:
        how = choices.byte()
        if how >= 160:
            subject.receive(wire)
            wire = b""
            subject.application.move(choices)
            check_frames(subject.connection.data_to_send())
            continue
        wire += story.next()
        if how < 140:
            at = how * len(wire) // 40 if how < 40 else len(wire)
            subject.receive(wire[:at])
            wire = wire[at:]
    subject.receive(wire)


def _cut_anywhere(role: Role, limits: Limits, choices: Input, *, told: bool) -> None:
    """Nobody answers. The bytes, or those of a story, whole and in pieces: both must say the same."""
    size, of_client = choices.byte() + 1, role is Role.SERVER
    content = opening(of_client=of_client) if size % 8 else b""
    if told:
        story = Story(choices, of_client=of_client)
        while choices.left > 0:
            content += story.next()
    else:
        content += choices.rest()
    assert _said(role, limits, content, size) == _said(role, limits, content, len(content) or 1)
    subject = Subject(role, limits)
    for at in range(0, len(content), size):
        subject.receive(content[at : at + size])
    subject.finish(weigh=len(content) >= LEAST_WEIGHED)


def _said(role: Role, limits: Limits, content: bytes, size: int) -> tuple[list[object], dict[int, bytes]]:
    """Events without bodies, and the bodies; whether they come in one piece is not promised.

    Up to the first broken rule: of a frame that breaks two, which one is seen first depends on the pieces, and so does
    how much of its body has been delivered before. Without limits of floods: a frame counts as work for each piece.
    """
    connection = Connection(role, replace(limits, resets=len(content), overhead=len(content)))
    if role is Role.CLIENT:
        for _ in range(3):
            connection.open_stream(REQUEST)
    events: list[object] = []
    bodies: dict[int, bytes] = {}
    for at in range(0, len(content), size):
        for event in connection.receive(content[at : at + size]):
            if isinstance(event, DataReceived):
                bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                if event.end_stream:
                    events.append(("end", event.stream_id))
            elif isinstance(event, ConnectionTerminated) or (isinstance(event, StreamReset) and not event.remote):
                return events, {}
            else:
                events.append(event)
    return events, bodies
