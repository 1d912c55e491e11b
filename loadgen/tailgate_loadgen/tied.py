"""Commands that end when whoever started them does, however that came about: on Linux, by the kernel's own hand.

A program for itself, too: `python tied.py PARENT COMMAND...` asks the kernel to send SIGTERM when its parent is gone,
and becomes the command, which keeps that. It is run without `site` and imports little, so that it costs some
milliseconds. Elsewhere than on Linux the command is started as it stands.

To the kernel the parent is the *thread* that started the command, so that has to be one that lives on: the main thread.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
"""From Linux's `sys/prctl.h`."""


def tied(command: Sequence[str]) -> list[str]:
    """The command line that runs a command tied to this process."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-IS", __file__, str(os.getpid()), *command]


def main(parent: int, command: list[str]) -> None:
    """Become the command; returns only if the parent was gone before.

    Raises:
        OSError: The command cannot be run, or the kernel refuses.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() == parent:  # asked after, so that it cannot have ended unnoticed in between
        os.execv(command[0], command)  # noqa: S606 - the command we were started for


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
