"""Clients over HTTP that ask whether to send a body, ``Expect: 100-continue``: told once it is known that it is wanted.

aiohttp by itself tells them before anybody has looked at who asks.
"""

from __future__ import annotations

from aiohttp import hdrs, web


async def expect_nothing(_request: web.Request) -> None:
    """To be given to aiohttp's router instead of its own: says nothing yet."""


async def ask_for_body(request: web.Request) -> None:
    """To be called before a body is read: whoever waits for a word is told to go on."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and not request.content.is_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # that was no answer
