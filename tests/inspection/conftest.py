"""Small trainings on digits, healthy ones and sick ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from findings import Listener, save

from gpucnn import data, models
from gpucnn.inspection import Health, inspect
from gpucnn.nn import Module
from gpucnn.training import Run, TrainConfig, Trainer, fit_trainer
from gpucnn.training.code import COPY, Code


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 digits to train on, 360 for the test."""
    splits = data.load("digits")
    assert splits.test is not None
    file = tmp_path_factory.mktemp("data") / "digits.npz"
    return save(file, splits.train.subset(slice(400)), splits.test)


@pytest.fixture
def options(tmp_path: Path, digits: Path) -> Callable[..., TrainConfig]:
    """Options of a training of 13 steps an epoch, of which others may replace some."""

    def make(**given: Any) -> TrainConfig:
        usual = {"data": str(digits), "epochs": 4, "batch_size": 32, "device": "cpu"}
        return TrainConfig(
            **{"validation": 0, "runs_dir": str(tmp_path / "runs"), **usual, **given}
        )

    return make


@pytest.fixture
def watch(options: Callable[..., TrainConfig]) -> Callable[..., Listener]:
    """Train a model, by its name or as it is, and watch it."""

    def train(model: Module | str, **given: Any) -> Listener:
        config = options(**given)
        splits = data.load(config.data, validation=config.validation)
        network = models.get(model) if isinstance(model, str) else model
        listener = Listener()
        fit_trainer(Trainer(network, splits, config), [listener])
        return listener

    return train


@pytest.fixture
def train_run(options: Callable[..., TrainConfig], tmp_path: Path) -> Callable[..., Run]:
    """Train in a run: a model by its name, or by the layers of a Sequential as code."""

    def train(model: str, **given: Any) -> Run:
        name, code = model, None
        if model not in models.NAMES:
            file = tmp_path / "net.py"
            layers = f"def build(image_shape, classes):\n    return Sequential([{model}])\n"
            file.write_text(
                f"from gpucnn.nn import *\nfrom gpucnn.nn.initializers import *\n{layers}"
            )
            name = f"{file}:build"
            code = Code.parse(name)
        config = options(model=name, **given)
        splits = data.load(config.data, validation=config.validation)
        if code is None:
            trainer = Trainer(models.get(name), splits, config)
        else:
            about = {"model": f"{COPY}:build", "code_sha256": code.sha256}
            network = code.build(splits.image_shape, splits.classes)
            trainer = Trainer(network, splits, config, about=about)
        run = Run.create(config, trainer.backend, code)
        fit_trainer(trainer, run=run)
        return run

    return train


@pytest.fixture
def inspected(train_run: Callable[..., Run]) -> Callable[..., Health]:
    """`train_run`, and the health of the run."""

    def look(model: str, **given: Any) -> Health:
        return inspect(train_run(model, **given), trust_code=True)

    return look
