"""A training that is cut short anywhere, and resumed, gives the bits of one that was not."""

from __future__ import annotations

import builtins
import io
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selection import slow_except

from gpucnn import backend, data, models
from gpucnn.autograd import Tensor
from gpucnn.errors import (
    DataError,
    Interrupted,
    StorageError,
    UsageError,
    WeightsMismatchError,
)
from gpucnn.nn import Dense, Dropout, Flatten, Module, Sequential
from gpucnn.training import Callback, Run, TrainConfig, Trainer, evaluation, fit
from gpucnn.training.checkpoint import load, load_weights

Make = Callable[[], Sequential]
Results = Callable[[Path], dict[str, Any]]


class Signal(Callback):
    """Ctrl-C, or another signal, after a step."""

    def __init__(self, step: int, number: signal.Signals = signal.SIGINT, times: int = 1) -> None:
        self.step, self.number, self.times = step, number, times

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


@pytest.fixture
def start(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> Callable[..., tuple[Run, Any]]:
    """Train in a new run, or go on with one; returns the run and the history or the error."""

    def train(*callbacks: Callback, run: Run | None = None, **options: Any) -> tuple[Run, Any]:
        resume = run is not None
        run = run or Run.create(replace(config, **options), backend.get("cpu"))
        try:
            return run, fit(make_model(), digits, run.config(), callbacks, run=run, resume=resume)
        except Interrupted as error:
            return run, error

    return train


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (2, {"augment": "strokes"}),
        (4, {"augment": "strokes"}),
        (3, {"augment": "flip,crop,color"}),
        (3, {"freeze": "features"}),
    ],
)
def test_a_training_with_options_goes_on(
    start: Any, results: Results, step: int, options: dict[str, str]
) -> None:
    whole, _ = start(**options)
    run, _ = start(Signal(step), **options)
    start(run=run)
    assert results(run.path) == results(whole.path)


@pytest.mark.parametrize("step", slow_except(range(1, 13), 1, 4, 11))
def test_ctrl_c_after_any_step(start: Any, results: Results, step: int) -> None:
    whole, history = start()
    run, error = start(Signal(step))
    assert isinstance(error, Interrupted)
    # The signal comes in after the step was looked at: the next one is done, within the epoch.
    stopped = step if step % 4 == 0 else step + 1
    assert f"step {stopped} " in error.message
    assert error.fix == f"go on with: gpucnn train --resume {run.path}"
    _, resumed = start(run=run)
    assert results(run.path) == results(whole.path)
    assert resumed.test == history.test
    assert (resumed.reason, len(resumed.records)) == ("finished", 3)


