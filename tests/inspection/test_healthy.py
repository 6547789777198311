"""Healthy trainings give no warning, neither while they run nor after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from findings import Listener
from selection import slow_except

from gpucnn import data, models
from gpucnn.inspection import inspect
from gpucnn.training import Run, TrainConfig, Trainer, fit_trainer

EPOCHS = {"softmax": 12, "mlp": 5, "lenet": 12, "cnn": 2}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {},
    "adamw": {"optimizer": "adamw"},
    "rmsprop": {"optimizer": "rmsprop"},
    "sgd": {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.05},
}
CASES = [
    (model, optimizer, (3 * k + n) % 5)
    for k, model in enumerate(EPOCHS)
    for n, optimizer in enumerate(OPTIMIZERS)
    if model != "cnn" or optimizer in ("adam", "sgd")  # it takes longest
]


@pytest.mark.parametrize("case", slow_except(CASES, CASES[0]), ids=str)
def test_no_false_alarm(tmp_path: Path, case: tuple[str, str, int]) -> None:
    model, optimizer, seed = case
    config = TrainConfig(
        data="digits", model=model, epochs=EPOCHS[model], seed=seed, device="cpu",
        validation=200 * (seed % 2), runs_dir=str(tmp_path), **OPTIMIZERS[optimizer],
    )  # fmt: skip
    splits = data.load("digits", validation=config.validation)
    trainer = Trainer(models.get(model), splits, config)
    run, listener = Run.create(config, trainer.backend), Listener()
    fit_trainer(trainer, [listener], run=run)
    assert listener.told == []
    health = inspect(run)
    assert health.is_healthy, str(health)
    assert len(health.checked) >= 8
