"""Normalisation as part of the model, so that no client can get it wrong."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tailgate_server.signature import Preprocessing


class Normalised(nn.Module):
    """A network that takes pixels: UINT8 0 to 255 or FP32 0 to 1, `[N, 3, H, W]`, to FP32 logits `[N, classes]`.

    The operations and their order are those of torchvision's `ImageClassification` transform, so the numbers are too.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        """Wrap `network`, which takes normalised images."""
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images."""
        if images.dtype == torch.uint8:
            images = images.to(torch.float32).div(255)
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits.to(torch.float32)
