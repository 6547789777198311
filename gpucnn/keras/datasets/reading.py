"""A data set of `gpucnn.data` as the arrays that Keras gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpucnn import data
from gpucnn.data import Dataset
from gpucnn.spelling import Spellings, explained

Part = tuple[NDArray[np.uint8], NDArray[np.uint8]]

# A decorator of a `load_data`: it takes the default of Keras's argument, and explains others.
loader = explained(
    Spellings(
        instead={"path": "$GPUCNN_DATA_DIR says where the files are"},
        defaults={"path": ("mnist.npz",)},
    )
)


def read(name: str) -> tuple[Part, Part]:
    """((x_train, y_train), (x_test, y_test)): uint8 (N, H, W) and (N,)."""
    splits = data.load(name, validation=0)
    assert splits.test is not None
    return _part(splits.train), _part(splits.test)


def _part(dataset: Dataset) -> Part:
    assert dataset.labels is not None
    return dataset.images[:, 0], dataset.labels.astype(np.uint8)