class Twice(Module):
    """A dropout that a step calls twice, so that it does not count steps."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x) + self.drop(x)


def test_a_dropout_that_is_called_twice(
    digits: data.Splits, config: TrainConfig, results: Results
) -> None:
    def model() -> Sequential:
        return Sequential([Flatten(), Twice(), Dense(10)])

    whole = Run.create(config, backend.get("cpu"))
    fit(model(), digits, whole.config(), run=whole)
    run = Run.create(config, backend.get("cpu"))
    with pytest.raises(Interrupted):
        fit(model(), digits, run.config(), [Signal(5)], run=run)
    fit(model(), digits, run.config(), run=run, resume=True)
    assert results(run.path) == results(whole.path)


def test_seconds_go_on_counting(start: Any) -> None:
    class Slow(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            time.sleep(0.3 * (trainer.step == 5))

    run, _ = start(Slow(), Signal(5))
    before = load(run.weights).progress
    _, history = start(run=run)
    assert history.records[1]["seconds"] > before["epoch_seconds"] > 0
    assert history.seconds > before["seconds"] > before["epoch_seconds"]


def test_the_best_weights_are_those_of_the_best_epoch(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.5, 0.9, 0.9, 0.1])  # three epochs and the test

    def evaluate(*_: Any) -> dict[str, float]:
        return {"loss": 1.0, "accuracy": next(accuracies)}

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    run, _ = start()
    assert load_weights(run.best)[1]["epoch"] == 2
    assert load_weights(run.last)[1]["epoch"] == 3


def test_a_chain_of_interruptions(start: Any, results: Results) -> None:
    whole, _ = start()
    run, _ = start(Signal(1))
    for step in (3, 5, 7, 9):
        assert isinstance(start(Signal(step, signal.SIGTERM), run=run)[1], Interrupted)
    start(run=run)
    assert results(run.path) == results(whole.path)


def test_a_second_ctrl_c_stops_at_once(start: Any, results: Results) -> None:
    whole, _ = start()
    run, error = start(Signal(6, times=2))
    assert isinstance(error, Interrupted)
    assert "step 4 " in error.message  # the checkpoint is that of the epoch before
    start(run=run)
    assert results(run.path) == results(whole.path)


def test_signal_handlers_are_put_back(start: Any) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    start(Signal(2))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_resuming_a_finished_run_gives_its_result_again(start: Any, results: Results) -> None:
    run, history = start()
    before = results(run.path)
    _, again = start(run=run)
    assert results(run.path) == before
    assert (again.test, again.records) == (history.test, history.records)


def test_early_stopping_holds_over_a_resume(start: Any, results: Results) -> None:
    options = {"epochs": 9, "patience": 2, "learning_rate": 1e-30, "schedule": "constant"}
    whole, history = start(**options)
    assert history.reason == "early-stopping"
    for step in range(2, history.records[-1]["epoch"] * 4 + 1, 3):
        run, _ = start(Signal(step), **options)
        _, resumed = start(run=run)
        assert resumed.reason == "early-stopping"
        assert results(run.path) == results(whole.path)


def test_a_run_that_is_in_use_is_left_alone(start: Any) -> None:
    run, _ = start()
    with run.lock(), pytest.raises(StorageError, match="in use"):
        start(run=run)


def test_weights_of_another_model_are_refused(
    start: Any, digits: data.Splits, results: Results
) -> None:
    run, _ = start()
    before = results(run.path)
    with pytest.raises(WeightsMismatchError):
        fit(models.get("softmax"), digits, run.config(), run=run, resume=True)
    assert results(run.path) == before


def test_other_data_is_refused(start: Any, digits: data.Splits, make_model: Make) -> None:
    run, _ = start()
    other = replace(digits, train=digits.train.subset(slice(90)))
    with pytest.raises(DataError, match="not the one that the run was started with"):
        fit(make_model(), other, run.config(), run=run, resume=True)


def test_lost_weights_are_not_made_up(start: Any) -> None:
    run, _ = start()
    run.last.unlink()
    with pytest.raises(DataError, match=r"last\.safetensors"):
        start(run=run)


class Killed(BaseException):
    """Like SIGKILL: from then on the process does nothing to the disk."""


class Disk:
    """Counts what `fit` does to the disk, and can end it all before one of the operations."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fatal: int | None = None
        for name in ("fsync", "replace", "unlink"):
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name), name == "fsync"))
        opened = self._wrap(io.open, False)
        monkeypatch.setattr(io, "open", opened)
        monkeypatch.setattr(builtins, "open", opened)

    def _wrap(self, operation: Any, syncs: bool) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            writes = operation is not io_open or "r" not in str(arguments[1:2] or "r")
            self.count += writes
            if self.fatal is not None and self.count > self.fatal and writes:
                if syncs and self.count == self.fatal + 1 and _is_file(arguments[0]):
                    # What was not synced may be on the disk or not: say half of it is.
                    os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
                raise Killed
            return None if syncs else operation(*arguments, **options)

        return wrapped


io_open = io.open


def _is_file(descriptor: int) -> bool:
    return os.path.isfile(f"/proc/self/fd/{descriptor}")


@pytest.mark.slow
def test_death_between_any_two_file_operations(
    start: Any, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"epochs": 2, "checkpoint_every": 3, "log_interval": 50}
    whole, _ = start(**options)
    expected = results(whole.path)
    disk = Disk(monkeypatch)
    run = Run.create(whole.config(), backend.get("cpu"))
    before = disk.count
    start(run=run)
    operations = disk.count - before
    assert operations > 40
    for n in range(operations):
        run = Run.create(whole.config(), backend.get("cpu"))
        disk.count, disk.fatal = 0, n
        with pytest.raises(Killed):
            start(run=run)
        disk.fatal = None
        start(run=run)
        assert results(run.path) == expected, f"after operation {n}"


