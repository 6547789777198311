"""What every reader gives: images in uint8 with their labels, split for training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and their labels on the host.

    Args:
        name: what to call it in messages.
        images: uint8 (N, C, H, W), as every reader of this package gives; a caller who has other
            inputs may pass floats (N, ...), which a `Loader` hands out as they are.
        labels: int32 (N,) class ids below `classes`, or None where there are none; or floats
            (N, ...) as targets.
        classes: number of classes.
        class_names: a name for each class; without, their numbers.
        weights: float32 (N,), how much the loss of each image counts in training; None for 1.

    Raises:
        DataError: a label outside [0, classes), or not one label an image.
    """

    name: str
    images: NDArray[Any]
    labels: NDArray[Any] | None
    classes: int
    class_names: list[str] = field(default_factory=list)
    weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not self.class_names:
            object.__setattr__(self, "class_names", [str(k) for k in range(self.classes)])
        labels = self.labels
        if labels is None:
            return
        if len(labels) != len(self.images):
            raise DataError(
                f"{self.name}: {len(self.images)} images but {len(labels)} labels",
                fix="give the labels of these images, one each",
            )
        if np.issubdtype(labels.dtype, np.integer) and labels.size:
            wrong = np.argwhere((labels < 0) | (labels >= self.classes))
            if len(wrong):
                raise DataError(
                    f"{self.name}: label {labels[tuple(wrong[0])]} of image {wrong[0][0]} is not in"
                    f" 0..{self.classes - 1}",
                    fix="correct the label, or give the labels that belong to these images",
                )
            object.__setattr__(self, "labels", labels.astype(np.int32, copy=False))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image: (C, H, W)."""
        return tuple(self.images.shape[1:])

    def subset(self, indices: Any) -> Dataset:
        """The images at `indices` (a slice, or integers), in that order."""
        labels = None if self.labels is None else self.labels[indices]
        weights = None if self.weights is None else self.weights[indices]
        return replace(self, images=self.images[indices], labels=labels, weights=weights)


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set cut for training; `validation` and `test` are None where there is no such part."""

    train: Dataset
    validation: Dataset | None = None
    test: Dataset | None = None

    @property
    def name(self) -> str:
        return self.train.name

    @property
    def classes(self) -> int:
        return self.train.classes

    @property
    def class_names(self) -> list[str]:
        return self.train.class_names

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image: (C, H, W)."""
        return self.train.image_shape


def hold_out(dataset: Dataset, count: int) -> tuple[Dataset, Dataset | None]:
    """Cut `count` images off for validation: the same ones in every run, whatever its seed.

    Both parts keep the order of the data set. With 0 there is no validation part.

    Raises:
        UsageError: `count` is negative or leaves nothing to train on.
    """
    if count == 0:
        return dataset, None
    if not 0 < count < len(dataset):
        raise UsageError(
            f"validation is {count}, but {dataset.name} has {len(dataset)} training images",
            fix=f"give --validation a number from 0 to {max(len(dataset) - 1, 0)}",
        )
    order = random.permutation(len(dataset), 0, "split")
    return dataset.subset(np.sort(order[count:])), dataset.subset(np.sort(order[:count]))


def pixel_scaling(dataset: Dataset, standardise: bool = False) -> tuple[float, float]:
    """(scale, offset) such that image * scale + offset is what a model takes.

    Plain: the pixels scaled to [0, 1]. Standardised: zero mean and unit variance over all pixels of
    `dataset`, which should be the training images. Images that are floats already stay as they are.
    """
    if dataset.images.dtype != np.uint8:
        return 1.0, 0.0
    if not standardise or not dataset.images.size:
        return 1.0 / 255.0, 0.0
    # From the histogram: exact in integers, and no float copy of the images.
    histogram = np.bincount(dataset.images.reshape(-1), minlength=256)
    value = np.arange(256, dtype=np.float64)
    mean = float(histogram @ value / histogram.sum())
    deviation = float(np.sqrt(histogram @ (value - mean) ** 2 / histogram.sum())) or 1.0
    return 1.0 / deviation, -mean / deviation


def one_hot(labels: Any, classes: int | None = None) -> NDArray[np.float32]:
    """Class ids (N,) as float32 (N, classes) rows with a single 1.

    `classes` is one more than the largest label if not given.

    Raises:
        DataError: a label is no whole number in [0, classes).
    """
    ids = np.asarray(labels).reshape(-1)
    if ids.size and not np.array_equal(ids, np.trunc(ids)):
        raise DataError(
            "labels must be whole numbers to be made one-hot", fix="give the numbers of classes"
        )
    ids = ids.astype(np.int64)
    if classes is None:
        classes = int(ids.max(initial=-1)) + 1
    if ids.size and (ids.min() < 0 or ids.max() >= classes):
        raise DataError(
            f"labels go from {ids.min()} to {ids.max()}, not within 0..{classes - 1}",
            fix="number the classes from 0, and give the right number of them",
        )
    encoded = np.zeros((ids.size, classes), dtype=np.float32)
    encoded[np.arange(ids.size), ids] = 1.0
    return encoded
