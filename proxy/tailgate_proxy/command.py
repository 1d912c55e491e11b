"""`tailgate proxy`: options, configuration file, signals."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tailgate.cli import EXIT_OK, Command

if TYPE_CHECKING:
    from tailgate.config import Address


def _configure(parser: argparse.ArgumentParser) -> None:
    # Defaults live in the configuration, so that an option left out never hides what a file says.
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="TOML file; options win over it")
    add("--upstream", metavar="HOST:PORT", help="the V2 gRPC server behind the proxy")
    add("--deadline", metavar="DURATION", help="of requests for which nothing else sets one, such as 50ms")
    add("--listen", metavar="HOST:PORT", help="where to serve gRPC (127.0.0.1:9001)")
    add("--admin", metavar="HOST:PORT", help="where to serve metrics, health and status (127.0.0.1:9090)")
    add("--mode", metavar="MODE", help="at the deadline: 'enforce', 'observe' or 'default-answer' (enforce)")
    add("--default-answer", type=Path, metavar="FILE", help="V2 answer in JSON for mode 'default-answer' (none)")
    add("--late-share", type=float, metavar="SHARE", help="share of late calls that run on, unseen, to be scored (0)")
    add("--late-patience", metavar="DURATION", help="how long after its deadline such a call may run (1s)")
    add("--objective", type=float, metavar="SHARE", help="time-critical accuracy that models are to have (none)")
    add(
        "--floor",
        type=float,
        metavar="SHARE",
        help="of a single minute; less is an incident (follows from --objective)",
    )
    add("--slices", metavar="NAMES", help="groups of requests to count apart, by metadata tailgate-slice (none)")
    add("--label-wait", metavar="DURATION", help="that a request waits for a label given afterwards (15m)")
    add("--label-settle", metavar="DURATION", help="for which such a label may be corrected (0s)")
    add("--window-wait", metavar="DURATION", help="after its end for which a minute waits for labels (10s)")
    add("--confidences", type=int, metavar="N", help="answers a second whose confidence is looked at (100)")
    add("--max-predictions", type=int, metavar="N", help="requests that wait for a label at once (50000)")
    add("--max-labels", type=int, metavar="N", help="labels that wait for their request at once (10000)")
    add("--trace", metavar="DIR", help="folder to write the trace to (none)")
    add("--max-in-flight", type=int, metavar="N", help="refuse requests beyond so many at once (1024)")
    add("--max-message-mib", type=int, metavar="N", help="largest request or answer (64)")
    add("--max-held-mib", type=int, metavar="N", help="requests held at once, in all (1024)")
    add("--max-connections", type=int, metavar="N", help="clients connected at once (10000)")
    add("--max-connections-per-peer", type=int, metavar="N", help="the same from one address (1000)")
    add("--handshake-timeout", metavar="DURATION", help="for a client to complete what it has begun (10s)")
    add("--stall-timeout", metavar="DURATION", help="that answers may wait for a client that does not read (30s)")
    add("--idle-timeout", metavar="DURATION", help="that a connection may be without a call (1h)")
    add("--drain-grace", metavar="DURATION", help="longest wait for requests in flight when told to stop (10s)")
    add("--workers", type=int, metavar="N", help="processes that share the port, each pinned to a core (1)")
    add("--discovery", metavar="FILE", help="JSON file that tells Prometheus where the metrics are (none)")
    add("--loop", metavar="LOOP", help="event loop: 'asyncio', 'uvloop', or 'auto': uvloop if installed (auto)")
    add("--tls-cert", type=Path, metavar="FILE", help="serve clients over TLS with this certificate chain in PEM")
    add("--tls-key", type=Path, metavar="FILE", help="its private key")
    add("--tls-client-ca", type=Path, metavar="FILE", help="clients must show a certificate of these authorities")
    add("--upstream-tls", action="store_true", default=None, help="call the upstream over TLS")
    add("--upstream-ca", type=Path, metavar="FILE", help="authorities of the upstream's certificate (the system's)")
    add("--upstream-cert", type=Path, metavar="FILE", help="certificate chain to show to the upstream")
    add("--upstream-key", type=Path, metavar="FILE", help="its private key")
    add("--upstream-server-name", metavar="NAME", help="name on the upstream's certificate (the host of --upstream)")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"), help="what to log")


def _run(options: argparse.Namespace) -> int:
    from tailgate.config import read_config
    from tailgate_proxy.config import ProxyConfig
    from tailgate_proxy.workers.discovery import discovery

    given = {name: value for name, value in vars(options).items() if name in ProxyConfig.model_fields}
    config = read_config(ProxyConfig, options.config, given)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with discovery(config.discovery) as publish:
        if config.workers > 1:
            from tailgate_proxy.workers.supervisor import supervise

            return asyncio.run(supervise(config, publish, _announce))

        from tailgate_proxy.serving import run_proxy

        def ready(listen: Address, admin: Address) -> None:
            publish({0: admin})
            _announce(listen, [admin])

        run_proxy(config, ready)
    return EXIT_OK


def _announce(listen: Address, admins: Sequence[Address]) -> None:
    """Say that clients may come: one line, which scripts wait for and read the ports from."""
    print(f"tailgate proxy listening on {listen}, admin on {', '.join(map(str, admins))}", flush=True)


COMMAND = Command("enforce deadlines in front of a V2 gRPC server and observe every request", _configure, _run)
