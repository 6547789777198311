"""The functions and classes of `keras.utils` that scripts use."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import one_hot
from gpucnn.errors import DataError, UsageError
from gpucnn.keras import labels, spelling
from gpucnn.nn import arguments
from gpucnn.random import stream_key
from gpucnn.spelling import explain_names

__all__ = ["PyDataset", "Sequence", "set_random_seed", "to_categorical"]

_seed = 0
_models = itertools.count()  # counts the models that took a seed since it was set


class PyDataset:
    """Base of a Sequence of batches: a subclass has `__len__` and `__getitem__`.

    `fit` takes any object with these two. The arguments have no effect: batches are made in this
    process.
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        pass

    def on_epoch_end(self) -> None:
        """Called after each epoch of a training."""


Sequence = PyDataset


@spelling.part
def to_categorical(x: Any, num_classes: int | None = None) -> NDArray[np.float32]:
    """Class ids of any shape as one-hot rows, float32 (*shape, num_classes).

    The shape loses a last axis of 1: ids (N, 1) give rows (N, num_classes). By default
    `num_classes` is one more than the largest id.

    Raises:
        DataError: an id is no whole number in [0, num_classes).
        UsageError: `num_classes` is no whole number of at least 1.
    """
    ids = labels.numbers(x, "the class ids")
    if num_classes is None and not ids.size:
        raise DataError(
            "there are no class ids", fix="give num_classes, how many classes there are"
        )
    if ids.size and ids.min() < 0:
        raise DataError(
            f"the class ids go down to {ids.min():g}",
            cause="classes are numbered from 0",
            fix="correct them; for labels -1 and 1 give (y + 1) // 2",
        )
    if num_classes is not None:
        arguments.whole(num_classes, "num_classes", 1)
    rows = one_hot(ids, num_classes)
    shape = ids.shape[:-1] if ids.ndim > 1 and ids.shape[-1] == 1 else ids.shape
    return rows.reshape(*shape, rows.shape[1])


def set_random_seed(seed: int) -> None:
    """Seed Python's and NumPy's random numbers, and the models that have no seed of their own.

    The first model that is compiled or built afterwards gets this seed. Each later model gets
    another one, derived from it.
    """
    global _seed, _models
    if not arguments.is_whole(seed) or not 0 <= seed < 2**32:
        raise UsageError(f"the seed is {seed!r}", fix="give a whole number from 0 to 2**32 - 1")
    _seed, _models = int(seed), itertools.count()
    random.seed(_seed)
    np.random.seed(_seed)


def next_seed() -> int:
    """A seed for the next model; for the first one that of `set_random_seed`, or 0."""
    number = next(_models)
    if number == 0:
        return _seed
    high, low = stream_key(_seed, f"model/{number}")
    return (high << 32 | low) >> 1  # below 2**63


explain_names(
    __name__,
    {
        "plot": 'model.graph().save("model.svg") draws the layers',
        "get_file": "download it yourself; gpucnn.data.load reads files and folders",
        "HDF5Matrix": "read the file with h5py, and give NumPy arrays",
        "multi_gpu_model": "a model computes on one device: leave it out",
        "Progbar": "fit(verbose=1) prints a line an epoch",
        "model_to_dot": "use model.graph().to_dot()",
        "print_summary": "use model.summary()",
        "plot_model": 'model.graph().save("model.svg") draws the layers',
        "image_dataset_from_directory": 'use gpucnn.data.load("FOLDER")',
        "normalize": "divide by the norm: x / numpy.linalg.norm(x, axis=-1, keepdims=True)",
    },
)
