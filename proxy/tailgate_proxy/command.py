"""`tailgate proxy`: what its options lead to."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tailgate.cli import EXIT_OK, EXIT_UNUSABLE, Command
from tailgate_proxy.options import add_options

if TYPE_CHECKING:
    from tailgate.config import Address


def _run(options: argparse.Namespace) -> int:
    from tailgate.config import read_config
    from tailgate_proxy.config import ProxyConfig
    from tailgate_proxy.reload.source import Source
    from tailgate_proxy.workers.discovery import discovery

    given = {name: value for name, value in vars(options).items() if name in ProxyConfig.model_fields}
    if options.check:
        return _check(options.config, given)
    config = read_config(ProxyConfig, options.config, given)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    source = None if options.config is None else Source(options.config, given, config)
    with discovery(config.discovery) as publish:
        if config.workers > 1:
            from tailgate_proxy.workers.supervisor import supervise

            return asyncio.run(supervise(config, publish, _announce, source))

        from tailgate_proxy.serving import run_proxy

        def ready(listen: Address, admin: Address, rest: Address | None) -> None:
            publish({0: admin})
            _announce(listen, [admin], rest)

        run_proxy(config, ready, reuse_port=config.reuse_port, source=source)
    return EXIT_OK


def _check(file: Path | None, given: dict[str, object]) -> int:
    from tailgate.errors import ConfigMistakes
    from tailgate_proxy.checking import describe, read_and_check

    try:
        config = read_and_check(file, given)
    except ConfigMistakes as mistakes:
        for sentence in mistakes.sentences:
            print(f"tailgate proxy: {sentence}", file=sys.stderr)
        return EXIT_UNUSABLE
    print(describe(config))
    return EXIT_OK


def _announce(listen: Address, admins: Sequence[Address], rest: Address | None) -> None:
    """Say that clients may come: the last line is what scripts wait for and read the ports from."""
    if rest is not None:
        print(f"tailgate proxy serves V2 over HTTP on {rest}")
    print(f"tailgate proxy listening on {listen}, admin on {', '.join(map(str, admins))}", flush=True)


COMMAND = Command("enforce deadlines in front of a V2 gRPC server and observe every request", add_options, _run)
