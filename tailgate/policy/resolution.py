"""Which servers a host name stands for, by what its resolutions answered.

A name with one address is one server, however it is reached; so is one with an IPv4 and an IPv6 address, as most names
of one machine have. A name with several addresses of one family stands for as many servers, and from then on each goes
by its address. An address is gone only when it is missing from several answers in a row: some name servers answer with
a part of what they know, another part each time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

ANSWERS: Final = 3
"""So many answers in a row have to leave an address out."""


class Resolution:
    """One name.

    >>> resolution = Resolution()
    >>> resolution.answered(["10.0.0.1"]), resolution.answered(["10.0.0.1", "10.0.0.2"])
    ((), ('10.0.0.1', '10.0.0.2'))
    """

    def __init__(self) -> None:
        """Nothing was answered yet."""
        self._answers: deque[tuple[str, ...]] = deque(maxlen=ANSWERS)
        self._several = False

    def answered(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """The addresses of its servers, in order; none where it stands for one server, which goes by the name.

        Args:
            addresses: What was answered. An answer that is empty or could not be had is to be left out.
        """
        self._answers.append(tuple(addresses))
        recent = sorted({address for answer in self._answers for address in answer})
        four = [address for address in recent if ":" not in address]
        six = [address for address in recent if ":" in address]
        servers = six if len(six) > len(four) else four
        self._several = self._several or len(servers) > 1
        return tuple(servers) if self._several else ()
