"""Trains the built-in digits network: the recipe, the loop, the evaluation. No files, no terminal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import nn

from tailgate.digits import Digits
from tailgate_server import digits_net
from tailgate_server.digits_net import DigitsNet
from tailgate_server.normalised import Normalised


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out, besides the training data.

    Attributes:
        network: Version of `DigitsNet` and of the loop below; raised whenever either changes.
        seed: Of weights, order and augmentation.
        epochs: Traversals of the training half.
        batch: Images a step.
        learning_rate: Highest of the one-cycle schedule.
        weight_decay: Of AdamW.
        label_smoothing: Of the cross entropy.
        shift: Each image is moved up to this many of the original 8 × 8 pixels, each way.
    """

    network: int = 1
    seed: int = 0
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    label_smoothing: float = 0.05
    shift: int = 1

    def digest(self, training_sha256: str) -> str:
        """SHA-256 of the recipe together with its training data."""
        text = json.dumps(asdict(self) | {"training_sha256": training_sha256}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def data_sha256(data: Digits) -> str:
    """SHA-256 of images and labels."""
    return hashlib.sha256(data.images.tobytes() + data.labels.tobytes()).hexdigest()


def train(recipe: Recipe, data: Digits, progress: Callable[[int, float], None]) -> DigitsNet:
    """A network trained by the recipe. The same recipe, data and torch give the same weights.

    Args:
        recipe: How.
        data: On what.
        progress: Called after each epoch with its number, from 1, and its mean loss.
    """
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(recipe.seed)
        network = DigitsNet()
        model = Normalised(network, digits_net.PREPROCESSING).train()
        images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        steps = -(-len(labels) // recipe.batch) * recipe.epochs
        optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
        criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        for epoch in range(1, recipe.epochs + 1):
            losses: list[float] = []
            for rows in torch.split(torch.randperm(len(labels)), recipe.batch):
                loss = criterion(model(_shifted(images[rows], recipe.shift)), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            progress(epoch, sum(losses) / len(losses))
    return network.eval()


def accuracy(network: nn.Module, data: Digits) -> float:
    """Share of the images whose highest logit is their label's."""
    model = Normalised(network, digits_net.PREPROCESSING).eval()
    with torch.inference_mode():
        predicted = model(torch.from_numpy(data.images)).argmax(dim=1)
    return float((predicted == torch.from_numpy(data.labels)).float().mean())


def _shifted(images: torch.Tensor, most: int) -> torch.Tensor:
    """Each image moved by up to `most` original pixels along both sides, on black."""
    pad = most * digits_net.POOL
    side = images.shape[-1]
    padded = nn.functional.pad(images, (pad, pad, pad, pad))
    offsets = torch.randint(0, 2 * most + 1, (len(images), 2)) * digits_net.POOL
    return torch.stack(
        [image[:, y : y + side, x : x + side] for image, (y, x) in zip(padded, offsets.tolist(), strict=True)]
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over several threads depend on how many there are; so small a network gains nothing from a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
