"""Normalisation inside the model, held against torchvision's transform outside of it."""

from __future__ import annotations

import pytest
import torch
import torchvision.models
from torch import nn

from tailgate_server.architectures import default_weights, find_architecture
from tailgate_server.normalised import Normalised


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_v2_l", "inception_v3"])
def test_the_network_sees_what_torchvisions_transform_gives(name: str) -> None:
    preprocessing = find_architecture(name).preprocessing
    side = preprocessing.crop_size
    images = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    transforms = default_weights(name).transforms(resize_size=side)
    expected = transforms(images)
    model = Normalised(nn.Identity(), preprocessing)
    assert torch.equal(model(images), expected)
    assert torch.equal(model(images.to(torch.float32) / 255), expected)


def test_every_classifier_of_torchvision_can_be_described() -> None:
    for name in torchvision.models.list_models(module=torchvision.models):
        architecture = find_architecture(name)
        assert architecture.classes == 1000
        assert architecture.preprocessing.resize_size >= architecture.preprocessing.crop_size > 0
