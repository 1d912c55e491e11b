"""From an image file to the pixels a model takes: resize the shorter side, cut out the centre, nothing else.

Sizes and offsets are rounded as torchvision's `Resize` and `CenterCrop` round them, and the filters are the same
Pillow ones, so a model gets here the very pixels its published accuracy was measured with. Mean and
standard deviation are the server's affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tailgate.errors import DatasetError


@dataclass(frozen=True)
class Transform:
    """How an image becomes pixels.

    Attributes:
        resize: Pixels of the shorter side after resizing; at least `crop`.
        crop: Height and width of the centre that is cut out.
        interpolation: Name of Pillow's filter in lower case.
    """

    resize: int
    crop: int
    interpolation: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the result."""
        return (3, self.crop, self.crop)

    def apply(self, image: Image.Image) -> bytes:
        """Pixels of the result, channel by channel, row by row."""
        rgb = image.convert("RGB")
        width, height = rgb.size
        if width <= height:
            size = (self.resize, int(self.resize * height / width))
        else:
            size = (int(self.resize * width / height), self.resize)
        if size != rgb.size:
            rgb = rgb.resize(size, Image.Resampling[self.interpolation.upper()])
        left, top = round((size[0] - self.crop) / 2), round((size[1] - self.crop) / 2)
        pixels = np.asarray(rgb.crop((left, top, left + self.crop, top + self.crop)))
        return pixels.transpose(2, 0, 1).tobytes()


def decode_file(path: Path, transform: Transform) -> bytes:
    """The pixels of an image file after the transform.

    Raises:
        DatasetError: The file cannot be read, or is no image.
    """
    try:
        with Image.open(path) as image:
            return transform.apply(image)
    # What Pillow's decoders raise on damaged files has no common base below these.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DatasetError(
            f"{path} cannot be read as an image ({error}); replace the file or take it out of the data set"
        ) from error
