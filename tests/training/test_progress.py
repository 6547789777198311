"""A checkpoint that is whole, and holds values that no training of the run wrote."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpucnn import backend, data
from gpucnn.errors import DataError, Interrupted
from gpucnn.nn import Sequential
from gpucnn.training import Callback, Run, TrainConfig, Trainer, fit
from gpucnn.training.checkpoint import LAST, PREVIOUS, Checkpoint, load, save

Make = Callable[[], Sequential]
STEP = 6  # two steps into the second of three epochs


class Stop(Callback):
    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == STEP:
            trainer.stop = "interrupted"


@pytest.fixture
def interrupted(digits: data.Splits, make_model: Make, config: TrainConfig) -> Run:
    """A run whose last checkpoint is in its second epoch."""
    run = Run.create(config, backend.get("cpu"))
    with pytest.raises(Interrupted):
        fit(make_model(), digits, run.config(), [Stop()], run=run)
    return run


@pytest.fixture
def restore(digits: data.Splits, make_model: Make, config: TrainConfig) -> Any:
    """A function that restores a new trainer from a checkpoint."""

    def restore(found: Checkpoint) -> Trainer:
        trainer = Trainer(make_model(), digits, config)
        trainer.restore(found)
        return trainer

    return restore


DESCRIPTION: dict[str, list[Any]] = {
    "step": [-5, 10**9, True, 6.0, "6", None, [], 13, 4, 8],
    "epoch": [-1, 0, 2, True, 1.0, None, 10**9],
    "class_names": [None, 3, "0123456789"],
    "image_shape": [None, 28],
    "scale": [1e300, -1.1e9, math.nan, True, "1", None],
    "offset": [1e38, math.inf, [], None],
}
PROGRESS: dict[str, list[Any]] = {
    "records": [None, {}, "none", 3, [], [1], [None], [[]], [{}], [{"epoch": 1}]],
    "seconds": [-1.0, math.nan, math.inf, True, "1", None],
    "epoch_seconds": [-1.0, math.nan, math.inf, None],
    "config": [None, 3, []],
    "data_sha256": [None, 3],
}
RECORD: dict[str, list[Any]] = {
    "epoch": [0, 2, True, 1.0, "1", None],
    "loss": [math.nan, math.inf, 10**400, None, "0", True, []],
    "accuracy": [-0.1, 1.5, math.nan, None, True],
    "val_loss": [math.nan, None, "0"],
    "val_accuracy": [2, math.nan, None],
    "images_per_second": [-1, math.inf, None],
    "seconds": [-1, math.nan, 10**400, "now"],
    "learning_rate": [-1, math.nan, None],
    "test_loss": [math.nan, "0"],
    "test_accuracy": [3, None],
}


def _each(table: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(key, value) for key, values in table.items() for value in values]


def _refused(restore: Any, found: Checkpoint, *names: str) -> None:
    with pytest.raises(DataError) as caught:
        restore(found)
    assert caught.value.exit_code == 4
    assert caught.value.fix
    assert any(name in str(caught.value) for name in names), str(caught.value)


def test_a_value_that_no_training_writes_is_refused(interrupted: Run, restore: Any) -> None:
    good = load(interrupted.weights)
    assert restore(good).step == STEP
    for key, value in _each(DESCRIPTION):
        changed = replace(good, description={**good.description, key: value})
        _refused(restore, changed, key, "epoch", "records")
    for key, value in _each(PROGRESS):
        _refused(restore, replace(good, progress={**good.progress, key: value}), key, "record")
    (record,) = good.progress["records"]
    for key, value in _each(RECORD):
        records = [{**record, key: value}]
        _refused(restore, replace(good, progress={**good.progress, "records": records}), key)
    two = [record, {**record, "epoch": 2}]
    _refused(restore, replace(good, progress={**good.progress, "records": two}), "2 records")


def test_a_record_may_have_more_than_ours(interrupted: Run, restore: Any) -> None:
    good = load(interrupted.weights)
    (record,) = good.progress["records"]
    more = {**record, "test_loss": 0.5, "test_accuracy": 1, "of a callback": ["x"]}
    restored = restore(replace(good, progress={**good.progress, "records": [more]}))
    assert restored.records == [more]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step_count", np.array([0], np.uint32)),
        ("step_count", np.array([STEP + 1], np.uint32)),
        ("step_count", np.array([-5], np.int64)),
        ("step_count", np.array([6.0])),
        ("step_count", np.array([[6]], np.uint32)),
        ("step_count", None),
        ("totals", np.array([math.nan, 3])),
        ("totals", np.array([math.inf, 3])),
        ("totals", np.array([1.0, -1])),
        ("totals", np.array([1.0, 101])),
        ("totals", np.array([1, 2])),
        ("totals", np.zeros(3)),
        ("unknown", np.zeros(3)),
    ],
)
def test_a_state_that_no_training_writes(
    interrupted: Run, restore: Any, name: str, value: Any
) -> None:
    good = load(interrupted.weights)
    state = {**good.state, name: value}
    if value is None:
        del state[name]
    _refused(restore, replace(good, state=state), name, "right answers")


def test_a_slot_or_a_weight_that_is_not_finite(interrupted: Run, restore: Any) -> None:
    good = load(interrupted.weights)
    slot = next(name for name in good.state if "/" in name and good.state[name].dtype.kind == "f")
    bad = np.full_like(good.state[slot], np.nan)
    _refused(restore, replace(good, state={**good.state, slot: bad}), slot)
    name, weights = next(iter(good.weights.items()))
    bad = np.full_like(weights, np.inf)
    _refused(restore, replace(good, weights={**good.weights, name: bad}), name)


def test_the_previous_checkpoint_goes_on_to_the_same_bits(
    interrupted: Run, digits: data.Splits, make_model: Make, results: Any
) -> None:
    whole = Run.create(interrupted.config(), backend.get("cpu"))
    fit(make_model(), digits, whole.config(), run=whole)
    before = {path: path.read_bytes() for path in interrupted.weights.iterdir()}
    good = load(interrupted.weights)
    save(interrupted.weights, replace(good, progress={**good.progress, "seconds": -1.0}))
    for name in (PREVIOUS, "state-4.safetensors"):
        file = interrupted.weights / name
        file.write_bytes(before[file])
    metrics = interrupted.metrics.read_bytes()
    with pytest.raises(DataError, match="seconds") as caught:
        fit(make_model(), digits, interrupted.config(), run=interrupted, resume=True)
    assert interrupted.metrics.read_bytes() == metrics
    assert "of step 4: mv " in str(caught.value.fix)
    os.replace(*(interrupted.weights / name for name in (PREVIOUS, LAST)))
    fit(make_model(), digits, interrupted.config(), run=interrupted, resume=True)
    assert results(interrupted.path) == results(whole.path)


def test_a_run_without_a_validation_set(digits: data.Splits, make_model: Make) -> None:
    config = TrainConfig(epochs=2, batch_size=50, device="cpu", validation=0)
    splits = replace(digits, validation=None)
    trainer = Trainer(make_model(), splits, config)
    for _ in range(2):
        trainer.train_step()
    assert trainer.end_epoch()["val_loss"] is None
    good = trainer.snapshot()
    again = Trainer(make_model(), splits, config)
    again.restore(good)
    assert again.records == trainer.records
    record = {**trainer.records[0], "val_loss": 0.5}
    with pytest.raises(DataError, match="no validation set"):
        again.restore(replace(good, progress={**good.progress, "records": [record]}))
