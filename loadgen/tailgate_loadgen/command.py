"""`tailgate load`: what the command line offers. The work starts in `run`, whose imports are heavy."""

from __future__ import annotations

import argparse

from tailgate.cli import Command
from tailgate_loadgen.options import ARRIVALS, INTERPOLATIONS, ON_DEADLINE, PAYLOADS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add = parser.add_argument
    add("--target", required=True, metavar="HOST:PORT", help="proxy or model server that speaks the V2 protocol")
    add("--model", required=True, metavar="NAME", help="model to ask")
    add(
        "--dataset",
        required=True,
        metavar="SPEC",
        help="digits, imagefolder:PATH or imagenet:PATH; loadgen/README.md says where files must lie",
    )
    add("--trace", required=True, metavar="DIR", help="folder that takes client.trace and summary.json")
    add("--rate", type=float, default=100.0, metavar="R", help="requests a second")
    add("--arrivals", choices=ARRIVALS, default="poisson", help="how they are spaced")
    add("--deadline", default="100ms", metavar="TIME", help="counted from each request's scheduled instant")
    add("--passes", type=int, default=1, metavar="N", help="how often every sample is sent")
    add("--seed", type=int, default=0, metavar="N", help="of the order, the arrivals and the subset")
    add("--samples", type=int, metavar="N", help="a seeded subset of so many samples (without it: all)")
    add("--payload", choices=PAYLOADS, default="uint8", help="pixels, encoded files, or pixels as FP32 in 0 to 1")
    add(
        "--on-deadline",
        choices=ON_DEADLINE,
        default="cancel",
        help="cancel: gRPC's timeout is the deadline; wait: the deadline travels as metadata and late answers are seen",
    )
    add(
        "--min-quality",
        metavar="Q@TIME",
        help="exit 1 unless the mean over all passes of the share right within TIME is at least Q, such as 0.95@50ms",
    )
    add(
        "--max-lag",
        metavar="TIME",
        help="the run is invalid if its own p99 lag is above this (without it: 2%% of the deadline, at least 1ms)",
    )
    add(
        "--warmup",
        type=int,
        default=20,
        metavar="N",
        help="requests sent first, one by one, without label, outside all passes",
    )
    add("--resize", type=int, metavar="PX", help="shorter side before the crop (without it: what the model says)")
    add("--crop", type=int, metavar="PX", help="height and width sent (without it: what the model says)")
    add("--interpolation", choices=INTERPOLATIONS, help="filter of the resize (without it: what the model says)")
    add("--cache", metavar="DIR", help="folder of prepared images (without it: $XDG_CACHE_HOME/tailgate)")
    add("--quiet", action="store_true", help="no progress and no table")


def run(namespace: argparse.Namespace) -> int:
    """Replay as the options say; returns the exit status."""
    from tailgate_loadgen.options import read_options
    from tailgate_loadgen.run import execute

    return execute(read_options(namespace))


COMMAND = Command("replay a labelled data set in open loop and score every answer", configure, run)
