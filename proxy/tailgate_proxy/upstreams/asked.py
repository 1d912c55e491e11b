"""A call that is made whole: a question of the proxy's own, or a call that is no inference and is passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tailgate.http2.events import Field, Headers
from tailgate_proxy.call import MOST_TRIES, Answer, Caller, CallFailed, Leg
from tailgate_proxy.steps.forward import call_headers


class Asked:
    """Such a call: a `Caller`. Its `answer` is done when it is over."""

    def __init__(
        self, begin: Callable[[Caller], None], path: bytes, body: bytes, fields: list[Field], timeout_s: float
    ) -> None:
        """Not begun yet; `begin` makes it, and makes it again where it was refused."""
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._until_s = self._loop.time() + timeout_s
        self._path = path
        self._body = body
        self._fields = fields
        self._leg: tuple[Leg, int] | None = None
        self._tries = 1
        self.answer: asyncio.Future[Answer] = self._loop.create_future()

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits."""
        return not self.answer.done()

    def headers(self, authority: bytes, *, tls: bool) -> Headers:
        """What the upstream is told."""
        return call_headers(self._path, authority, self._fields, self._until_s - self._loop.time(), tls=tls)

    def begun(self, leg: Leg, stream_id: int) -> None:
        """Send all of it."""
        self._leg = leg, stream_id
        leg.send(stream_id, self._body, end=True)

    def left(self, count: int) -> None:
        """Nobody counts that."""

    def answered(self, answer: Answer) -> None:
        """The end."""
        self._leg = None
        if not self.answer.done():
            self.answer.set_result(answer)

    def failed(self, failure: CallFailed) -> None:
        """The end, unless the upstream cannot have seen it."""
        self._leg = None
        if self.answer.done():
            return
        if failure.retryable and self._tries < MOST_TRIES:
            self._tries += 1
            self._begin(self)
        else:
            self.answer.set_exception(failure)

    def leave(self) -> None:
        """Nobody waits any more."""
        if self._leg is not None:
            leg, stream_id = self._leg
            self._leg = None
            leg.cancel(stream_id)
        self.answer.cancel()
