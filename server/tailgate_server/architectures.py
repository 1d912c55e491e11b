"""Which networks can be served, and how each is built: torchvision's classifiers and the built-in `digits`.

torchvision is imported by the first question about a network of its own: that takes seconds, and `digits` needs none.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from tailgate import digits
from tailgate.errors import ConfigError
from tailgate_server import digits_net
from tailgate_server.signature import Preprocessing

DIGITS = "digits"

# Their weights were carried over from another framework: torchvision's own builder switches the matching input
# transform on with them, so files of such weights need it too. Without `init_weights=False` they warn and are slow.
_BUILD_OPTIONS: dict[str, dict[str, bool]] = {
    "googlenet": {"transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}


@dataclass(frozen=True)
class Architecture:
    """A kind of network.

    Attributes:
        name: As the user types it.
        preprocessing: What its images go through.
        classes: How many it has unless its weights say otherwise.
        build: Makes a freshly initialised network with that many classes; a second argument says whether it has the
            auxiliary classifiers that a few networks carry for training.
    """

    name: str
    preprocessing: Preprocessing
    classes: int
    build: Callable[[int, bool], nn.Module]


def find_architecture(name: str) -> Architecture:
    """The architecture of this name.

    Raises:
        ConfigError: There is none; the sentence names those with similar names.
    """
    if name == DIGITS:
        return Architecture(DIGITS, digits_net.PREPROCESSING, digits.CLASSES, _build_digits)
    import torchvision.models

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        close = difflib.get_close_matches(name, [DIGITS, *known], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there is {DIGITS} and torchvision's classifiers"
        raise ConfigError(f"--model asks for the unknown architecture {name!r}; {hint}")
    weights = default_weights(name)
    transforms = weights.transforms()
    preprocessing = Preprocessing(
        resize_size=transforms.resize_size[0],
        crop_size=transforms.crop_size[0],
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
    )

    def build(classes: int, auxiliary: bool) -> nn.Module:  # noqa: FBT001 - a property of the file, not a switch
        options = dict(_BUILD_OPTIONS.get(name, {}))
        if options:
            options["aux_logits"] = auxiliary
        network = torchvision.models.get_model(name, weights=None, num_classes=classes, **options)
        assert isinstance(network, nn.Module)
        return network

    return Architecture(name, preprocessing, len(weights.meta["categories"]), build)


def default_weights(name: str) -> Any:
    """Torchvision's own weights for one of its architectures: a member of its WeightsEnum."""
    from torchvision.models import get_model_weights

    weights: Any = get_model_weights(name)
    return weights.DEFAULT


def classifier_layer(network: nn.Module) -> str:
    """Name of the layer that makes the logits: the last linear or convolutional one."""
    layers: list[str] = [name for name, layer in network.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    return layers[-1]


def _build_digits(classes: int, _auxiliary: bool) -> nn.Module:  # noqa: FBT001 - as above
    return digits_net.DigitsNet(classes)
