"""Options to models that are loaded, warmed up and ready to run. Slow: seconds."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import torch

from tailgate.errors import ConfigError
from tailgate_server.architectures import find_architecture
from tailgate_server.engine import Engine
from tailgate_server.normalised import Normalised
from tailgate_server.options import Options
from tailgate_server.signature import Signature
from tailgate_server.weights import load_network

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model that can run: what it looks like, and what runs it."""

    signature: Signature
    engine: Engine


def choose_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device of this name; `auto` is CUDA where there is any.

    Raises:
        ConfigError: CUDA is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("--device is cuda, but torch finds no CUDA device here; use --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def load_models(options: Options) -> list[LoadedModel]:
    """Load and warm up every model.

    Raises:
        UsageError: An architecture is unknown, weights are missing or do not fit, or the device is not there.
    """
    device = choose_device(options.device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    # All names are looked up before the first weights are loaded, so that a typing mistake shows at once.
    architectures = [find_architecture(source.architecture) for source in options.models]
    loaded: list[LoadedModel] = []
    for source, architecture in zip(options.models, architectures, strict=True):
        network = load_network(architecture, source.weights)
        signature = Signature(
            name=source.name,
            architecture=architecture.name,
            preprocessing=architecture.preprocessing,
            classes=network.classes,
            labels=network.labels,
            max_batch=options.max_batch,
            max_queue_delay_s=options.max_queue_delay_s,
        )
        module = Normalised(network.module, architecture.preprocessing)
        engine = Engine(module, signature, device, options.threads)
        engine.warm_up()
        _log.info("%s: %s with %d classes is warm on %s", source.name, architecture.name, network.classes, device)
        loaded.append(LoadedModel(signature, engine))
    return loaded
