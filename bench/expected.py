"""Quality expected while labels are missing, against what came true: `python bench/expected.py [--quick]`.

A network trained on one half of the digits answers images of the other half. Some hundred answers have labels; then
come minutes without, of the same images, of harder ones, of another mix of classes, and under a fault that leaves the
network as sure as it was. For each minute: time-critical accuracy as expected from the confidences, beside the obvious
guess, which is the accuracy of the labelled answers so far, and beside the truth. The same again after ten minutes of
each condition were labelled: how wrong they were then widens the interval.

The labelled answers and the minutes share no image. One answer in twenty is late.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from bench._common import Claim, finish, machine, markdown_table
from tailgate.counts import Counts
from tailgate.digits import CLASSES, Digits, load_digits
from tailgate.expectations import Expectations
from tailgate.observation import Observation
from tailgate.outcome import Outcome
from tailgate_server import digits_net
from tailgate_server.normalised import Normalised
from tailgate_server.training import Recipe, train

FloatArray = npt.NDArray[np.float64]
LABELLED, ANSWERS, MINUTES, WARNED = 600, 300, 100, 10
IN_TIME = 0.95
NOISE, HARDER = 60.0, 110.0
"""Standard deviation that is added to grey levels of 0 to 255: the first makes the task one with mistakes to find."""
FEW = (0.28, 0.28, 0.28, *(0.16 / 7,) * 7)  # the mix of classes when three of them are most of the traffic
SEED = 20261122


@dataclass(frozen=True)
class Condition:
    """What the minutes without labels are like.

    Attributes:
        name: In words.
        noise: Added to the images.
        mix: Shares of the classes; None: as they are.
        faulty: Share of answers whose class is another one, however sure the network was.
    """

    name: str
    noise: float = NOISE
    mix: Sequence[float] | None = None
    faulty: float = 0.0


CONDITIONS = (
    Condition("as when it was labelled"),
    Condition("three classes are most of it", mix=FEW),
    Condition("harder images", noise=HARDER),
    Condition("half of the answers wrong, the network as sure", faulty=0.5),
)


@dataclass
class Model:
    """Answers of a network, with the confidence that the proxy would have read from them."""

    answer: Callable[[npt.NDArray[np.float64]], FloatArray]
    chance: np.random.Generator

    def answers(self, data: Digits, count: int, condition: Condition) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Confidence of so many, and whether each is right."""
        shares = None
        if condition.mix is not None:
            shares = np.array(condition.mix)[data.labels] / np.bincount(data.labels, minlength=CLASSES)[data.labels]
            shares /= shares.sum()
        rows = self.chance.choice(len(data.labels), count, p=shares)
        images = data.images[rows] + self.chance.normal(0.0, condition.noise, (count, 1, *data.images.shape[2:]))
        softmax = self.answer(np.clip(images, 0, 255))
        wrong = self.chance.random(count) < condition.faulty
        return softmax.max(axis=1), (softmax.argmax(axis=1) == data.labels[rows]) & ~wrong


@dataclass
class Minutes:
    """What was said of minutes, and what was so.

    Attributes:
        truth, expected, guessed: Time-critical accuracy of each minute.
        held: Whether the interval held the truth.
        width: Of the interval.
    """

    truth: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    guessed: list[float] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    width: list[float] = field(default_factory=list)

    def off(self, said: list[float]) -> float:
        """Mean distance from the truth."""
        return float(np.mean(np.abs(np.subtract(said, self.truth))))


