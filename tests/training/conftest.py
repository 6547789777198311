"""A small training that uses all that a checkpoint must carry: dropout, batch norm, momentum."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from gpucnn import data
from gpucnn.nn import BatchNorm2d, Conv2d, Dense, Dropout, Flatten, MaxPool2d, ReLU, Sequential
from gpucnn.training import TrainConfig

TIMES = ("seconds", "images_per_second")


@pytest.fixture(scope="session")
def digits() -> data.Splits:
    """100 digits to train on, 50 for validation and 50 for the test."""
    splits = data.load("digits", validation=50)
    assert splits.validation is not None
    assert splits.test is not None
    return data.Splits(
        splits.train.subset(slice(100)), splits.validation, splits.test.subset(slice(50))
    )


@pytest.fixture
def make_model() -> Callable[[], Sequential]:
    """A new network of 5 layers, not built."""

    def make() -> Sequential:
        return Sequential(
            [
                Conv2d(4, 3, stride=3),
                BatchNorm2d(),
                ReLU(),
                MaxPool2d(2),
                Flatten(),
                Dropout(0.3),
                Dense(10),
            ]
        )

    return make


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Three epochs of four steps; the last batch of an epoch is short."""
    return TrainConfig(
        epochs=3,
        batch_size=30,
        device="cpu",
        validation=50,
        learning_rate=0.01,
        log_interval=2,
        shift=1,
        runs_dir=str(tmp_path / "runs"),
    )


@pytest.fixture
def results() -> Callable[[Path], dict[str, Any]]:
    """All that a run leaves and that must be the same in an equal run, times apart."""

    def read(run: Path) -> dict[str, Any]:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        with safe_open(run / "weights" / "last.safetensors", framework="numpy") as file:
            state = run / "weights" / json.loads(file.metadata()["gpucnn"])["state"]
        return {
            "last": (run / "weights" / "last.safetensors").read_bytes(),
            "best": (run / "weights" / "best.safetensors").read_bytes(),
            "state": {name: array.tobytes() for name, array in load_file(state).items()},
            "metrics": [
                {key: value for key, value in record.items() if key not in TIMES}
                for record in records
            ],
            # The previous checkpoint, another state, is of the step where this process began, say.
            "files": sorted(
                path.name
                for path in run.rglob("*")
                if not path.name.startswith("state-") or path == state
            ),
        }

    return read
