"""Whether a model takes what is to be sent, and how images must be prepared for it. Pure: messages in, decision out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tailgate.digits import SIDE
from tailgate.errors import ConfigError
from tailgate.pb import inference_pb2 as pb
from tailgate_loadgen.datasets.dataset import Dataset
from tailgate_loadgen.datasets.files import LabelledFiles
from tailgate_loadgen.datasets.transform import Transform
from tailgate_loadgen.options import INTERPOLATIONS, Options

DATATYPES = {"uint8": "UINT8", "jpeg": "BYTES", "fp32": "FP32"}
"""Of the tensor in which each payload travels."""

DEFAULT_CROP = 224
RESIZE_TO_CROP = 256 / 224
"""What ImageNet models are evaluated with, unless they say otherwise."""


@dataclass(frozen=True)
class ModelInput:
    """What the model wants.

    Attributes:
        name: Of its input.
        transform: What images go through.
        classes: How many it tells apart; None where it does not say.
    """

    name: str
    transform: Transform
    classes: int | None


def fit_model(
    metadata: pb.ModelMetadataResponse, parameters: Mapping[str, str], options: Options, *, are_digits: bool
) -> ModelInput:
    """How to prepare images for this model.

    Args:
        metadata: What it answers to ModelMetadata.
        parameters: Those of its ModelConfig; may be empty.
        options: What the user asks for.
        are_digits: Whether the data set is the digits, which are sent as they are.

    Raises:
        ConfigError: It does not take such a payload, or such images.
    """
    model = f"model {options.model!r} of {options.target}"
    if len(metadata.inputs) != 1:
        raise ConfigError(f"{model} has {len(metadata.inputs)} inputs; the load generator sends exactly one, an image")
    tensor = metadata.inputs[0]
    wanted = DATATYPES[options.payload]
    accepted = {tensor.datatype, *re.findall(r"[A-Z0-9]+", parameters.get("accepted_datatypes", ""))}
    if wanted not in accepted:
        fitting = [payload for payload, datatype in DATATYPES.items() if datatype in accepted]
        remedy = f"take --payload {' or '.join(fitting)}" if fitting else "it takes no images"
        raise ConfigError(
            f"{model} takes {', '.join(sorted(accepted))}, not {wanted} (--payload {options.payload}); {remedy}"
        )
    side = _side(tensor, options, model)
    crop = options.crop or side or _pixels("crop_size", parameters, model) or DEFAULT_CROP
    if side not in (None, crop):
        raise ConfigError(f"--crop is {crop}, but {model} takes {side} × {side}; leave it out")
    if are_digits:
        _check_digits(crop, side, options, model)
        return ModelInput(tensor.name, Transform(SIDE, SIDE, "box"), _classes(metadata))
    # A crop other than the model's own keeps the proportion of the two, not the model's resize.
    own_crop = _pixels("crop_size", parameters, model)
    own_resize = _pixels("resize_size", parameters, model) if own_crop in (None, crop) else None
    resize = options.resize or own_resize or round(crop * RESIZE_TO_CROP)
    if resize < crop:
        raise ConfigError(f"--resize is {resize}, smaller than the crop of {crop}; it must be at least as large")
    interpolation = options.interpolation or parameters.get("interpolation", "bilinear").lower()
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(
            f"{model} asks for the interpolation {interpolation!r}, which Pillow does not have; choose --interpolation"
        )
    return ModelInput(tensor.name, Transform(resize, crop, interpolation), _classes(metadata))


def check_classes(labelled: Dataset | LabelledFiles, classes: int | None, options: Options) -> None:
    """Whether labels and answers can mean the same classes.

    Raises:
        ConfigError: The model tells fewer classes apart, or another number of them.
    """
    if classes is None:
        return
    model, highest = f"model {options.model!r}", int(labelled.labels.max())
    if labelled.class_names and len(labelled.class_names) != classes:
        raise ConfigError(
            f"--dataset {options.dataset} has {len(labelled.class_names)} classes, but {model} tells {classes} apart, "
            "so their indexes do not mean the same; take the data set the model was made for"
        )
    if highest >= classes:
        raise ConfigError(
            f"--dataset {options.dataset} has the label {highest}, but {model} tells only {classes} classes apart"
        )


def _side(tensor: pb.ModelMetadataResponse.TensorMetadata, options: Options, model: str) -> int | None:
    """Height and width of the input, or None where they are free, or where images travel encoded."""
    shape = list(tensor.shape)
    if tensor.datatype == "BYTES" and options.payload == "jpeg":
        return None
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        raise ConfigError(
            f"{model} takes an input of shape {shape}; the load generator sends images as [1, 3, side, side]"
        )
    return shape[2] if shape[2] > 0 else None


def _check_digits(crop: int, side: int | None, options: Options, model: str) -> None:
    if options.resize or options.crop or options.interpolation:
        raise ConfigError("--resize, --crop and --interpolation do not apply to the digits, which are sent as they are")
    if side is not None and crop != SIDE and options.payload != "jpeg":
        raise ConfigError(f"{model} takes images of {side} × {side}, but the digits are {SIDE} × {SIDE}")


def _classes(metadata: pb.ModelMetadataResponse) -> int | None:
    """Length of the first output's only free axis, as classifiers have it: [batch, classes]."""
    shape = list(metadata.outputs[0].shape) if metadata.outputs else []
    return shape[1] if len(shape) == 2 and shape[1] > 1 else None


def _pixels(name: str, parameters: Mapping[str, str], model: str) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{model} has the parameter {name} = {text!r}; expected pixels, a whole number above zero")
    return int(text)
