"""The way to the upstream over real sockets, against upstreams that do what they are told to (python-h2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest

from tailgate.config import Address
from tailgate.errors import Status
from tailgate.http2.events import Headers
from tailgate.http2.grpc_messages import frame_message
from tailgate.pb import inference_pb2 as pb
from tailgate.protocol.envelope import RequestFrame
from tailgate.protocol.names import MODEL_INFER, SERVICE
from tailgate_proxy.backoff import LEAST_S
from tailgate_proxy.call import MOST_TRIES, Answer, CallFailed, Leg
from tailgate_proxy.passage import REPLAYABLE_BYTES
from tailgate_proxy.steps.forward import call_headers
from tailgate_proxy.upstreams.upstream import MAX_CONNECTIONS, Upstream
from tailgate_proxy.wire.outbound import MOST_PINGS

RunningProxy = Any  # defined in conftest.py, which tests do not import
ScriptedUpstream = Any
StartProxy = Any
Peer = Any

REFUSED = h2.errors.ErrorCodes.REFUSED_STREAM

MakePool = Callable[[Address], Upstream]
StartRaw = Callable[..., Any]
Listen = Callable[..., Any]
LONG_S = 30.0


async def ask(upstream: Upstream, body: bytes = b"request", timeout_s: float = LONG_S) -> bytes:
    """A call; the message of its answer."""
    answer = await upstream.call(MODEL_INFER.encode(), body, [], timeout_s)
    return answer.body[5:]


async def failure(upstream: Upstream) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await ask(upstream)
    return caught.value


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


# -- the end of a connection -------------------------------------------------------------------------------------------


async def test_a_connection_that_is_said_to_end_finishes_what_it_has_and_gets_nothing_new(
    raw_upstream: StartRaw, pool: MakePool
) -> None:
    held: list[tuple[Peer, int]] = []

    def script(peer: Peer, stream_id: int) -> None:
        if bytes(peer.bodies[stream_id][5:]) == b"slow":
            held.append((peer, stream_id))
        else:
            peer.answer(stream_id, b"from %d" % peer.server.peers.index(peer))

    raw = await raw_upstream(script)
    upstream = pool(raw.address)
    slow = asyncio.ensure_future(ask(upstream, b"slow"))
    await until(lambda: held)
    assert await ask(upstream) == b"from 0"
    peer, stream_id = held[0]
    peer.go_away(2**31 - 1)  # the first of two steps: it only warns
    await until(lambda: not upstream._connections)
    assert await ask(upstream) == b"from 1"
    peer.go_away(3)
    peer.answer(stream_id, b"late, and whole")
    assert await slow == b"late, and whole"
    await until(lambda: peer.ended)  # closed by us, once nothing is on it
    assert await ask(upstream) == b"from 1"
    assert len(raw.peers) == 2


async def test_calls_above_the_last_that_is_taken_are_made_again_and_the_others_are_not(
    raw_upstream: StartRaw, pool: MakePool
) -> None:
    seen: list[tuple[int, int]] = []

    def script(peer: Peer, stream_id: int) -> None:
        number = peer.server.peers.index(peer)
        seen.append((number, stream_id))
        if number:
            peer.answer(stream_id, b"second")
        elif len(seen) == 3:
            peer.go_away(1)
            peer.answer(1, b"first")

    upstream = pool((await raw_upstream(script)).address)
    assert await asyncio.gather(*(ask(upstream, b"%d" % number) for number in range(3))) == [
        b"first",
        b"second",
        b"second",
    ]
    assert sorted(seen) == [(0, 1), (0, 3), (0, 5), (1, 1), (1, 3)]


async def test_a_connection_that_breaks_ends_its_calls_and_they_are_not_made_again(
    raw_upstream: StartRaw, pool: MakePool
) -> None:
    def script(peer: Peer, stream_id: int) -> None:
        if len(peer.bodies) == 2:
            peer.writer.transport.abort()

    raw = await raw_upstream(script)
    upstream = pool(raw.address)
    for found in await asyncio.gather(failure(upstream), failure(upstream)):
        assert (found.status, found.retryable) == (Status.UNAVAILABLE, False)  # it may have been seen
    raw.script = lambda peer, stream_id: peer.answer(stream_id)
    assert await ask(upstream) == b"yes"


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_a_refused_call_is_made_again(raw_upstream: StartRaw, pool: MakePool) -> None:
    def script(peer: Peer, stream_id: int) -> None:
        peer.refuse(stream_id) if stream_id == 1 else peer.answer(stream_id)

    raw = await raw_upstream(script)
    assert await ask(pool(raw.address)) == b"yes"
    assert [bytes(body) for body in raw.peers[0].bodies.values()] == [frame_message(b"request")] * 2


async def test_a_call_that_is_always_refused_ends(raw_upstream: StartRaw, pool: MakePool) -> None:
    raw = await raw_upstream(lambda peer, stream_id: peer.refuse(stream_id))
    assert (await failure(pool(raw.address))).status is Status.UNAVAILABLE
    assert sum(len(peer.bodies) for peer in raw.peers) == MOST_TRIES


async def test_a_call_that_the_upstream_may_have_begun_is_not_made_again(
    raw_upstream: StartRaw, pool: MakePool
) -> None:
    raw = await raw_upstream(lambda peer, stream_id: peer.refuse(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR))
    assert (await failure(pool(raw.address))).status is Status.INTERNAL
    assert len(raw.peers[0].bodies) == 1


def v2(infer: Callable[[Peer, int], None]) -> Callable[[Peer, int], None]:
    """An upstream that is ready, and whose ModelInfer is scripted."""

    def script(peer: Peer, stream_id: int) -> None:
        if peer.paths[stream_id] == f"/{SERVICE}/ServerReady":
            peer.answer(stream_id, pb.ServerReadyResponse(ready=True).SerializeToString())
        elif peer.paths[stream_id] == MODEL_INFER:
            infer(peer, stream_id)
        else:
            peer.answer(stream_id, b"")

    return script


@pytest.mark.parametrize(("size", "tries"), [(1000, 2), (REPLAYABLE_BYTES + 1, 1)])
async def test_a_refused_request_is_sent_again_whole_if_it_is_small_enough_to_be_kept(
    size: int, tries: int, raw_upstream: StartRaw, start_proxy: StartProxy
) -> None:
    bodies: list[bytes] = []

    def infer(peer: Peer, stream_id: int) -> None:
        bodies.append(bytes(peer.bodies[stream_id]))
        if len(bodies) == 1:
            peer.refuse(stream_id)
        else:
            peer.answer(stream_id, pb.ModelInferResponse(model_name="m").SerializeToString())

    running = await start_proxy(upstream=str((await raw_upstream(v2(infer))).address))
    request = RequestFrame("scripted", "image", "UINT8", (1,)).build("id", bytes(size))
    call = running.call(request, 20.0, [])
    assert await call.code() is (grpc.StatusCode.OK if tries == 2 else grpc.StatusCode.UNAVAILABLE)
    assert bodies == [frame_message(request)] * tries


# -- places ------------------------------------------------------------------------------------------------------------


class Waiter:
    """A call that notes when it gets its place."""

    def __init__(self, name: int, begun: list[int]) -> None:
        self.name = name
        self.wanted = True
        self.done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._begun = begun

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        return call_headers(MODEL_INFER.encode(), authority, [], LONG_S, tls=tls)

    def begun(self, leg: Leg, stream_id: int) -> None:
        self._begun.append(self.name)
        leg.send(stream_id, frame_message(b"%d" % self.name), end=True)

    def left(self, count: int) -> None:
        pass

    def answered(self, answer: Answer) -> None:
        self.done.set_result(answer)

    def failed(self, failure: CallFailed) -> None:
        self.done.set_exception(failure)


async def test_calls_that_wait_for_a_place_are_served_in_order_and_none_goes_beyond_the_upstreams_limit(
    raw_upstream: StartRaw, pool: MakePool
) -> None:
    working: dict[Peer, list[int]] = {}

    def script(peer: Peer, stream_id: int) -> None:
        here = working.setdefault(peer, [])
        here.append(stream_id)
        assert len(here) == 1

        def end() -> None:
            here.remove(stream_id)
            peer.answer(stream_id, bytes(peer.bodies[stream_id][5:]))

        asyncio.get_running_loop().call_later(0.002, end)

    raw = await raw_upstream(script, most_streams=1)
    upstream = pool(raw.address)
    begun: list[int] = []
    waiters = [Waiter(name, begun) for name in range(60)]
    waiters[30].wanted = False  # its client has left in the meantime
    for waiter in waiters:
        upstream.begin(waiter)
    wanted = [waiter for waiter in waiters if waiter.wanted]
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(waiter.done for waiter in wanted))
    assert begun == [waiter.name for waiter in wanted]
    assert [answer.body[5:] for answer in answers] == [b"%d" % name for name in begun]
    assert len(raw.peers) <= MAX_CONNECTIONS


class Unfinished(Waiter):
    """A call whose body does not end."""

    def begun(self, leg: Leg, stream_id: int) -> None:
        leg.send(stream_id, b"its beginning", end=False)


def with_an_error(peer: Peer, stream_id: int) -> None:
    peer.h2.send_headers(stream_id, [(":status", "200"), ("grpc-status", "8")], end_stream=True)
    peer.flush()


def without_a_status(peer: Peer, stream_id: int) -> None:
    peer.h2.send_headers(stream_id, [(":status", "200"), ("content-type", "application/grpc")])
    peer.h2.send_data(stream_id, b"", end_stream=True)
    peer.flush()


@pytest.mark.parametrize("answers", [lambda peer, stream_id: peer.answer(stream_id), with_an_error, without_a_status])
async def test_a_call_that_is_answered_before_its_body_has_ended_leaves_its_place_to_others(
    answers: Callable[[Peer, int], None], raw_upstream: StartRaw, pool: MakePool
) -> None:
    """Many servers reset such a stream; one that leaves that to its client takes no more of them than it says."""
    raw = await raw_upstream(most_streams=1)
    upstream = pool(raw.address)

    async def comes(number: int) -> None:
        await until(lambda: raw.peers and len(raw.peers[0].bodies) > number)

    for number in range(MAX_CONNECTIONS + 1):
        call = Unfinished(number, [])
        upstream.begin(call)
        await comes(number)
        answers(raw.peers[0], 2 * number + 1)
        await asyncio.wait([call.done])
        call.done.exception()
    assert await ask(upstream) == b"yes"
    assert len(raw.peers) == 1


async def test_a_connection_that_cannot_be_had_costs_nothing_where_there_is_one_already(
    raw_upstream: StartRaw, pool: MakePool
) -> None:
    raw = await raw_upstream(most_streams=1)
    upstream = pool(raw.address)
    assert await ask(upstream) == b"yes"
    raw.stop_listening()
    assert await asyncio.gather(*(ask(upstream) for _ in range(5))) == [b"yes"] * 5
    assert len(raw.peers) == 1


# -- upstreams that are not there --------------------------------------------------------------------------------------


async def test_an_upstream_that_is_away_is_tried_seldom_and_found_when_it_is_back(
    raw_upstream: StartRaw, pool: MakePool
) -> None:
    raw = await raw_upstream()
    await raw.stop()
    upstream = pool(raw.address)
    assert "cannot be reached" in (await failure(upstream)).message
    await asyncio.sleep(2 * LEAST_S)
    await failure(upstream)  # from now on there is a pause of 100 ms
    assert "cannot be reached" in (await failure(upstream)).message
    await raw.start()
    async with asyncio.timeout(60):
        while True:
            with suppress(CallFailed):
                assert await ask(upstream) == b"yes"
                break
            await asyncio.sleep(0.01)


async def test_whatever_goes_wrong_while_connecting_ends_those_who_wait_and_is_tried_again(
    raw_upstream: StartRaw, pool: MakePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raw = await raw_upstream(lambda peer, stream_id: peer.answer(stream_id, b"here"))
    upstream, loop = pool(raw.address), asyncio.get_running_loop()

    async def broken(*_: object, **__: object) -> object:
        raise MemoryError("no more")

    with monkeypatch.context() as patched:
        patched.setattr(loop, "create_connection", broken)
        failed = await failure(upstream)
    assert failed.status is Status.UNAVAILABLE
    assert "no more" in failed.message
    assert "connecting to the upstream" in caplog.text  # with its traceback: nobody has foreseen it
    async with asyncio.timeout(60):
        while True:
            with suppress(CallFailed):
                assert await ask(upstream) == b"here"
                break
            await asyncio.sleep(LEAST_S)


@pytest.mark.parametrize("first", ["nothing", "HTTP/1.1", "GOAWAY"])
async def test_an_upstream_that_takes_connections_and_no_calls_is_not_besieged(
    first: str, listen: Listen, pool: MakePool
) -> None:
    taken = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        taken += 1
        await reader.read(24)
        if first == "HTTP/1.1":
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        elif first == "GOAWAY":
            writer.write(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)) + bytes((0, 0, 8, 7, 0, 0, 0, 0, 0)) + bytes(8))
        writer.close()

    upstream = pool(await listen(serve))
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while loop.time() - began_s < 0.6:
        with suppress(CallFailed):
            await ask(upstream, timeout_s=0.1)
        await asyncio.sleep(0.01)
    # Pauses of 50, 100, 200, 400 and 500 ms: so often it fits into the time there really was.
    assert 1 <= taken <= 5 + (loop.time() - began_s) / 0.5


async def test_what_waits_for_an_upstream_that_does_not_read_is_bounded_and_given_back(
    raw_upstream: StartRaw, start_proxy: StartProxy
) -> None:
    def infer(peer: Peer, stream_id: int) -> None:
        peer.answer(stream_id, pb.ModelInferResponse(model_name="m").SerializeToString())

    raw = await raw_upstream(v2(infer))
    running = await start_proxy(upstream=str(raw.address), deadline="20s", max_message_mib=1, max_held_mib=2)
    (peer,) = raw.peers
    peer.reads = False  # it has said that it takes 64 KB, and leaves it at that
    frame = RequestFrame("scripted", "image", "UINT8", (1,))
    held = running.proxy._held
    calls = [running.call(frame.build(f"{number}", bytes(900_000)), 20.0, []) for number in range(2)]
    await until(lambda: held.bytes > 1_700_000)
    shed = running.call(frame.build("shed", bytes(900_000)), 20.0, [])
    assert await shed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "--max-held-mib" in (await shed.details() or "")
    assert held.bytes <= 2 << 20
    peer.reads = True
    peer.h2.increment_flow_control_window(8 << 20)
    for stream_id, body in peer.bodies.items():
        with suppress(h2.exceptions.StreamClosedError, KeyError):  # the one that was shed, and what was answered before
            peer.h2.increment_flow_control_window(1 << 20, stream_id)
        assert len(body) < 70_000
    peer.flush()
    assert [await call.code() for call in calls] == [grpc.StatusCode.OK] * 2
    whole = len(frame_message(frame.build("0", bytes(900_000))))
    assert sum(len(body) == whole for body in peer.bodies.values()) == 2
    await until(lambda: held.bytes == 0)


async def test_calls_find_a_way_round_a_connection_that_lets_no_body_through(
    raw_upstream: StartRaw, pool: MakePool
) -> None:
    raw = await raw_upstream()
    upstream = pool(raw.address)
    await ask(upstream)
    raw.peers[0].reads = False  # what it takes of a body at first, 64 KB, is all that it takes
    large, small = (asyncio.ensure_future(ask(upstream, bytes(size))) for size in (200_000, 100))
    await until(lambda: len(upstream._connections) == 2)  # both have said what they take
    assert await ask(upstream) == b"yes"
    assert [large.done(), small.done()] == [False, False]
    assert len(raw.peers[0].bodies) == 3
    large.cancel()
    small.cancel()


# -- upstreams that do not answer --------------------------------------------------------------------------------------


async def test_an_upstream_that_hangs_is_found_out_and_its_calls_end(
    raw_upstream: StartRaw, listen: Listen, pool: MakePool
) -> None:
    def hang(peer: Peer, stream_id: int) -> None:
        if peer.bodies[stream_id][5:] == b"hang":
            peer.hung = True
        else:
            peer.answer(stream_id)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    mute = pool(await listen(silent))
    raw = await raw_upstream(hang)
    upstream = pool(raw.address)
    assert await ask(upstream) == b"yes"

    async def hung() -> CallFailed:
        with pytest.raises(CallFailed) as caught:
            await ask(upstream, b"hang")
        return caught.value

    async with asyncio.timeout(25):  # two seconds, and whatever else this machine does; never the 30 of the call
        found = await asyncio.gather(hung(), hung(), failure(mute))
    assert [one.status for one in found] == [Status.UNAVAILABLE] * 3
    assert await ask(upstream) == b"yes"  # over a new connection
    assert len(raw.peers) == 2


async def test_an_upstream_that_works_for_long_is_left_in_peace(
    raw_upstream: StartRaw, pool: MakePool, upstream: ScriptedUpstream, start_proxy: StartProxy
) -> None:
    """Servers built on gRPC end a connection on which they are pinged too often ("too_many_pings")."""

    def slow(peer: Peer, stream_id: int) -> None:
        asyncio.get_running_loop().call_later(6.0, peer.answer, stream_id)

    raw = await raw_upstream(slow)
    running = await start_proxy(deadline="30s")
    answers = await asyncio.gather(ask(pool(raw.address)), running.infer("sleep:6/a", timeout=None))
    assert answers[0] == b"yes"
    assert pb.ModelInferResponse.FromString(answers[1]).id == "sleep:6/a"
    assert 1 <= raw.peers[0].pings <= MOST_PINGS
    assert upstream.finished == ["sleep:6/a"]
