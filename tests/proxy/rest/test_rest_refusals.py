"""What is no request, too much, too late or nobody's over HTTP: its status, its words, and its one outcome."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

ScriptedUpstream = Any  # defined in ../conftest.py, which tests do not import
StartRest = Any
MakeDocument = Any

TENSOR = {"name": "x", "datatype": "INT8", "shape": [2], "data": [1, 2]}
GOOD = json.dumps({"inputs": [TENSOR]}).encode()

MALFORMED: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "nothing": (b"", {}, 400, "the request's body is no JSON"),
    "no JSON": (b"{inputs}", {}, 400, "the request's body is no JSON"),
    "nested without end": (b"[" * 100_000, {}, 400, "nested too deeply"),
    "a list": (b"[]", {}, 400, "expected an object with 'inputs'"),
    "no inputs": (b"{}", {}, 400, "inputs is missing"),
    "a shape that does not fit": (json.dumps({"inputs": [TENSOR | {"shape": [3]}]}).encode(), {}, 400, "expected 3"),
    "a length that is none": (GOOD, {"Inference-Header-Content-Length": "ten"}, 400, "is 'ten'"),
    "a length beyond the body": (GOOD, {"Inference-Header-Content-Length": "9999"}, 400, "is 9999, but the body has"),
    "bytes of nobody": (GOOD + b"x", {"Inference-Header-Content-Length": str(len(GOOD))}, 400, "1 bytes follow"),
    "another coding": (GOOD, {"Content-Encoding": "br"}, 415, "Content-Encoding is 'br'; expected gzip, deflate"),
    "two codings": (GOOD, {"Content-Encoding": "gzip, gzip"}, 415, "expected gzip, deflate or none"),
    "no gzip": (GOOD, {"Content-Encoding": "gzip"}, 400, "is no gzip"),
    "gzip cut short": (gzip.compress(GOOD)[:-1], {"Content-Encoding": "gzip"}, 400, "cut short"),
    "deflate without its frame": (zlib.compress(GOOD)[2:], {"Content-Encoding": "deflate"}, 400, "is no deflate"),
    "a timeout that is none": (GOOD, {"x-request-timeout-ms": "soon"}, 400, "x-request-timeout-ms is 'soon'"),
    "a deadline that is none": (GOOD, {"tailgate-deadline-ms": "nan"}, 400, "tailgate-deadline-ms is 'nan'"),
    "one of two deadlines is none": (
        GOOD,
        {"tailgate-deadline-ms": "soon", "x-request-timeout-ms": "50"},
        400,
        "tailgate-deadline-ms is 'soon'",
    ),
    "a label that is none": (GOOD, {"tailgate-label": "cat"}, 400, "tailgate-label is 'cat'"),
    "a label beyond ASCII": (GOOD, {"tailgate-label": "é"}, 400, "tailgate-label is"),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_a_malformed_request_is_refused_in_words_and_booked(
    upstream: ScriptedUpstream, start_rest: StartRest, case: str
) -> None:
    body, headers, status, expected = MALFORMED[case]
    proxy = await start_rest(deadline="30s")
    answer = await proxy.post(body, **headers)
    assert (answer.status, answer.outcome) == (status, "rejected_invalid")
    assert list(answer.document) == ["error"]
    assert expected in answer.document["error"]
    assert upstream.started == []
    assert await proxy.books() == {"rejected_invalid": 1}
    assert (await proxy.infer("1/after")).status == 200


async def test_what_is_given_twice_is_refused(start_rest: StartRest, make_document: MakeDocument) -> None:
    proxy = await start_rest()
    for name in ("x-request-timeout-ms", "tailgate-deadline-ms", "tailgate-label"):
        answer = await proxy.ask(
            "POST", "/v2/models/m/infer", data=make_document("1/a"), headers=[(name, "500"), (name, "600")]
        )
        assert (answer.status, answer.outcome) == (400, "rejected_invalid")
        assert f"{name} is given more than once" in answer.document["error"]


@pytest.mark.parametrize("value", ["0", "-5", "0.0"])
async def test_who_has_no_time_is_refused_without_a_call(
    upstream: ScriptedUpstream, start_rest: StartRest, value: str
) -> None:
    proxy = await start_rest()
    answer = await proxy.infer("1/a", x_request_timeout_ms=value)
    assert (answer.status, answer.outcome) == (504, "expired_on_arrival")
    assert upstream.started == []
    assert await proxy.books() == {"expired_on_arrival": 1}


async def test_beyond_the_room_there_is_429_with_when_to_come_again(
    upstream: ScriptedUpstream, start_rest: StartRest
) -> None:
    proxy = await start_rest(max_in_flight=1, deadline="30s")
    first = asyncio.create_task(proxy.infer("hold/a"))
    while not upstream.started:
        await asyncio.sleep(0.01)
    answer = await proxy.infer("1/b")
    assert (answer.status, answer.outcome) == (429, "shed_queue_full")
    assert int(answer.headers["Retry-After"]) >= 1
    upstream.released.set()
    assert (await first).status == 200
    assert await proxy.books() == {"ok": 1, "shed_queue_full": 1}


async def test_a_stopping_proxy_finishes_what_it_has_and_refuses_the_rest_with_503(
    upstream: ScriptedUpstream, start_rest: StartRest
) -> None:
    proxy = await start_rest(deadline="30s", drain_grace="20s")
    assert (await proxy.ask("GET", "/v2/health/ready")).status == 200
    first = asyncio.create_task(proxy.infer("hold/a"))
    while not upstream.started:
        await asyncio.sleep(0.01)
    stopping = asyncio.create_task(proxy.running.proxy.stop())
    await asyncio.sleep(0)
    answer = await proxy.infer("1/b")
    assert (answer.status, answer.outcome) == (503, "draining")
    assert answer.headers["Connection"] == "close"
    assert "Retry-After" in answer.headers
    assert (await proxy.ask("GET", "/v2/health/ready")).status == 503
    upstream.released.set()
    assert (await first).status == 200
    await stopping
    assert proxy.running.proxy._ledger.in_flight == 0
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await proxy.raw()


async def test_a_stop_that_has_waited_long_enough_answers_503(
    upstream: ScriptedUpstream, start_rest: StartRest
) -> None:
    proxy = await start_rest(deadline="50s", drain_grace="300ms")
    first = asyncio.create_task(proxy.infer("hold/a"))
    while not upstream.started:
        await asyncio.sleep(0.01)
    await proxy.running.proxy.stop()
    answer = await first
    assert (answer.status, answer.outcome) == (503, "draining")


@pytest.mark.parametrize(
    ("word", "status", "outcome"),
    [
        ("garbage", 502, "upstream_invalid"),
        ("empty", 502, "upstream_invalid"),
        ("status:3", 400, "rejected_invalid"),
        ("status:4", 504, "deadline_in_flight"),
        ("status:5", 404, "rejected_invalid"),
        ("status:7", 403, "upstream_error"),
        ("status:8", 429, "upstream_error"),
        ("status:9", 400, "upstream_error"),
        ("status:12", 501, "upstream_error"),
        ("status:13", 500, "upstream_error"),
        ("status:2", 500, "upstream_error"),
    ],
)
async def test_what_an_upstream_says_has_its_status(
    start_rest: StartRest, word: str, status: int, outcome: str
) -> None:
    proxy = await start_rest(deadline="30s")
    answer = await proxy.infer(f"{word}/a")
    assert (answer.status, answer.outcome) == (status, outcome)
    assert answer.document["error"]
    if word.startswith("status"):
        assert answer.headers["scripted"] == "yes"
    assert await proxy.books() == {outcome: 1}


async def test_an_upstream_that_is_not_there_is_503(upstream: ScriptedUpstream, start_rest: StartRest) -> None:
    proxy = await start_rest(deadline="30s")
    await upstream.stop()
    answer = await proxy.infer("1/a")
    assert (answer.status, answer.outcome) == (503, "upstream_unavailable")


async def test_an_answer_that_cannot_have_the_form_asked_for_is_not_booked_as_one(
    start_rest: StartRest, echo: str
) -> None:
    proxy = await start_rest(upstream=echo, deadline="30s")
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}}
    text = json.dumps({"inputs": [tensor]}).encode()
    answer = await proxy.post(text + b"\1\0\0\0\xff", Inference_Header_Content_Length=str(len(text)))
    assert (answer.status, answer.outcome) == (400, "rejected_invalid")
    assert "ask for it with binary_data true" in answer.document["error"]
    assert await proxy.books() == {"rejected_invalid": 1}


# -- too much ----------------------------------------------------------------------------------------------------------


async def in_chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size >> 16):
        yield bytes(1 << 16)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (bytes(2 << 20), {}, "1048576 bytes allowed (--rest-max-json-mib)"),
        (3 << 20, {}, "1048576 bytes allowed (--rest-max-json-mib)"),
        (3 << 20, {"Inference-Header-Content-Length": "9"}, "2097152 bytes allowed (--max-message-mib)"),
        (bytes(2 << 20) + b"x", {"Inference-Header-Content-Length": "9"}, "2097152 bytes allowed (--max-message-mib)"),
        (bytes(2 << 20), {"Inference-Header-Content-Length": "1048577"}, "send large tensors as binary data"),
        (gzip.compress(bytes(50 << 20)), {"Content-Encoding": "gzip"}, "more than the 1048576 bytes allowed"),
        (
            zlib.compress(bytes(50 << 20)),
            {"Content-Encoding": "deflate", "Inference-Header-Content-Length": "9"},
            "more than the 2097152 bytes allowed",
        ),
    ],
    ids=["said", "in-chunks", "binary-in-chunks", "binary-said", "its-json", "gzip-bomb", "deflate-bomb"],
)
async def test_what_is_larger_than_allowed_is_413(
    upstream: ScriptedUpstream, start_rest: StartRest, body: Any, headers: dict[str, str], expected: str
) -> None:
    proxy = await start_rest(deadline="30s", rest_max_json_mib=1, max_message_mib=2)
    answer = await proxy.post(in_chunks(body) if isinstance(body, int) else body, **headers)
    assert (answer.status, answer.outcome) == (413, "rejected_limit")
    assert expected in answer.document["error"]
    assert upstream.started == []
    assert await proxy.books() == {"rejected_limit": 1}


async def test_bodies_that_wait_are_held_within_the_bound_and_given_back(start_rest: StartRest) -> None:
    proxy = await start_rest(deadline="30s", max_held_mib=1)
    reader, writer = await proxy.raw()
    size = 1 << 20
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nInference-Header-Content-Length: 9\r\n"
    writer.write(head + b"Content-Length: %d\r\n\r\n" % size + bytes(size - 1000))
    held = proxy.running.proxy._held
    while held.bytes < size - 1000:
        await asyncio.sleep(0.01)
    answer = await proxy.post(bytes(2000), Inference_Header_Content_Length="9")
    assert (answer.status, answer.outcome) == (429, "shed_queue_full")
    assert "--max-held-mib" in answer.document["error"]
    writer.close()
    assert await proxy.books() == {"shed_queue_full": 1, "client_cancelled": 1}
    assert await reader.read() == b""


# -- too slow, and gone ------------------------------------------------------------------------------------------------


async def test_a_body_that_does_not_come_ends_at_the_deadline_with_504(start_rest: StartRest) -> None:
    proxy = await start_rest(deadline="30s")
    reader, writer = await proxy.raw()
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\ntailgate-deadline-ms: 200\r\n\r\n"
    writer.write(head + b'{"inputs"')
    answer = await reader.read()  # it is not waited for, either
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"\r\ntailgate-outcome: deadline_in_flight\r\n" in answer
    writer.close()
    assert await proxy.books() == {"deadline_in_flight": 1}


async def test_who_leaves_is_booked_and_the_upstreams_work_cancelled(
    upstream: ScriptedUpstream, start_rest: StartRest, make_document: MakeDocument
) -> None:
    proxy = await start_rest(deadline="30s")
    body = make_document("hold/a")
    for part in (body, body[:-5], b""):
        _, writer = await proxy.raw()
        head = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
        received = (await proxy.scrape())["received"]
        writer.write(head + part)
        while (await proxy.scrape())["received"] == received or (part == body and not upstream.started):
            await asyncio.sleep(0.01)
        writer.close()
    while not upstream.cancelled:
        await asyncio.sleep(0.01)
    assert await proxy.books() == {"client_cancelled": 3}


@pytest.mark.parametrize("body", [b"zz\r\n", b"3\r\nabcX\r\n", b"-1\r\n\r\n"], ids=["no-size", "no-end", "negative"])
async def test_chunks_that_are_none_never_become_a_body(start_rest: StartRest, body: bytes) -> None:
    proxy = await start_rest(deadline="2s")
    reader, writer = await proxy.raw()
    writer.write(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    while (await proxy.scrape())["received"] == 0:
        await asyncio.sleep(0.01)
    writer.write(body)
    assert (await reader.readexactly(12)) in (b"HTTP/1.1 400", b"HTTP/1.1 504")
    writer.close()
    (booked,) = await proxy.books()
    assert booked in ("rejected_invalid", "deadline_in_flight")  # by which of the two aiohttp says first


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET\r\n\r\n"])
async def test_what_is_no_http_is_no_arrival(start_rest: StartRest, junk: bytes) -> None:
    proxy = await start_rest()
    reader, writer = await proxy.raw()
    writer.write(junk + b"\r\n\r\n")
    answer = await reader.read()
    assert answer == b"" or answer.startswith(b"HTTP/1.")
    writer.close()
    assert (await proxy.scrape())["received"] == 0
    assert (await proxy.infer("1/a")).status == 200


# -- nobody's ----------------------------------------------------------------------------------------------------------


async def test_without_a_token_that_may_infer_there_is_401_or_403_before_any_body(
    upstream: ScriptedUpstream, start_rest: StartRest, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    lines = [f"{name} {name} sha256:{hashlib.sha256(name.encode()).hexdigest()}\n" for name in ("infer", "label")]
    tokens.write_text("".join(lines))
    tokens.chmod(0o600)
    proxy = await start_rest(tokens=str(tokens), admin_open=True)
    for authorization, status in ((None, 401), ("Bearer wrong", 401), ("Bearer label", 403), ("Bearer infer", 200)):
        headers = {} if authorization is None else {"authorization": authorization}
        answer = await proxy.infer(f"1/{status}", **headers)
        assert answer.status == status
        assert (answer.headers.get("WWW-Authenticate") is not None) == (status == 401)
    assert upstream.started == ["1/200"]
    assert "authorization" not in dict(upstream.metadata["1/200"])
    head = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n"
    reader, writer = await proxy.raw()
    writer.write(head)
    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 401 Unauthorized\r\n"
    writer.close()
    assert await proxy.books() == {"rejected_auth": 4, "ok": 1}
