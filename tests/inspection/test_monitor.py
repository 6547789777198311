"""`HealthMonitor`: it changes no bit of a training, and tells each finding once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import FIRST, Listener, find_kinds
from selection import slow_except

from gpucnn import data, keras
from gpucnn.errors import OutOfMemoryError, StorageError
from gpucnn.inspection import HealthMonitor, monitor
from gpucnn.nn import (
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)  # fmt: skip
from gpucnn.nn.initializers import Constant
from gpucnn.training import Callback, Run, TrainConfig, Trainer, fit_trainer


def mixed() -> Sequential:
    """All that a measurement could disturb: dropout's counter, running statistics."""
    return Sequential(
        [
            Conv2d(4, 3, stride=3),
            BatchNorm2d(),
            ReLU(),
            MaxPool2d(2),
            Flatten(),
            Dropout(0.3),
            Dense(20, activation="relu"),
            Dense(10),
        ]
    )


def dead() -> Sequential:
    return Sequential(
        [Flatten(), Dense(20, activation="relu", bias_initializer=Constant(-50)), Dense(10)]
    )


class Stop(Callback):
    """Ends the training after a step, as a signal would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            trainer.stop = "stopped"


def trainer_of(model: Module, config: TrainConfig) -> Trainer:
    return Trainer(model, data.load(config.data, validation=config.validation), config)


@pytest.mark.parametrize(
    "given",
    [
        {"optimizer": "adam", "validation": 50, "epochs": 3},
        {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.02, "shift": 1, "epochs": 3},
    ],
)
def test_the_bits_are_the_same_with_it(options: Any, given: dict[str, Any]) -> None:
    snapshots = []
    for callbacks in ([], [Listener()]):
        trainer = trainer_of(mixed(), options(**given))
        fit_trainer(trainer, callbacks)
        snapshots.append(trainer.snapshot())
    plain, watched = snapshots
    for kind in ("weights", "state"):
        arrays, others = getattr(plain, kind), getattr(watched, kind)
        assert {name: array.tobytes() for name, array in arrays.items()} == {
            name: array.tobytes() for name, array in others.items()
        }
    assert callbacks[0]._measured >= 2


class Compare(Listener):
    """Compares what a step reads before a measurement and after it."""

    def measure(self, trainer: Trainer) -> None:
        model = trainer.model
        model["dropout1"].training = False
        before = {path: dict(vars(module)) for path, module in model.named_modules()}
        gradients = {path: parameter.grad for path, parameter in model.named_parameters()}
        bits = {path: gradient.copy() for path, gradient in gradients.items()}
        super().measure(trainer)
        for path, module in model.named_modules():
            assert vars(module).keys() == before[path].keys()
            assert all(vars(module)[name] is value for name, value in before[path].items())
        for path, parameter in model.named_parameters():
            assert parameter.grad is gradients[path]
            assert np.array_equal(parameter.grad, bits[path])


def test_a_measurement_leaves_gradients_attributes_and_modes(options: Any) -> None:
    compare = Compare()
    fit_trainer(trainer_of(mixed(), options(epochs=2)), [compare])
    assert compare._measured == 1


def test_the_course_does_not_depend_on_where_a_training_was_resumed(options: Any) -> None:
    watcher = HealthMonitor()
    watcher.on_train_begin(trainer_of(mixed(), options(batch_size=64)))
    every = watcher.steps_between
    assert every == 160  # as docs/inspect.md says
    due = [watcher._next(step) for step in range(3 * every)]
    assert due[0] == every // 2
    assert {step % every for step in due} == {every // 2}
    assert all(step + 2 <= next_ <= step + 1 + every for step, next_ in enumerate(due) if step > 1)
    assert watcher._next(every, pause=5 * every) == 6 * every + every // 2


@pytest.mark.slow
def test_measurements_keep_to_their_share_of_the_time(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(monitor.time, "perf_counter", lambda: clock[0])

    class Slow(Listener):
        share = 0.02
        spent: list[int]

        def measure(self, trainer: Trainer) -> None:
            self.spent.append(trainer.step)
            clock[0] += 3.0

        def on_step_end(self, trainer: Trainer) -> None:
            clock[0] += 1.0
            super().on_step_end(trainer)

    slow = Slow()
    slow.spent = []
    fit_trainer(trainer_of(dead(), options(epochs=32)), [slow])
    assert slow.spent[0] == FIRST
    assert all(b - a >= 150 for a, b in zip(slow.spent, slow.spent[1:], strict=False))
    assert len(slow.spent) == 3


def run_of(options: Any) -> tuple[Run, TrainConfig]:
    config = options(checkpoint_every=5)
    return Run.create(config, trainer_of(dead(), config).backend), config


def entries(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.path / monitor.FILE).read_text().splitlines()]


@pytest.mark.parametrize(
    "stop", slow_except([FIRST - 3, FIRST - 1, FIRST, FIRST + 2, 30], FIRST - 1, FIRST + 2)
)
def test_a_resumed_training_tells_only_new_findings(options: Any, stop: int) -> None:
    run, config = run_of(options)
    first, second = Listener(), Listener()
    fit_trainer(trainer_of(dead(), config), [first, Stop(stop)], run=run)
    fit_trainer(trainer_of(dead(), config), [second], run=run, resume=True)
    assert ("dead-relu", "dense1") in find_kinds([*first.findings, *second.findings])
    found = [(entry["kind"], entry["layer"]) for entry in entries(run)]
    assert len(found) == len(set(found))
    assert len(first.findings) + len(second.findings) == len(found)
    assert found.count(("dead-relu", "dense1")) == 1


def test_findings_after_the_last_checkpoint_are_told_again(options: Any) -> None:
    run, config = run_of(options)
    fit_trainer(trainer_of(dead(), config), [Listener(), Stop(FIRST - 1)], run=run)
    after = {"step": FIRST + 1, "kind": "dead-relu", "layer": "dense1"}
    (run.path / monitor.FILE).write_text(f"{json.dumps(after)}\nno json\n")
    listener = Listener()
    fit_trainer(trainer_of(dead(), config), [listener], run=run, resume=True)
    assert ("dead-relu", "dense1") in find_kinds(listener.findings)
    (found,) = [entry for entry in entries(run) if entry["kind"] == "dead-relu"]
    assert found["step"] == 2 * FIRST - 1  # the first measurement after the checkpoint
    assert found["threshold"] == 0.8


def test_no_more_findings_are_recalled_than_a_training_leaves(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = run_of(options)
    lines = [json.dumps({"step": 0, "kind": f"k{n}", "layer": None}) + "\n" for n in range(9)]
    (run.path / monitor.FILE).write_text("".join(lines))
    monkeypatch.setattr(monitor, "_LONGEST", 3 * len(lines[0]) + 5)
    trainer = trainer_of(dead(), config)
    trainer.run = run
    monitor.HealthMonitor().on_train_begin(trainer)
    assert [entry["kind"] for entry in entries(run)][:3] == ["k0", "k1", "k2"]
    assert "k3" not in (run.path / monitor.FILE).read_text()


def test_a_healthy_run_has_no_file_of_findings(options: Any, train_run: Any) -> None:
    run, config = run_of(options)
    model = Sequential([Flatten(), Dense(40, activation="relu"), Dense(10)])
    fit_trainer(trainer_of(model, config), [Listener()], run=run)
    assert not (run.path / monitor.FILE).exists()


def test_a_device_without_room_is_not_asked_again(
    options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OutOfMemoryError("no room", asked=1, held=1, free=0, total=1)

    monkeypatch.setattr(monitor.Activations, "add", full)
    listener = Listener()
    history = fit_trainer(trainer_of(dead(), options()), [listener])
    assert history.reason == "finished"
    assert listener.told[0] == "note: the device has no room to measure the health of the training"
    assert ("dead-relu", "dense1") not in find_kinds(listener.findings)
    monkeypatch.setattr(monitor, "Loader", full)
    assert fit_trainer(trainer_of(dead(), options()), [Listener()]).reason == "finished"


def test_it_prints_on_stderr(options: Any, capsys: pytest.CaptureFixture[str]) -> None:
    class Often(Listener):
        tell = HealthMonitor.tell

    fit_trainer(trainer_of(dead(), options()), [Often()])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "warning: dense1: 20 of 20 ReLUs are dead (100%)" in printed.err
    assert "\n  cause: " in printed.err
    assert "\n  fix: learning_rate=0.0003\n  or: " in printed.err


@pytest.mark.parametrize("kind", ["arrays", "stream"])
def test_it_watches_a_fit_of_keras(digits: Path, kind: str) -> None:
    splits = data.load(str(digits), validation=0)
    x, y = splits.train.images / np.float32(255), splits.train.labels
    model = keras.Sequential(
        [
            keras.layers.Flatten(input_shape=(1, 28, 28)),
            keras.layers.Dense(20, activation="relu", bias_initializer=Constant(-50)),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    listener = Listener()

    def batches() -> Any:
        while True:
            for k in range(0, 400, 40):
                yield x[k : k + 40], y[k : k + 40]

    if kind == "arrays":
        model.fit(x, y, epochs=3, verbose=0, callbacks=[listener])
    else:
        model.fit(batches(), steps_per_epoch=10, epochs=3, verbose=0, callbacks=[listener])
    assert ("dead-relu", model.layers[1].path) in find_kinds(listener.findings)


def test_class_weights_make_up_for_imbalance(digits: Path) -> None:
    splits = data.load(str(digits), validation=0)
    labels = splits.train.labels
    keep = np.concatenate([np.flatnonzero(labels != 3), np.flatnonzero(labels == 3)[:2]])
    x, y = splits.train.images[keep] / np.float32(255), labels[keep]
    found = []
    for weights in (None, {k: 1.0 if k != 3 else 20.0 for k in range(10)}):
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        listener = Listener()
        model.fit(x, y, epochs=1, verbose=0, callbacks=[listener], class_weight=weights)
        found.append({kind for kind, _ in find_kinds(listener.findings)})
    assert "class-imbalance" in found[0]
    assert "class-imbalance" not in found[1]


@pytest.mark.parametrize("scale", [1, 1000])
def test_labels_that_are_targets_are_not_judged(options: Any, scale: int) -> None:
    splits = data.load(options().data, validation=0)
    one_hot = scale * np.eye(10, dtype=np.float32)[splits.train.labels]
    train = data.Dataset("targets", splits.train.images, one_hot, 10)
    listener = Listener()
    config = options(loss="mean_squared_error", epochs=2)
    fit_trainer(Trainer(dead(), data.Splits(train), config), [listener])
    assert find_kinds(listener.findings) == {("dead-relu", "dense1")}


def test_whole_numbers_that_one_output_predicts_are_targets(options: Any) -> None:
    splits = data.load(options().data, validation=80)
    listener = Listener()
    config = options(loss="mean_squared_error", epochs=2)
    fit_trainer(Trainer(Sequential([Flatten(), Dense(1)]), splits, config), [listener])
    assert not listener.findings


def test_a_file_that_cannot_be_written_ends_the_training(options: Any) -> None:
    run, config = run_of(options)
    (run.path / monitor.FILE).mkdir()
    with pytest.raises(StorageError, match=r"health\.jsonl"):
        fit_trainer(trainer_of(dead(), config), [Listener()], run=run)


def test_weights_that_are_all_zero_are_the_cause(options: Any) -> None:
    model = Sequential(
        [Flatten(), Dense(20, activation="relu", kernel_initializer="zeros"), Dense(10)]
    )
    listener = Listener()
    fit_trainer(trainer_of(model, options()), [listener])
    assert find_kinds(listener.findings) == {("weights-all-zero", "dense1.weight")}


def test_a_model_that_is_good_after_an_epoch_has_learned(options: Any) -> None:
    config = options(epochs=1, learning_rate=0.01, batch_size=400)
    trainer = trainer_of(Sequential([Flatten(), Dense(10)]), config)
    history = fit_trainer(trainer, [])
    assert history.records[0]["accuracy"] < 0.15 < 0.2 < history.test["accuracy"]
    assert history.outcome == "finished"
