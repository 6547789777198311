"""Digits in Keras's manner, channels first, small models, and scripts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.data import load
from gpucnn.keras import Sequential, datasets, layers, utils


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


@pytest.fixture
def run_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Runs a script in an empty folder, as in a process of its own, and gives what it prints.

    The digits that come with the package stand in for MNIST.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.mnist, "load_data", datasets.digits.load_data)

    def run(source: str) -> str:
        monkeypatch.setattr(utils, "_seed", 0)
        monkeypatch.setattr(utils, "_models", itertools.count())
        exec(compile(source, "script.py", "exec"), {"__name__": "__main__"})
        return capsys.readouterr().out

    return run
