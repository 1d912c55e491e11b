"""The shell around `images`: a few threads, a bound on how much waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from tailgate.errors import Overloaded
from tailgate_server.images import decode_image
from tailgate_server.signature import Preprocessing


class Decoder:
    """Decodes the images of requests off the event loop."""

    def __init__(self, threads: int, max_waiting: int) -> None:
        """Decode in `threads` threads, at most `max_waiting` requests at a time including those that wait."""
        self._executor = ThreadPoolExecutor(threads, "decode")
        self._max_waiting = max_waiting
        self._waiting = 0

    async def decode(self, encoded: Sequence[bytes], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
        """The images of one request as uint8 `[len(encoded), 3, H, W]`.

        A caller that is cancelled takes its images out of the line, unless they are being decoded already.

        Raises:
            InvalidRequest: One of them is no image that is taken.
            Overloaded: Too many requests wait for decoding already.
        """
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"{self._waiting} requests are waiting for their images to be decoded; try later")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, _decode_all, encoded, preprocessing)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Take no more; what is being decoded is left to itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _decode_all(encoded: Sequence[bytes], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    return np.stack([decode_image(image, preprocessing, index) for index, image in enumerate(encoded)])
