"""`tailgate load`: what the command line offers. The work starts in `run`, whose imports are heavy."""

from __future__ import annotations

import argparse

from tailgate.cli import Command
from tailgate_loadgen.arrival_spec import FORMS
from tailgate_loadgen.calls import CLIENTS, DEFAULT_CLIENT
from tailgate_loadgen.credentials import add_credential_options
from tailgate_loadgen.options import DEFAULT_RATE, INTERPOLATIONS, ON_DEADLINE, PAYLOADS
from tailgate_loadgen.seeds import SEED_NAMES


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser, and the commands under it."""
    _add_options(parser)
    actions = parser.add_subparsers(dest="load_action", metavar="{calibrate,merge,search}", title="instead of one run")
    summary = "measure what one process of this machine can send, which runs are then held against"
    _add_calibrate_options(
        actions.add_parser("calibrate", help=summary, description=summary, formatter_class=parser.formatter_class)
    )
    summary = "join the records of a run's shards, after checking that they belong together"
    _add_merge_options(
        actions.add_parser("merge", help=summary, description=summary, formatter_class=parser.formatter_class)
    )
    summary = "find the highest rate at which the quality within the deadline holds"
    search = actions.add_parser("search", help=summary, description=summary, formatter_class=parser.formatter_class)
    _add_options(search)
    _add_search_options(search)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--target", metavar="HOST:PORT", help="proxy or model server that speaks the V2 protocol")
    add("--model", metavar="NAME", help="model to ask")
    add(
        "--dataset",
        metavar="SPEC",
        help="digits, imagefolder:PATH or imagenet:PATH; loadgen/README.md says where files must lie",
    )
    add("--trace", metavar="DIR", help="folder that takes client.trace and summary.json")
    add("--rate", type=float, metavar="R", help=f"requests a second (without it: {DEFAULT_RATE:g}, or as recorded)")
    add("--arrivals", default="poisson", metavar="KIND", help=f"how they are spaced: {FORMS}")
    add("--deadline", default="100ms", metavar="TIME", help="counted from each request's scheduled instant")
    add(
        "--passes", type=int, default=1, metavar="N", help="how often every sample is sent; the next two end it earlier"
    )
    add("--until-stable", action="store_true", help="until times keep their distribution: rJSD of at most 0.05")
    add("--tolerance", type=float, metavar="X", help="until the foretold p1 is known to within so large a share: 0.01")
    add("--seed", type=int, default=0, metavar="N", help="of everything random")
    for name in SEED_NAMES:
        add(f"--seed-{name}", type=int, metavar="N", help=f"of the {name} alone (without it: derived from --seed)")
    add("--samples", type=int, metavar="N", help="a seeded subset of so many samples (without it: all)")
    add("--payload", choices=PAYLOADS, default="uint8", help="pixels, encoded files, or pixels as FP32 in 0 to 1")
    add(
        "--on-deadline",
        choices=ON_DEADLINE,
        default="cancel",
        help="cancel: gRPC's timeout is the deadline; wait: the deadline travels as metadata and late answers are seen",
    )
    _add_client(parser)
    add_credential_options(parser)
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
    add("--keep-answers", type=int, default=0, metavar="N", help="keep the answers to so many requests drawn at random")
    add(
        "--condition",
        metavar="NAME=WHAT",
        help="contention on this machine in the run: none, cpu:N (busy processes), memory:GIB (copied all the time)",
    )
    add("--procs", default="1", metavar="N", help="processes that send, on this machine; auto: as many as it takes")
    add(
        "--calibration",
        metavar="FILE",
        help="what this machine can send (without it: in the cache); none: ask for none",
    )
    add("--shard", metavar="K/N", help="send only requests K, K + N, K + 2 N … of the schedule")
    add("--start-at", type=float, metavar="T", help="start the clock then, in seconds since 1970")
    add("--run-id", metavar="ID", help="first part of every request's id (without it: random)")
    add("--quiet", action="store_true", help="no progress and no table")


def _add_client(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--client",
        choices=CLIENTS,
        default=DEFAULT_CLIENT,
        help="what makes the calls: our own, which is less late; or gRPC's own library, as a check on it",
    )


def _add_calibrate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--size", type=int, action="append", metavar="BYTES", help="of a tensor, as often as wanted (without it: four)")
    add("--time", default="1s", metavar="TIME", help="how long each of three rounds takes")
    add("--calibration", metavar="FILE", help="where it is kept (without it: in the cache)")
    add("--cache", metavar="DIR", help="as for a run")
    _add_client(parser)


def _add_merge_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folders", nargs="+", metavar="DIR", help="what --trace was in each shard")
    add("--trace", required=True, metavar="DIR", help="folder that takes client.trace and summary.json of the whole")
    add("--min-quality", metavar="Q@TIME", help="as for a run")
    add("--quiet", action="store_true", help="no table")


def _add_search_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--target-quality", type=float, metavar="Q", help="share that has to be right within the deadline")
    add("--max-rate", type=float, default=100_000.0, metavar="R", help="no rate above this is tried")
    add("--precision", type=float, default=0.05, metavar="X", help="how close, as a share of the rate")
    add("--probe-time", default="10s", metavar="TIME", help="how long each rate is tried at least")


def run(namespace: argparse.Namespace) -> int:
    """Do as the options say; returns the exit status."""
    if namespace.load_action == "calibrate":
        from tailgate_loadgen.calibrate import calibrate

        return calibrate(namespace)
    if namespace.load_action == "merge":
        from tailgate_loadgen.merge import merge

        return merge(namespace)
    from tailgate_loadgen.options import read_options

    options = read_options(namespace)
    if namespace.load_action == "search":
        from tailgate_loadgen.search import read_search
        from tailgate_loadgen.search_run import execute_search

        return execute_search(options, read_search(namespace, options))
    from tailgate_loadgen.run import execute

    return execute(options)


COMMAND = Command("replay a labelled data set in open loop and score every answer", configure, run)
