"""The program a worker process runs: `python -m tailgate_proxy.workers.worker NUMBER CORE`, started by a supervisor.

Imports little at first: a library's threads keep the cores they were started on, so the worker pins itself before them.
"""

from __future__ import annotations

import contextlib
import os
import sys

STDIN, STDOUT, STDERR = 0, 1, 2


def main(number: int, core: int) -> int:
    """Be worker `number` on `core`; returns the exit status."""
    supervisor = os.getppid()
    pinned = _pin(core)
    # The report has the real standard output to itself; whatever else is printed stands with the logs.
    report_to = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)

    import logging

    from tailgate.cli import EXIT_OK, EXIT_UNUSABLE
    from tailgate.config import Address
    from tailgate.errors import UsageError
    from tailgate_proxy.serving import run_proxy
    from tailgate_proxy.workers.handover import Handover, Report

    try:
        handover = Handover.read(sys.stdin.buffer)
    except EOFError:
        return EXIT_OK  # the supervisor is gone already
    logging.basicConfig(
        level=handover.log_level, format=f"%(asctime)s %(levelname)s worker {number} %(name)s: %(message)s"
    )
    if not pinned:
        logging.getLogger(__name__).warning("not pinned: core %d is not allowed any more", core)

    def report(what: Report) -> None:
        # A supervisor that is gone is noticed by the end of standard input.
        with contextlib.suppress(OSError), os.fdopen(report_to, "wb") as stream:
            stream.write(what.encode())

    def ready(_listen: Address, admin: Address, _rest: Address | None) -> None:
        report(Report(admin=str(admin)))

    try:
        run_proxy(
            handover.plan.config,
            ready,
            reuse_port=True,
            lifeline=STDIN,
            siblings=handover.plan.siblings,
            source=handover.plan.source,
        )
    except UsageError as mistake:
        report(Report(mistake=str(mistake)))
        return EXIT_UNUSABLE
    finally:
        if handover.plan.siblings is not None and os.getppid() != supervisor:
            # Nobody else is left to remove it, and the last worker finds it empty.
            with contextlib.suppress(OSError):
                handover.plan.siblings.folder.rmdir()
    return EXIT_OK


def _pin(core: int) -> bool:
    try:
        os.sched_setaffinity(0, {core})
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
