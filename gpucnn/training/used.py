"""The part of its data that a training uses."""

from __future__ import annotations

from collections.abc import Mapping

from gpucnn.data import Dataset
from gpucnn.training.config import TrainConfig


def tested(config: TrainConfig) -> str:
    """The images that a training with a test tests on, in words; see `used_parts`."""
    return "test set" if config.overfit_batches is None else "training images"


def used_parts(splits: Mapping[str, Dataset], config: TrainConfig) -> dict[str, Dataset]:
    """The parts of a data set, as far as a training with these options uses them.

    With `overfit_batches` it trains and tests on the first images. With `limit_batches` it
    validates and tests on some; it may train on all images, on others in each epoch.

    Args:
        splits: "train", and perhaps "validation" and "test".
    """
    parts = dict(splits)
    if config.overfit_batches is not None and "train" in parts:
        train = parts["train"].subset(slice(config.overfit_batches * config.batch_size))
        parts = {"train": train, "test": train}
    if config.limit_batches is not None:
        some = slice(config.limit_batches * config.batch_size)
        for role in ("validation", "test"):
            if role in parts:
                parts[role] = parts[role].subset(some)
    return parts
