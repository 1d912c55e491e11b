"""The body of a request as it comes: kept until it is whole, within bounds, and opened if it is compressed."""

from __future__ import annotations

from typing import Final

from tailgate.errors import Overloaded, TooLarge, UnsupportedMediaType
from tailgate_proxy.compression import decompress
from tailgate_proxy.held import Held

_CODINGS: Final = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


def coding_of(value: str) -> str:
    """How a body is compressed, by its ``Content-Encoding``: gzip, deflate, or empty where it is not.

    Raises:
        UnsupportedMediaType: In another way.
    """
    coding = _CODINGS.get(value.strip().lower())
    if coding is None:
        raise UnsupportedMediaType(f"Content-Encoding is {value!r}; expected gzip, deflate or none")
    return coding


class Body:
    """One body. What is kept of it counts as held."""

    def __init__(self, held: Held, max_bytes: int, option: str) -> None:
        """Nothing has come yet.

        Args:
            held: The bound on what waits in the proxy.
            max_bytes: The longest body, also once it is opened.
            option: Which option says so.
        """
        self._held = held
        self._max_bytes = max_bytes
        self._option = option
        self._pieces: list[bytes] = []
        self._size = 0

    def expect(self, size: int | None) -> None:
        """It is said to be so long; None where that is not said.

        Raises:
            TooLarge: That is more than allowed.
        """
        if size is not None and size > self._max_bytes:
            raise self._too_large()

    def add(self, piece: bytes) -> None:
        """More of it.

        Raises:
            TooLarge: It is longer than allowed.
            Overloaded: There is no room for it.
        """
        if self._size + len(piece) > self._max_bytes:
            raise self._too_large()
        self._hold(len(piece))
        self._pieces.append(piece)

    def open(self, coding: str) -> bytes:
        """All of it, in the clear; it is still held.

        Raises:
            TooLarge: It is longer than allowed; found out without unpacking the rest.
            Overloaded: There is no room for it.
            InvalidRequest: It is damaged.
        """
        whole = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        if coding:
            whole = decompress(whole, coding, self._max_bytes)
            self._hold(len(whole))
        return whole

    def release(self) -> None:
        """It is needed no longer."""
        self._held.give_back(self._size)
        self._size = 0
        self._pieces = []

    def _hold(self, count: int) -> None:
        if not self._held.take(count):
            raise Overloaded(f"the proxy holds {self._held.bytes} bytes, about as many as it may (--max-held-mib)")
        self._size += count

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the request's body has more than the {self._max_bytes} bytes allowed ({self._option})")