@dataclass
class Run:
    """One proxy's expectations through labelled and unlabelled minutes."""

    model: Model
    expectations: Expectations = field(default_factory=lambda: Expectations(0.0))
    at_s: float = 60.0
    labelled: int = 0
    right: int = 0

    def teach(self, data: Digits, answers: int, condition: Condition) -> None:
        """A minute of labelled answers."""
        for confidence, right in zip(*self.model.answers(data, answers, condition), strict=True):
            expected = self.expectations.expect(("digits", "1", ""), float(confidence), 1)
            observation = Observation("", "digits", "1", self.at_s, 1.0, 0.1, Outcome.OK, int(right), 1)
            self.expectations.judge(observation._replace(expected=expected))
            self.labelled += 1
            self.right += bool(right)
        self.at_s += 60.0
        self.expectations.advance(self.at_s)

    def watch(self, data: Digits, minutes: int, condition: Condition) -> Minutes:
        """Minutes without a label."""
        seen = Minutes()
        for _ in range(minutes):
            counts, right_in_time = Counts(), 0
            in_time = self.model.chance.random(ANSWERS) < IN_TIME
            confidences, rights = self.model.answers(data, ANSWERS, condition)
            for confidence, right, soon in zip(confidences, rights, in_time, strict=True):
                expected = self.expectations.expect(("digits", "1", ""), float(confidence), 1)
                counts.observe(Outcome.OK if soon else Outcome.DEADLINE_IN_FLIGHT, expected)
                right_in_time += bool(soon and right)
            quality = counts.expected.quality(counts.in_time, counts.requests)
            assert quality is not None
            truth = right_in_time / ANSWERS
            seen.truth.append(truth)
            seen.expected.append(quality.tca)
            seen.guessed.append(counts.in_time / counts.requests * self.right / self.labelled)
            seen.held.append(quality.lower <= truth <= quality.upper)
            seen.width.append(quality.upper - quality.lower)
        return seen


def trained(chance: np.random.Generator) -> Model:
    """The built-in network, trained on its half."""
    network = train(Recipe(epochs=10), load_digits("training"), lambda _epoch, _loss: None)
    model = Normalised(network, digits_net.PREPROCESSING).eval()

    def answer(images: npt.NDArray[np.float64]) -> FloatArray:
        with torch.inference_mode():
            logits = model(torch.from_numpy(images.astype(np.uint8)))
        return torch.softmax(logits.double(), dim=1).numpy()

    return Model(answer, chance)


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the minutes")
    quick: bool = parser.parse_args().quick
    minutes = MINUTES // 5 if quick else MINUTES
    chance = np.random.default_rng(SEED)
    model, data = trained(chance), load_digits("validation")
    half = len(data.labels) // 2
    known, new = (Digits(data.images[part], data.labels[part]) for part in (slice(half), slice(half, None)))
    rows, found = [], {}
    for condition in CONDITIONS:
        for warned in (0, WARNED):
            run = Run(model)
            run.teach(known, LABELLED, CONDITIONS[0])
            for _ in range(warned):
                run.teach(known, ANSWERS, condition)
            seen = found[condition.name, warned] = run.watch(new, minutes, condition)
            rows.append(
                (condition.name, warned, float(np.mean(seen.truth)), float(np.mean(seen.expected)),
                 100 * seen.off(seen.expected), 100 * seen.off(seen.guessed), float(np.mean(seen.width)),
                 100 * float(np.mean(seen.held)))
            )  # fmt: skip
    print(f"{minutes} minutes of {ANSWERS} answers each, after {LABELLED} labelled ones\n")
    header = (
        "minutes without labels", "labelled minutes of that kind before", "truth", "expected", "off, points",
        "the guess off, points", "width of the interval", "intervals that hold, %",
    )  # fmt: skip
    print(markdown_table(header, rows))
    same, harder, silent = (found[CONDITIONS[index].name, 0] for index in (0, 2, 3))
    claims = [
        Claim("like before: expected is off by, points", 100 * same.off(same.expected), 2.0),
        Claim("like before: intervals that hold, %", 100 * float(np.mean(same.held)), 93.0, at_least=True),
        Claim(
            "harder images: off, as a part of how far the guess is off",
            harder.off(harder.expected) / harder.off(harder.guessed), 0.5,
        ),
        *(
            Claim(
                f"{condition.name}, once seen with labels: intervals that hold, %",
                100 * float(np.mean(found[condition.name, WARNED].held)), 90.0, at_least=True,
            )
            for condition in CONDITIONS
        ),
        Claim(
            "a fault that leaves the network as sure is not seen without labels: intervals that hold, %",
            100 * float(np.mean(silent.held)), 5.0,
        ),
    ]  # fmt: skip
    return finish("expected", claims, quick=quick, machine=machine("torch", "numpy"), table=[header, *rows])


if __name__ == "__main__":
    sys.exit(main())
