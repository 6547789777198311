"""The curves as TensorBoard's own reader sees them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from event_files import decoded, everything, read, reader
from selection import slow_except

from gpucnn import backend, data
from gpucnn.errors import Interrupted, MissingExtraError, SignatureError, StorageError, UsageError
from gpucnn.keras import Sequential as KerasSequential
from gpucnn.keras import callbacks, layers
from gpucnn.nn import Sequential
from gpucnn.training import (
    Callback,
    History,
    Run,
    TensorBoard,
    TrainConfig,
    Trainer,
    checkpoint,
    fit,
    fit_trainer,
)

Make = Callable[[], Sequential]


def epochs_of(history: History, key: str, steps: int = 4) -> list[tuple[int, Any]]:
    return [(steps * record["epoch"], pytest.approx(record[key])) for record in history.records]


class Listen(Callback):
    """Keeps what `on_log` is given, and ends the training at a step by an error."""

    def __init__(self, stop: int | None = None, error: BaseException | None = None) -> None:
        self.logged: list[tuple[int, float, float]] = []
        self.stop, self.error = stop, error

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.stop and self.error is not None:
            raise self.error

    def on_log(self, trainer: Trainer, loss: float, accuracy: float) -> None:
        self.logged.append((trainer.step, loss, accuracy))


def test_the_points_are_those_of_the_training(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    listen, rates = Listen(), []

    class Rates(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            rates.append(float(trainer.optimizer.learning_rate[0]))

    folder = tmp_path / "new" / "logs"
    history = fit(make_model(), digits, config, [TensorBoard(folder), listen, Rates()])
    train, validation = read(folder / "train"), read(folder / "validation")
    assert [step for step, _, _ in listen.logged] == [2, 4, 6, 8, 10, 12]
    assert train.pop("step/loss") == [(s, pytest.approx(loss)) for s, loss, _ in listen.logged]
    assert train.pop("step/accuracy") == [(s, pytest.approx(a)) for s, _, a in listen.logged]
    assert train.pop("step/learning_rate") == [
        (step, pytest.approx(rates[step - 1])) for step, _, _ in listen.logged
    ]
    for key in ("loss", "accuracy", "learning_rate"):
        assert train.pop(f"epoch/{key}") == epochs_of(history, key)
    assert history.test is not None
    tested = {f"test_{key}": value for key, value in history.test.items()}
    for key in ("loss", "accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy"):
        value = {**history.records[-1], **tested}[key]
        assert train.pop(f"final/{key}") == [(12, pytest.approx(value))]
    assert not train
    for key in ("loss", "accuracy"):
        assert validation.pop(f"epoch/{key}") == epochs_of(history, f"val_{key}")
    assert not validation


def test_without_a_validation_set_there_is_no_folder_for_it(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    splits = data.Splits(digits.train, None, digits.test)
    fit(make_model(), splits, replace(config, epochs=1), [TensorBoard(tmp_path / "logs")])
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["train"]


@pytest.mark.parametrize("log_interval", [1, 3])
@pytest.mark.parametrize("step", slow_except(range(1, 13), 4, 7))
def test_a_resumed_training_continues_the_curves(
    digits: data.Splits,
    make_model: Make,
    config: TrainConfig,
    tmp_path: Path,
    step: int,
    log_interval: int,
) -> None:
    """Killed at any step, also between a checkpoint and the points of its step."""
    config = replace(config, log_interval=log_interval, checkpoint_every=3)
    fit(make_model(), digits, config, [TensorBoard(tmp_path / "whole")])

    run = Run.create(config, backend.get("cpu"))
    curves = TensorBoard(tmp_path / "logs")
    # `Listen` comes after the checkpoint is written, and before the points.
    with pytest.raises(KeyError):
        fit(make_model(), digits, config, [Listen(step, KeyError()), curves], run=run)
    fit(make_model(), digits, config, [curves], run=run, resume=True)
    for part in ("train", "validation"):
        assert everything(tmp_path / "logs" / part) == everything(tmp_path / "whole" / part)


def test_a_training_that_goes_on_in_another_folder_has_the_curves_of_all_epochs(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    first, second = Run.create(config, backend.get("cpu")), Run.create(config, backend.get("cpu"))
    history = fit(make_model(), digits, config, run=first)
    trainer = Trainer(make_model(), digits, replace(config, epochs=5))
    trainer.restore(checkpoint.load(first.weights), longer=True)
    history = fit_trainer(trainer, [TensorBoard(tmp_path)], run=second)
    for part, prefix in (("train", ""), ("validation", "val_")):
        found = read(tmp_path / part)
        for key in ("loss", "accuracy"):
            assert found[f"epoch/{key}"] == epochs_of(history, prefix + key)
    assert reader(tmp_path / "train").Tags()["graph"]


def test_points_of_an_epoch_that_were_never_written(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    class Die(Callback):
        def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
            if record["epoch"] == 2:
                raise KeyError

    fit(make_model(), digits, config, [TensorBoard(tmp_path / "whole")])
    run = Run.create(config, backend.get("cpu"))
    curves = TensorBoard(tmp_path / "logs")
    with pytest.raises(KeyError):
        fit(make_model(), digits, config, [Die(), curves], run=run)
    assert len(read(tmp_path / "logs" / "train")["epoch/loss"]) == 1
    fit(make_model(), digits, config, [curves], run=run, resume=True)
    for part in ("train", "validation"):
        assert everything(tmp_path / "logs" / part) == everything(tmp_path / "whole" / part)


def test_points_are_on_the_disk_at_once(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    """So `kill -9` loses none that is older than the checkpoint."""

    class Look(Callback):
        def on_log(self, trainer: Trainer, loss: float, accuracy: float) -> None:
            seen.append((trainer.step, read(tmp_path / "train")["step/loss"][-1][0]))

        def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
            for part in ("train", "validation"):
                seen.append((trainer.step, read(tmp_path / part)["epoch/loss"][-1][0]))

    seen: list[tuple[int, int]] = []
    fit(make_model(), digits, config, [TensorBoard(tmp_path), Look()])
    assert len(seen) == 12
    assert [(step, written) for step, written in seen if step != written] == []


def test_ctrl_c_keeps_the_points(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    run = Run.create(config, backend.get("cpu"))
    curves = TensorBoard(tmp_path / "logs")
    with pytest.raises(Interrupted):
        fit(make_model(), digits, config, [curves, Listen(7, KeyboardInterrupt())], run=run)
    assert [step for step, _ in read(tmp_path / "logs" / "train")["step/loss"]] == [2, 4, 6]


def test_a_new_training_replaces_the_curves(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    others = tmp_path / "train" / "events.out.tfevents.1.other"
    others.parent.mkdir()
    others.touch()
    board = TensorBoard(tmp_path)
    fit(make_model(), digits, replace(config, log_interval=1), [board])
    splits = data.Splits(digits.train, None, digits.test)
    history = fit(make_model(), splits, replace(config, epochs=1), [board])
    train = read(tmp_path / "train")
    assert train["epoch/loss"] == epochs_of(history, "loss")
    assert [step for step, _ in train["step/loss"]] == [2, 4]
    assert not list((tmp_path / "validation").iterdir())
    assert others.exists()


class TestKeras:
    def model(self) -> KerasSequential:
        model = KerasSequential([layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def test_fit_takes_it_by_the_name_of_keras(self, tmp_path: Path) -> None:
        assert callbacks.TensorBoard is TensorBoard
        x, y = np.arange(48, dtype=np.float32).reshape(12, 4) / 48, np.arange(12) % 3
        model = self.model()
        board = callbacks.TensorBoard(log_dir=tmp_path)
        given: Any = {"batch_size": 4, "verbose": 0, "callbacks": [board]}
        first = model.fit(x, y, epochs=2, validation_data=(x, y), **given).history
        second = model.fit(x, y, epochs=5, initial_epoch=2, validation_data=(x, y), **given).history
        for part, prefix in (("train", ""), ("validation", "val_")):
            for key in ("loss", "accuracy"):
                values = first[prefix + key] + second[prefix + key]
                assert read(tmp_path / part)[f"epoch/{key}"] == [
                    (3 * number, pytest.approx(value)) for number, value in enumerate(values, 1)
                ]

    def test_batches_of_a_generator(self, tmp_path: Path) -> None:
        def batches() -> Iterator[Any]:
            rng = np.random.default_rng(0)
            while True:
                yield rng.random((6, 1, 8, 8), np.float32), np.arange(6) % 3

        model = KerasSequential([layers.Flatten(), layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        board = callbacks.TensorBoard(log_dir=tmp_path, histogram_freq=1)
        model.fit(batches(), steps_per_epoch=4, epochs=2, verbose=0, callbacks=[board])
        found = reader(tmp_path / "train")
        (samples,) = found.Images("samples")
        first = next(batches())[0]
        pixels = decoded(samples)
        assert pixels[0, 0] == round(255 * (first[0, 0, 0, 0] - first.min()) / np.ptp(first))
        assert [point.step for point in found.Histograms("gradients/dense1.weight")] == [4, 8]
        assert found.Tags()["graph"]

    def test_metrics(self, tmp_path: Path) -> None:
        x, y = np.eye(6, dtype=np.float32), np.arange(6) % 3
        model = KerasSequential([layers.Dense(3, activation="softmax")])
        model.compile("sgd", "mse", metrics=[lambda y, p: p.max(axis=1), "mae"])
        board = callbacks.TensorBoard(log_dir=tmp_path)
        history = model.fit(
            x, y, epochs=2, verbose=0, validation_data=(x[:2], y[:2]), callbacks=[board]
        ).history
        for part, prefix in (("train", ""), ("validation", "val_")):
            points = read(tmp_path / part)["epoch/mae"]
            assert [value for _, value in points] == pytest.approx(history[f"{prefix}mae"])

    def test_arguments_of_keras_are_explained(self) -> None:
        with pytest.raises(SignatureError, match="histogram_freq"):
            callbacks.TensorBoard(log_dir="logs", histogram_freq=5)  # type: ignore[call-arg]
        older: dict[str, Any] = {"histogram_freq": 1, "write_graph": True, "write_images": True}
        assert callbacks.TensorBoard(log_dir="logs", **older).log_dir == Path("logs")


def test_a_missing_package_is_said_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match="tensorboardX") as caught:
        TensorBoard()
    assert 'pip install "gpucnn[tensorboard]"' in str(caught.value.fix)


def test_a_folder_that_cannot_be_written(
    digits: data.Splits, make_model: Make, config: TrainConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/logs"):
        with pytest.raises(StorageError, match="file") as caught:
            fit(make_model(), digits, config, [TensorBoard(tmp_path / folder)])
        assert caught.value.cause == "a part of the path is a file, and no directory"
    with pytest.raises(StorageError) as caught:
        fit(make_model(), digits, config, [TensorBoard(tmp_path / ("x" * 300))])
    assert caught.value.fix == "shorten it, or write to another place"
    with pytest.raises(UsageError, match="log_dir is a NoneType"):
        TensorBoard(None)  # type: ignore[arg-type]


def test_a_file_that_another_training_deletes_at_the_same_time(
    digits: data.Splits,
    make_model: Make,
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "train").mkdir()
    monkeypatch.setattr(Path, "glob", lambda folder, _: [folder / "events.gone.gpucnn"])
    fit(make_model(), digits, replace(config, epochs=1), [TensorBoard(tmp_path)])
    assert read(tmp_path / "train")
