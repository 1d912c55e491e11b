"""What a supervisor and its worker say to each other.

To the worker, on its standard input: a `Handover`, once; then nothing, until the end of file says that the supervisor
is gone. From the worker, on its standard output: one line, a `Report`; what else it prints goes to standard error.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from typing import BinaryIO

from tailgate.config import Address
from tailgate_proxy.workers.plan import WorkerPlan


@dataclass(frozen=True)
class Handover:
    """All that a worker is told: what the supervisor checked once, so that no file is read a second time.

    Attributes:
        plan: What to be.
        log_level: As `logging` numbers them.
    """

    plan: WorkerPlan
    log_level: int

    def encode(self) -> bytes:
        """As bytes for a process of the same version."""
        return pickle.dumps(self)

    @staticmethod
    def read(stream: BinaryIO) -> Handover:
        """The handover at the beginning of a stream.

        Raises:
            EOFError: There is none.
        """
        found = pickle.load(stream)  # noqa: S301 - from our own supervisor, through a pipe that nobody else holds
        assert isinstance(found, Handover), found
        return found


@dataclass(frozen=True)
class Report:
    """How a worker's start went.

    Attributes:
        admin: Its admin address, when it is ready; else empty.
        mistake: Why it cannot serve, in one sentence for the user; empty when it is ready.
    """

    admin: str = ""
    mistake: str = ""

    def encode(self) -> bytes:
        """As one line."""
        return json.dumps({"admin": self.admin, "mistake": self.mistake}).encode() + b"\n"

    @staticmethod
    def decode(line: bytes) -> Report:
        """A report from its line."""
        return Report(**json.loads(line))

    @property
    def address(self) -> Address:
        """The admin address of a worker that is ready."""
        return Address.parse(self.admin)
