"""A data set of `gpucnn.data` in Keras's arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpucnn import data
from gpucnn.data import Dataset
from gpucnn.spelling import Called, Spellings, explained

_LOADER = Spellings(instead={"path": "$GPUCNN_DATA_DIR says where the files are"})

Part = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def loader(function: Called) -> Called:
    """A `load_data`, whose error explains Keras's argument. A decorator."""
    return explained(_LOADER)(function)


def read(name: str) -> tuple[Part, Part]:
    """((x_train, y_train), (x_test, y_test)): uint8 (N, H, W) and (N,)."""
    splits = data.load(name, validation=0)
    assert splits.test is not None
    return _part(splits.train), _part(splits.test)


def _part(dataset: Dataset) -> Part:
    assert dataset.labels is not None
    return dataset.images[:, 0], dataset.labels.astype(np.uint8)
