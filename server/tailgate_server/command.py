"""The command `tailgate server`: from options to a running server to its exit status."""

from __future__ import annotations

import argparse
import sys

from tailgate.cli import EXIT_MISSED, EXIT_OK, Command
from tailgate_server.options import Options, configure, read_options


def run(namespace: argparse.Namespace) -> int:
    """Serve until a signal to stop; returns the exit status."""
    import asyncio
    import logging
    import os

    options = read_options(namespace)
    logging.basicConfig(
        level=namespace.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    status, at_rest = asyncio.run(_serve(options))
    if not at_rest:
        # A model that does not return would keep the interpreter from ending, for ever if it hangs.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(status)
    return status


async def _serve(options: Options) -> tuple[int, bool]:
    """Exit status, and whether every model is at rest."""
    import asyncio
    import gc
    import signal

    from tailgate_server.app import App
    from tailgate_server.loading import load_models

    app = App(
        options.host,
        options.port,
        max_queue=options.max_queue,
        max_message_bytes=options.max_message_bytes,
        execution_log=options.execution_log,
    )
    try:
        models = await asyncio.to_thread(load_models, options)
        await app.start(models)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, app.ask_to_stop)
        # What is here now stays until the end: the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        sys.stdout.write(f"tailgate server listening on {app.address}\n")
        sys.stdout.flush()
        await app.wait()
    finally:
        gc.unfreeze()  # libraries complain at exit about objects that were never collected
        at_rest = await app.stop(options.grace_s)
    if app.failure is not None:
        sys.stderr.write(f"tailgate server: stopped, because it can serve no more: {app.failure}\n")
        return EXIT_MISSED, at_rest
    return EXIT_OK, at_rest


COMMAND = Command("Serve models over the Open Inference Protocol (gRPC).", configure, run)
