"""The options of `tailgate proxy`, in the groups in which people look for them.

Defaults live in the configuration, so that an option left out never hides what a file says.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Teach a parser all of them."""
    _add_configuration(parser)
    _add_places(parser.add_argument_group("Ports, and what is behind them"))
    _add_access(parser.add_argument_group("Who is let in, and TLS"))
    _add_promises(parser.add_argument_group("Deadlines, and what is promised"))
    _add_labels(parser.add_argument_group("Labels and the trace"))
    _add_limits(parser.add_argument_group("Admission and limits"))


def _add_configuration(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="TOML file; options win over it")
    add("--check", action="store_true", help="say all that is wrong with file and options, or what they mean, and end")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"), help="what to log")


def _add_places(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--upstream", metavar="HOST:PORT", help="the V2 gRPC server behind the proxy; several with commas")
    add("--upstream-profile", metavar="KIND", help="what kind of server that is, such as 'mlserver' (generic)")
    add("--listen", metavar="HOST:PORT", help="where to serve gRPC (127.0.0.1:9001)")
    add("--admin", metavar="HOST:PORT", help="where to serve metrics, health and status (127.0.0.1:9090)")
    add("--rest", metavar="HOST:PORT", help="where to serve V2 over HTTP (nowhere)")
    add("--rest-max-json-mib", type=int, metavar="N", help="longest JSON of a request over HTTP (4)")
    add("--discovery", metavar="FILE", help="JSON file that tells Prometheus where the metrics are (none)")
    add("--workers", type=int, metavar="N", help="processes that share the port, each pinned to a core (1)")
    add(
        "--reuse-port", action="store_true", default=None, help="let a proxy that says so, too, listen on the same port"
    )
    add("--loop", metavar="LOOP", help="event loop: 'asyncio', 'uvloop', or 'auto': uvloop if installed (auto)")


def _add_access(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--tokens", type=Path, metavar="FILE", help="let in only who has a token of this file (everybody)")
    add("--admin-open", action="store_true", default=None, help="who reaches the admin port may read there")
    add("--forward-metadata", metavar="NAMES", help="metadata that the upstream gets, '*': all (what tells of traces)")
    add("--tls-cert", type=Path, metavar="FILE", help="serve clients over TLS with this certificate chain in PEM")
    add("--tls-key", type=Path, metavar="FILE", help="its private key")
    add("--tls-client-ca", type=Path, metavar="FILE", help="clients must show a certificate of these authorities")
    add("--upstream-tls", action="store_true", default=None, help="call the upstream over TLS")
    add("--upstream-ca", type=Path, metavar="FILE", help="authorities of the upstream's certificate (the system's)")
    add("--upstream-cert", type=Path, metavar="FILE", help="certificate chain to show to the upstream")
    add("--upstream-key", type=Path, metavar="FILE", help="its private key")
    add("--upstream-server-name", metavar="NAME", help="name on the upstream's certificate (the host that is called)")


def _add_promises(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--deadline", metavar="DURATION", help="of requests for which nothing else sets one, such as 50ms")
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


def _add_labels(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--label-wait", metavar="DURATION", help="that a request waits for a label given afterwards (15m)")
    add("--label-settle", metavar="DURATION", help="for which such a label may be corrected (0s)")
    add("--window-wait", metavar="DURATION", help="after its end for which a minute waits for labels (10s)")
    add("--confidences", type=int, metavar="N", help="answers a second whose confidence is looked at (100)")
    add("--max-predictions", type=int, metavar="N", help="requests that wait for a label at once (50000)")
    add("--max-labels", type=int, metavar="N", help="labels that wait for their request at once (10000)")
    add("--trace", metavar="DIR", help="folder to write the trace to (none)")


def _add_limits(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--admission", metavar="MODE", help="requests at an upstream: 'adaptive', 'fixed' or 'off' (adaptive)")
    add("--upstream-limit", type=int, metavar="N", help="at an upstream at once; the most, if adaptive (none)")
    add("--false-refusals", type=float, metavar="SHARE", help="of refusals for lateness, at most (0.1)")
    add("--max-in-flight", type=int, metavar="N", help="refuse requests beyond so many at once (1024)")
    add("--max-message-mib", type=int, metavar="N", help="largest request or answer (64)")
    add("--max-held-mib", type=int, metavar="N", help="requests held at once, in all (1024)")
    add("--max-connections", type=int, metavar="N", help="clients connected at once (10000)")
    add("--max-connections-per-peer", type=int, metavar="N", help="the same from one address (1000)")
    add("--handshake-timeout", metavar="DURATION", help="for a client to complete what it has begun (10s)")
    add("--stall-timeout", metavar="DURATION", help="that answers may wait for a client that does not read (30s)")
    add("--idle-timeout", metavar="DURATION", help="that a connection may be without a call (1h)")
    add("--drain-grace", metavar="DURATION", help="longest wait for requests in flight when told to stop (10s)")
