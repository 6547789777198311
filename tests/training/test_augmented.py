"""Each augmentation teaches what the training images do not show: a training of colored shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from selection import slow_except

from gpucnn.data import Dataset, Splits
from gpucnn.nn import Conv2d, Dense, Flatten, MaxPool2d, Sequential
from gpucnn.training import Callback, TrainConfig, fit

SIZE = 16
NAMES = ["triangle", "half disc"]


def picture(label: int, rng: Any, task: str, varied: bool) -> NDArray[np.uint8]:
    """A shape on a dark ground, (3, SIZE, SIZE): a triangle, or half of a disc.

    Without `varied` it has a hint that a network learns in place of the shape: the direction in
    which it points for "flip", the brightness for "color"; for "crop" place and size are fixed.
    """
    radius, center, left = 5.0, np.full(2, 7.5), True
    bright, noise = 1.0, 12
    if task == "crop" and varied:
        radius, center = radius * rng.uniform(0.8, 1.25), center + rng.integers(-2, 3, 2)
    if task == "flip":
        left = bool(rng.integers(2) if varied else label)
    if task == "color":
        radius, noise = 1.75, 30
        bright = (0.85, 1.15)[label] if varied else (1.15, 0.85)[label]
    y, x = (np.mgrid[:SIZE, :SIZE] - center[:, None, None]) / radius
    x = x if left else -x
    triangle = (abs(y) < (x + 1) / 2) & (x < 1)
    inside = triangle if label == 0 else (x**2 + y**2 < 1) & (x < 0.2)
    color = np.array([170, 120, 80])
    image = np.where(inside, color[:, None, None], 60) * bright + rng.normal(
        0, noise, (3, SIZE, SIZE)
    )
    return image.clip(0, 255).astype(np.uint8)


def pictures(task: str) -> Splits:
    """60 pictures to train on, and 200 varied ones for the test."""
    rng = np.random.default_rng(0)
    parts = []
    for name, count, varied in (("train", 60, False), ("test", 200, True)):
        labels = np.arange(count) % 2
        images = np.stack([picture(label, rng, task, varied) for label in labels])
        parts.append(Dataset(name, images, labels, 2, NAMES))
    return Splits(parts[0], None, parts[1])


def accuracy(splits: Splits, augment: str | None) -> tuple[float, bool]:
    """The mean accuracy of three trainings on the test set, and whether all have learned."""
    found = []
    for seed in range(3):
        model = Sequential([Conv2d(8, 3, activation="relu"), MaxPool2d(2), Flatten(), Dense(2)])
        config = TrainConfig(
            epochs=25, batch_size=20, learning_rate=0.01, augment=augment, seed=seed, device="cpu"
        )
        found.append(fit(model, splits, config))
    tests = [history.test["accuracy"] for history in found if history.test]
    return float(np.mean(tests)), all(history.learned for history in found)


@pytest.mark.parametrize("kind", slow_except(["flip", "crop", "color"], "flip"))
def test_an_augmentation_helps_where_the_test_varies_so(kind: str) -> None:
    splits = pictures(kind)
    (plain, _), (taught, learned) = accuracy(splits, None), accuracy(splits, kind)
    assert learned
    assert taught > plain


def test_all_of_them_learn() -> None:
    taught, learned = accuracy(pictures(""), "flip,crop,color")
    assert learned
    assert taught > 0.9


class Notes(Callback):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def on_note(self, trainer: Any, note: str) -> None:
        self.notes.append(note)


@pytest.mark.parametrize("handwriting", [True, False])
def test_a_flip_of_handwriting_is_noted(digits: Splits, handwriting: bool) -> None:
    reading = digits.reading.replace(convert="mnist" if handwriting else "none")
    splits = replace(digits, reading=reading)
    notes = Notes()
    config = TrainConfig(epochs=1, limit_batches=1, augment="flip", device="cpu")
    fit(Sequential([Flatten(), Dense(10)]), splits, config, [notes])
    assert any("flip mirrors" in note for note in notes.notes) == handwriting
