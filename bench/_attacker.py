"""One attack, again and again, for `bench/abuse.py`.

    python bench/_attacker.py HOST PORT SECONDS CASE

Prints how often it was done, and how often the attacker did not see what it should have. Gives way to everybody else on
its core: it is the proxy's time that shall be fought for.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from fuzz.adversary.case import Case
from fuzz.adversary.cases import CASES
from fuzz.adversary.peer import Target
from tailgate.protocol.envelope import RequestFrame

MESSAGE = RequestFrame("resnet50", "image", "UINT8", (1, 1000)).build("attacker", bytes(1000))


async def attack(target: Target, case: Case, seconds: float) -> tuple[int, int]:
    """Returns how often, and how often in vain."""
    until_s = time.monotonic() + seconds
    done = failed = 0
    while time.monotonic() < until_s:
        try:
            async with asyncio.timeout(max(0.1, until_s - time.monotonic())):
                await case.attack(target)
        except TimeoutError:
            break
        except AssertionError:
            failed += 1
        done += 1
    return done, failed


if __name__ == "__main__":
    host, port, seconds, name = sys.argv[1:]
    os.nice(10)
    chosen = next(case for case in CASES if case.name == name)
    print(*asyncio.run(attack(Target(host, int(port), MESSAGE, MESSAGE), chosen, float(seconds))))