def test_a_new_run_is_there_whole_or_not_at_all(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    Run.create(config, backend.get("cpu"))
    for n in range(disk.count):
        disk.count, disk.fatal = 0, n
        with pytest.raises(Killed):
            Run.create(config, backend.get("cpu"))
    disk.fatal = None
    assert Run.newest(config.runs_dir).path.name == "train-1"
    assert Run.create(config, backend.get("cpu")).path.name == "train-2"


CHANGES: dict[str, Any] = {
    "seed": 1,
    "learning_rate": 0.02,
    "loss": "mean_squared_error",
    "standardise": True,
    "optimizer": "sgd",
    "batch_size": 31,
    "epochs": 4,
    "schedule": "constant",
    "shift": 2,
    "weight_decay": 0.5,
    "clip_norm": 1.0,
    "patience": 9,
}


@pytest.mark.parametrize("key", CHANGES)
def test_an_option_that_decides_the_result_cannot_change(
    start: Any, digits: data.Splits, make_model: Make, results: Results, key: str
) -> None:
    run, _ = start(Signal(6))
    before = results(run.path)
    value = CHANGES[key]
    changed = replace(run.config(), **{key: value})
    with pytest.raises(UsageError, match=f"{key} cannot be changed") as caught:
        fit(make_model(), digits, changed, run=run, resume=True)
    assert caught.value.cause == f"{key} was {getattr(run.config(), key)}, now it is {value}"
    assert results(run.path) == before


def test_options_that_decide_nothing_can_change(
    start: Any, digits: data.Splits, make_model: Make, results: Results, tmp_path: Path
) -> None:
    whole, _ = start()
    run, _ = start(Signal(6))
    changed = replace(
        run.config(), data=str(tmp_path), data_dir="d", log_interval=1, checkpoint_every=1,
        runs_dir="r", name="n", threads=None,
    )  # fmt: skip
    fit(make_model(), digits, changed, run=run, resume=True)
    ours, theirs = results(run.path), results(whole.path)
    assert ours["state"] == theirs["state"]
    assert ours["metrics"] == theirs["metrics"]


def test_weights_copied_from_another_run_are_refused(start: Any) -> None:
    run, _ = start()
    other, _ = start(seed=1)
    for file in (*run.weights.iterdir(), *other.weights.iterdir()):
        os.replace(file, run.weights / file.name)
    with pytest.raises(UsageError, match="seed cannot be changed"):
        start(run=run)


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize("what", ["images", "labels"])
def test_other_data_of_the_same_size_is_refused(
    start: Any, digits: data.Splits, make_model: Make, part: str, what: str
) -> None:
    run, _ = start(Signal(6))
    dataset = getattr(digits, part)
    other = replace(digits, **{part: replace(dataset, **{what: getattr(dataset, what)[::-1]})})
    with pytest.raises(DataError, match="not the one that the run was started with"):
        fit(make_model(), other, run.config(), run=run, resume=True)


def test_another_model_is_named_before_other_data(start: Any, digits: data.Splits) -> None:
    run, _ = start()
    other = replace(digits, train=digits.train.subset(slice(90)))
    with pytest.raises(WeightsMismatchError):
        fit(models.get("mlp"), other, replace(run.config(), seed=3), run=run, resume=True)


def test_resuming_needs_a_run(digits: data.Splits, make_model: Make, config: TrainConfig) -> None:
    with pytest.raises(UsageError, match="resume needs the run"):
        fit(make_model(), digits, config, resume=True)


@pytest.fixture
def signal_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Ctrl-C, so many times, in the n-th evaluation from 1: an epoch's validation, or the test."""
    evaluate = evaluation.evaluate_batches

    def arm(n: int, times: int) -> None:
        calls = [0]

        def interrupted(*arguments: Any) -> dict[str, float]:
            calls[0] += 1
            for _ in range(times * (calls[0] == n)):
                os.kill(os.getpid(), signal.SIGINT)
            return evaluate(*arguments)

        monkeypatch.setattr(evaluation, "evaluate_batches", interrupted)

    return arm


@pytest.mark.parametrize(("epoch", "times"), [(1, 1), (1, 2), (2, 2), (3, 1), (3, 2)])
def test_ctrl_c_in_a_validation_loses_no_step(
    start: Any, results: Results, signal_in_evaluation: Any, epoch: int, times: int
) -> None:
    whole, history = start()
    signal_in_evaluation(epoch, times)
    run, error = start()
    assert isinstance(error, Interrupted)
    assert f"step {4 * epoch} " in error.message
    assert len(load(run.weights).progress["records"]) == epoch - (times == 2)
    _, resumed = start(run=run)
    assert results(run.path) == results(whole.path)
    assert resumed.test == history.test


def test_ctrl_c_in_the_final_test_stops_at_once(
    start: Any, results: Results, signal_in_evaluation: Any
) -> None:
    whole, history = start()
    signal_in_evaluation(4, 1)
    run, error = start()
    assert isinstance(error, Interrupted)
    assert "--resume" in str(error.fix)
    untested, tested = results(run.path), results(whole.path)
    assert untested["last"] == tested["last"]
    assert "test_loss" not in untested["metrics"][-1]
    assert "outcome.json" not in untested["files"]
    start(run=run)
    assert results(run.path) == tested
    assert start(run=run)[1].test == history.test
