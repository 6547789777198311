"""Digits in Keras's manner, channels first, and small models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn.data import load
from gpucnn.keras import Sequential, layers


@pytest.fixture(scope="session")
def digits() -> Any:
    """(x, y), (x_test, y_test): float32 (256 and 360, 1, 28, 28) in [0, 1] and int32 (N,)."""
    splits = load("digits")
    assert splits.test is not None
    x, x_test = (part.images.astype(np.float32) / 255 for part in (splits.train, splits.test))
    return (x[:256], splits.train.labels[:256]), (x_test, splits.test.labels)


@pytest.fixture
def rows() -> Any:
    """(x, y): float32 (60, 4) and class ids 0 to 2."""
    rng = np.random.default_rng(0)
    return rng.random((60, 4), dtype=np.float32), rng.integers(0, 3, 60)


@pytest.fixture
def small() -> Callable[..., Sequential]:
    """Makes a compiled network of rows."""

    def make(units: int = 3, activation: str | None = "softmax", **options: Any) -> Sequential:
        model = Sequential([layers.Dense(8, activation="relu"), layers.Dense(units, activation)])
        told = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "device": "cpu"}
        model.compile(**{**told, "metrics": ["accuracy"], "seed": 0, **options})
        return model

    return make
