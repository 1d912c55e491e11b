"""What a served model looks like from outside: its tensors, its classes, its preprocessing, its limits.

Pure data, without torch: whatever checks a request, describes a model or builds an answer needs no more than this.
"""

from __future__ import annotations

from dataclasses import dataclass

INPUT = "image"
OUTPUT = "logits"
VERSION = "1"
CHANNELS = 3
DATATYPES = ("UINT8", "FP32", "BYTES")
"""Accepted for the input: pixels 0 to 255, pixels 0 to 1, or encoded images. The first one is advertised."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a tensor, as torchvision's `ImageClassification` transform defines it.

    Attributes:
        resize_size: Pixels of the shorter side after resizing.
        crop_size: Height and width of the centre that is cut out; the model's input.
        interpolation: Name of PIL's resampling filter, in lower case.
        mean: Subtracted from pixels in 0 to 1, by channel.
        std: What they are then divided by, by channel.
    """

    resize_size: int
    crop_size: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Signature:
    """One served model.

    Attributes:
        name: The name clients use.
        architecture: The network's name, `digits` or one of torchvision's.
        preprocessing: What its input went, or goes, through.
        classes: How many logits an answer has.
        labels: Their names in order; empty where nobody knows them.
        max_batch: Most images in one request, and in one run of the model.
        max_queue_delay_s: Longest a request waits for company.
    """

    name: str
    architecture: str
    preprocessing: Preprocessing
    classes: int
    labels: tuple[str, ...]
    max_batch: int
    max_queue_delay_s: float = 0.0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        side = self.preprocessing.crop_size
        return (CHANNELS, side, side)
