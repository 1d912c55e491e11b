"""The options of `tailgate server`, as typed and as understood. Text to values; nothing is opened or loaded here."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tailgate.errors import ConfigError
from tailgate.protocol.names import MAX_NAME_LENGTH
from tailgate.units import parse_duration

DEFAULT_WEIGHTS = "DEFAULT"
DEVICES = ("auto", "cpu", "cuda")
LOG_LEVELS = ("debug", "info", "warning", "error")

# Names become labels of metrics and fields of traces, so they hold nothing that needs quoting there.
_MODEL_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME_LENGTH}}}")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:]+):([0-9]{1,5})")


@dataclass(frozen=True)
class ModelSource:
    """One model to serve: its name, its architecture, and where its weights come from."""

    name: str
    architecture: str
    weights: str


@dataclass(frozen=True)
class Options:
    """Everything the server is told at its start.

    Attributes:
        models: At least one, names unique.
        device: Where models run.
        host: Address listened on, as typed.
        port: 0 lets the system choose.
        max_batch: Most images in one request and in one run of a model.
        max_queue_delay_s: Longest a request waits for company in its batch.
        max_queue: Most requests that wait for one model.
        threads: Threads one run of a model uses on the CPU.
        max_message_bytes: Largest request and answer.
        grace_s: How long requests in flight may take after a signal to stop.
        execution_log: File to say in what the models were given; None: no such file.
    """

    models: tuple[ModelSource, ...]
    device: Literal["auto", "cpu", "cuda"]
    host: str
    port: int
    max_batch: int
    max_queue_delay_s: float
    max_queue: int
    threads: int
    max_message_bytes: int
    grace_s: float
    execution_log: Path | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="NAME[=ARCH]",
        help="a model to serve: 'digits' or a torchvision classification architecture; may be repeated",
    )
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="[NAME=]SOURCE",
        help="DEFAULT (torchvision's own), a .safetensors, .pth or .pt file, or random:SEED; "
        f"with several models one NAME=SOURCE each (without it: {DEFAULT_WEIGHTS})",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where models run")
    parser.add_argument("--listen", default="127.0.0.1:8001", metavar="HOST:PORT", help="port 0: the system chooses")
    parser.add_argument("--max-batch", type=int, default=16, metavar="N", help="most images in one run of a model")
    parser.add_argument(
        "--max-queue-delay", default="0", metavar="TIME", help="longest wait for company in a batch, such as 2ms"
    )
    parser.add_argument("--max-queue", type=int, default=128, metavar="N", help="most requests waiting for one model")
    parser.add_argument(
        "--threads",
        type=int,
        default=None,
        metavar="N",
        help="CPU threads of one run of a model (without it: the CPUs less one, shared among the models)",
    )
    parser.add_argument("--max-message-mib", type=int, default=64, metavar="N", help="largest message in MiB")
    parser.add_argument("--grace", default="10s", metavar="TIME", help="longest wait for requests in flight at the end")
    parser.add_argument(
        "--execution-log", type=Path, metavar="FILE", help="append what the models were given, for tailgate audit"
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="what is logged to standard error")


def read_options(namespace: argparse.Namespace) -> Options:
    """The parsed arguments as checked values.

    Raises:
        ConfigError: One of them is out of range or contradicts another.
    """
    host, port = parse_listen(namespace.listen)
    models = _models(namespace.model, namespace.weights)
    threads = namespace.threads
    if threads is None:
        # One CPU is left to the event loop, which would otherwise wait for its turn behind the model.
        threads = max(1, (len(os.sched_getaffinity(0)) - 1) // len(models))
    delay = namespace.max_queue_delay.strip()
    return Options(
        models=models,
        device=namespace.device,
        host=host,
        port=port,
        max_batch=_within("--max-batch", namespace.max_batch, 1, 4096),
        max_queue_delay_s=0.0 if delay == "0" else parse_duration(delay, "--max-queue-delay"),
        max_queue=_within("--max-queue", namespace.max_queue, 1, 65536),
        threads=_within("--threads", threads, 1, 1024),
        # Above 2047 MiB gRPC's own limit, a signed 32-bit number, would overflow.
        max_message_bytes=_within("--max-message-mib", namespace.max_message_mib, 1, 2047) << 20,
        grace_s=parse_duration(namespace.grace, "--grace"),
        execution_log=namespace.execution_log,
    )


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of an address.

    Raises:
        ConfigError: It has another form.

    >>> parse_listen("127.0.0.1:8001"), parse_listen("[::1]:0")
    (('127.0.0.1', 8001), ('[::1]', 0))
    """
    match = _LISTEN.fullmatch(text.strip())
    if match is None or int(match[2]) > 65535:
        raise ConfigError(f"--listen is {text!r}; expected HOST:PORT with a port of 0 to 65535, such as 127.0.0.1:8001")
    return match[1], int(match[2])


def _models(given: list[str], weights: list[str]) -> tuple[ModelSource, ...]:
    architectures: dict[str, str] = {}
    for text in given:
        name, _, architecture = text.partition("=")
        if _MODEL_NAME.fullmatch(name) is None:
            raise ConfigError(
                f"--model is {text!r}; a name has 1 to {MAX_NAME_LENGTH} letters, digits, dots, dashes or underscores"
            )
        if name in architectures:
            raise ConfigError(f"--model names {name!r} twice; give the second one another name, as NAME=ARCH")
        architectures[name] = architecture or name
    sources: dict[str, str] = {}
    for text in weights:
        name, separator, source = text.partition("=")
        if not separator or name not in architectures:
            if len(architectures) > 1:
                raise ConfigError(
                    f"--weights is {text!r}, which names none of the models {', '.join(architectures)}; "
                    "with several models give NAME=SOURCE for each"
                )
            name, source = next(iter(architectures)), text
        if name in sources:
            raise ConfigError(f"--weights is given twice for the model {name!r}; give it once")
        if not source:
            raise ConfigError(f"--weights for the model {name!r} is empty; give DEFAULT, a file or random:SEED")
        sources[name] = source
    return tuple(
        ModelSource(name, architecture, sources.get(name, DEFAULT_WEIGHTS))
        for name, architecture in architectures.items()
    )


def _within(option: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ConfigError(f"{option} is {value}; expected a whole number of {low} to {high}")
    return value
