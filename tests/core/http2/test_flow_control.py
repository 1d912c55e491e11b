"""Flow control between two of ours, by rules in any order: never more under way than the windows allow."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tailgate.http2.codes import Role
from tailgate.http2.connection import Connection
from tailgate.http2.events import ConnectionTerminated, DataReceived, HeadersReceived, StreamReset
from tailgate.http2.limits import Limits

REQUEST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"))
windows = st.sampled_from([1, 50, 1000, 200_000])
KEPT = 2
"""Streams that are open from the beginning, and never cancelled."""

sizes = st.sampled_from([1, 3, 100, 20_000, 300_000])


class End:
    """One connection, and the books that a test keeps of it."""

    def __init__(self, role: Role, limits: Limits) -> None:
        self.connection, self.limits = Connection(role, limits), limits
        self.wire = b""  # on its way to it
        self.sent: dict[int, int] = {}
        self.got: dict[int, int] = {}
        self.held: dict[int, int] = {}

    def receive(self, count: int) -> None:
        data, self.wire = self.wire[:count], self.wire[count:]
        for event in self.connection.receive(data):
            assert not isinstance(event, ConnectionTerminated), event
            if isinstance(event, HeadersReceived):
                self.got.setdefault(event.stream_id, 0)
                self.held.setdefault(event.stream_id, 0)
            elif isinstance(event, DataReceived):
                self.got[event.stream_id] += len(event.data)
                self.held[event.stream_id] += len(event.data)
            elif isinstance(event, StreamReset):
                assert event.remote
                self.held.pop(event.stream_id, None)


class FlowControl(RuleBasedStateMachine):
    """A client and a server; the wires between them hold what was sent and not yet delivered."""

    @initialize(stream=windows, total=windows, other_stream=windows, other_total=windows, settled=st.booleans())
    def start(self, stream: int, total: int, other_stream: int, other_total: int, settled: bool) -> None:
        self.client = End(Role.CLIENT, Limits(stream_window=stream, connection_window=total))
        self.server = End(Role.SERVER, Limits(stream_window=other_stream, connection_window=other_total))
        self.ends = (self.client, self.server)
        self.reset: set[int] = set()
        self.promised = 0 if settled else 65_535  # what both may take for granted before they know better
        for _ in range(KEPT):
            self.open()
        for side in (1, 0, 1) if settled else ():
            self.deliver(side, 1 << 30)

    def move(self) -> None:
        self.server.wire += self.client.connection.data_to_send()
        self.client.wire += self.server.connection.data_to_send()

    def streams(self) -> list[int]:
        return [number for number in self.client.sent if number in self.server.held and number not in self.reset]

    @rule(side=st.integers(0, 1), count=st.sampled_from([1, 9, 1000, 1 << 30]))
    def deliver(self, side: int, count: int) -> None:
        self.ends[side].receive(count)
        self.move()

    @precondition(lambda self: len(self.client.sent) < KEPT + 2)
    @rule()
    def open(self) -> None:
        self.client.sent[self.client.connection.open_stream(REQUEST)] = 0
        self.move()

    @precondition(lambda self: self.streams())
    @rule(data=st.data(), side=st.integers(0, 1), size=sizes)
    def send(self, data: st.DataObject, side: int, size: int) -> None:
        end, number = self.ends[side], data.draw(st.sampled_from(self.streams()))
        if side and number not in end.sent:
            end.connection.send_headers(number, ((b":status", b"200"),))
            end.sent[number] = 0
        window = end.connection.send_window(number)
        taken = end.connection.send_data(number, bytes(size))
        assert taken == min(size, window)
        end.sent[number] += taken
        self.move()

    @precondition(lambda self: any(any(end.held.values()) for end in self.ends))
    @rule(data=st.data(), part=st.integers(1, 4))
    def acknowledge(self, data: st.DataObject, part: int) -> None:
        held = [(end, number) for end in self.ends for number, count in end.held.items() if count]
        end, number = data.draw(st.sampled_from(held))
        count = -(-end.held[number] // part)
        end.held[number] -= count
        end.connection.acknowledge(number, count)
        self.move()

    @precondition(lambda self: self.streams()[KEPT:])
    @rule(data=st.data(), side=st.integers(0, 1))
    def cancel(self, data: st.DataObject, side: int) -> None:
        number = data.draw(st.sampled_from(self.streams()[KEPT:]))
        self.ends[side].connection.reset(number)
        self.ends[side].held.pop(number, None)
        self.reset.add(number)
        self.move()

    @invariant()
    def nobody_holds_more_than_the_windows(self) -> None:
        for end in getattr(self, "ends", ()):
            assert sum(end.held.values()) <= max(end.limits.connection_window, 65_535)
            assert all(count <= max(end.limits.stream_window, self.promised) for count in end.held.values())

    @invariant()
    def no_more_is_under_way_than_the_windows(self) -> None:
        for sender, receiver in (self.ends, self.ends[::-1]) if hasattr(self, "ends") else ():
            for number in self.streams():
                acknowledged = receiver.got.get(number, 0) - receiver.held.get(number, 0)
                under_way = sender.sent.get(number, 0) - acknowledged
                assert under_way <= max(receiver.limits.stream_window, self.promised)

    def teardown(self) -> None:
        """When all is delivered and acknowledged, at least half of every window is open again."""
        if not hasattr(self, "ends"):
            return
        for _ in range(4):
            for end in self.ends:
                end.receive(1 << 30)
                for number, count in [(number, count) for number, count in end.held.items() if count]:
                    end.connection.acknowledge(number, count)
                    end.held[number] = 0
            self.move()
        for sender, receiver in (self.ends, self.ends[::-1]):
            for number in self.streams():
                assert receiver.got.get(number, 0) == sender.sent.get(number, 0)
                room = min(receiver.limits.stream_window, receiver.limits.connection_window)
                assert sender.connection.send_window(number) > 0
                assert 2 * sender.connection.send_window(number) >= room
            assert not receiver.connection._state.streams.held  # that nothing is kept is the promise


TestFlowControl = FlowControl.TestCase
TestFlowControl.settings = settings(max_examples=80, stateful_step_count=40)
