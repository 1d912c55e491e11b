"""The built-in network for handwritten digits: small enough that the server around it is what one measures."""

from __future__ import annotations

from torch import Tensor, nn

from tailgate import digits
from tailgate_server.signature import Preprocessing

POOL = 4
"""An image is an 8 × 8 original enlarged this much; averaging over the squares gives the original back exactly."""

PREPROCESSING = Preprocessing(
    resize_size=digits.SIDE,
    crop_size=digits.SIDE,
    # A box filter enlarges by repeating pixels, as the data set does, and shrinks by averaging.
    interpolation="box",
    mean=(0.29, 0.29, 0.29),  # of the training half
    std=(0.35, 0.35, 0.35),
)


class DigitsNet(nn.Module):
    """Three small convolutions on 8 × 8 pixels: `[N, 3, 32, 32]` normalised to `[N, classes]` logits."""

    def __init__(self, classes: int = digits.CLASSES) -> None:
        """Build it with torch's default initialisation."""
        super().__init__()
        self.features = nn.Sequential(
            nn.AvgPool2d(POOL),
            *_block(3, 16),
            *_block(16, 32),
            nn.MaxPool2d(2),
            *_block(32, 64),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.3), nn.Linear(64 * 2 * 2, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of normalised images."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


def _block(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return (nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
