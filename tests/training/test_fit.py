"""fit and evaluate: what is computed, and that it is the same bits every time."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import backend, data, models
from gpucnn.autograd import Tensor
from gpucnn.errors import OutOfMemoryError, UsageError
from gpucnn.functions import softmax_cross_entropy
from gpucnn.nn import Module, Sequential
from gpucnn.optim import SGD
from gpucnn.training import Callback, Run, TrainConfig, Trainer, evaluate, fit

Make = Callable[[], Sequential]


def _weights(model: Sequential) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def _trained(make: Make, splits: data.Splits, config: TrainConfig) -> dict[str, bytes]:
    model = make()
    fit(model, splits, config)
    return _weights(model)


def test_a_step_is_forward_backward_update(digits: data.Splits) -> None:
    """Against the same written out by hand."""
    config = TrainConfig(
        model="softmax", device="cpu", optimizer="sgd", learning_rate=0.5, momentum=0.9,
        schedule="constant", epochs=2, batch_size=40, seed=3,
    )  # fmt: skip
    model = models.get("softmax")
    history = fit(model, digits, config)

    other = models.get("softmax").build((1, 28, 28), seed=3)
    optimizer = SGD(other, 0.5, momentum=0.9)
    loader = data.Loader(digits.train, 40, backend.get("cpu"), seed=3)
    for epoch in range(2):
        losses, correct = [], 0
        for images, labels in loader.epoch(epoch):
            optimizer.zero_grad()
            output = other(Tensor(images))
            loss = softmax_cross_entropy(output, labels)
            loss.backward()
            optimizer.step()
            losses += [loss.item()] * len(labels)
            correct += int((output.numpy().argmax(1) == labels).sum())
        assert history.records[epoch]["loss"] == pytest.approx(np.mean(losses), rel=1e-12)
        assert history.records[epoch]["accuracy"] == correct / 100
    assert _weights(model) == _weights(other)
    assert digits.test is not None
    assert history.test == evaluate(other, digits.test)


def test_the_same_seed_gives_the_same_bits(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    one = _trained(make_model, digits, config)
    assert _trained(make_model, digits, config) == one
    assert _trained(make_model, digits, replace(config, seed=1)) != one


def test_calls_before_the_training_do_not_change_a_bit(
    digits: data.Splits, config: TrainConfig
) -> None:
    def called() -> Sequential:
        model = models.get("mlp").build((1, 28, 28), seed=config.seed)
        model(np.zeros((1, 1, 28, 28), np.float32))  # dropout has counted it
        return model

    short = replace(config, epochs=1)
    assert _trained(called, digits, short) == _trained(lambda: models.get("mlp"), digits, short)


def test_the_number_of_threads_does_not_change_a_bit(
    digits: data.Splits, config: TrainConfig, threads: Any
) -> None:
    results = []
    for count in (1, 2, 3):
        cnn = replace(config, model="cnn", threads=count, epochs=1, limit_batches=2, batch_size=50)
        results.append(_trained(lambda: models.get("cnn"), digits, cnn))
        assert threads.get_threads() == count
    assert results[0] == results[1] == results[2]


def test_looking_more_often_does_not_change_a_bit(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    one = _trained(make_model, digits, config)
    assert _trained(make_model, digits, replace(config, log_interval=1)) == one


@pytest.mark.parametrize(
    "change",
    [
        {"shift": 0},
        {"rotate": 10.0},
        {"augment": "strokes"},
        {"augment": "flip"},
        {"augment": "color"},
        {"standardise": True},
        {"optimizer": "adamw"},
        {"weight_decay": 0.1},
        {"schedule": "one-cycle"},
        {"schedule": "step"},
        {"warmup_steps": 3},
        {"loss": "mean_squared_error"},
        {"loss": "binary_cross_entropy"},
    ],
)
def test_each_option_does_something(
    digits: data.Splits, make_model: Make, config: TrainConfig, change: dict[str, Any]
) -> None:
    short = replace(config, epochs=2)
    changed = _trained(make_model, digits, replace(short, **change))
    assert changed != _trained(make_model, digits, short)
    assert all(np.isfinite(np.frombuffer(array, np.float32)).all() for array in changed.values())


def test_nesterov_does_something(digits: data.Splits, config: TrainConfig) -> None:
    sgd = replace(config, optimizer="sgd", momentum=0.9, epochs=1)
    one = _trained(lambda: models.get("softmax"), digits, sgd)
    other = _trained(lambda: models.get("softmax"), digits, replace(sgd, nesterov=True))
    assert one != other


def test_step_schedule_counts_in_epochs(digits: data.Splits, config: TrainConfig) -> None:
    step = replace(config, schedule="step", step_epochs=2, step_factor=0.5, learning_rate=0.8)
    rates = Trainer(models.get("softmax"), digits, step).learning_rates
    assert rates.tolist() == pytest.approx([0.8] * 8 + [0.4] * 4)


def test_standardised_inputs_have_mean_0_and_deviation_1(
    digits: data.Splits, config: TrainConfig
) -> None:
    plain = replace(config, standardise=True, shift=0, batch_size=100)
    trainer = Trainer(models.get("softmax"), digits, plain)
    images, _ = trainer.loader.batch(0, 0)
    assert images.mean() == pytest.approx(0, abs=1e-5)
    assert images.std() == pytest.approx(1, abs=1e-5)
    assert trainer.validation is not None
    held, _ = trainer.validation.batch(0, 0)
    assert abs(float(held.mean())) > 1e-5  # by the training images' figures, not by its own


def test_limit_batches(digits: data.Splits, make_model: Make, config: TrainConfig) -> None:
    trainer = Trainer(make_model(), digits, replace(config, limit_batches=1))
    assert (trainer.steps_per_epoch, trainer.total_steps) == (1, 3)
    assert trainer.validation is not None
    assert trainer.test is not None
    assert len(trainer.validation.dataset) == len(trainer.test.dataset) == 30


def test_overfit_batches_learns_its_images_by_heart(digits: data.Splits) -> None:
    config = TrainConfig(
        device="cpu", epochs=40, batch_size=16, overfit_batches=2, schedule="constant"
    )
    trainer = Trainer(models.get("lenet"), digits, config)
    assert trainer.steps_per_epoch == 2
    first, _ = trainer.loader.batch(0, 0)
    again, _ = trainer.loader.batch(7, 0)
    assert np.array_equal(first, again)
    history = fit(models.get("lenet"), digits, config)
    assert history.test is not None
    assert history.test["accuracy"] == 1.0


def test_early_stopping(digits: data.Splits, config: TrainConfig) -> None:
    # A learning rate of next to nothing: the first epoch is never beaten.
    idle = replace(config, epochs=9, patience=2, learning_rate=1e-30, schedule="constant")
    history = fit(models.get("lenet"), digits, idle)
    assert (history.reason, len(history.records)) == ("early-stopping", 3)


def test_early_stopping_needs_a_validation_set(digits: data.Splits, config: TrainConfig) -> None:
    with pytest.raises(UsageError, match="validation set"):
        fit(models.get("softmax"), replace(digits, validation=None), replace(config, patience=2))


def test_without_validation_and_test_there_are_no_figures_of_them(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    history = fit(make_model(), data.Splits(digits.train), replace(config, epochs=1))
    assert history.test is None
    assert history.records[0]["val_loss"] is None


def test_a_record_describes_its_epoch(digits: data.Splits, config: TrainConfig) -> None:
    history = fit(models.get("softmax"), digits, config)
    assert [record["epoch"] for record in history.records] == [1, 2, 3]
    for record in history.records:
        assert set(record) == {
            "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "images_per_second",
            "seconds", "learning_rate",
        }  # fmt: skip
        assert 0 < record["seconds"] <= history.seconds
        assert record["images_per_second"] >= 100 / record["seconds"]


class _Recorder(Callback):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_") or name == "close":
            self.calls.append(name)
        return super().__getattribute__(name)


def test_callbacks_are_called_in_order(digits: data.Splits, config: TrainConfig) -> None:
    recorder = _Recorder()
    fit(models.get("softmax"), digits, replace(config, epochs=1, log_interval=3), [recorder])
    steps = ["on_step_end"] * 3 + ["on_log", "on_step_end"]
    assert recorder.calls == [
        "on_train_begin", *steps, "on_epoch_end", "on_train_end", "close"
    ]  # fmt: skip


class _StopAfter(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            trainer.stop = "enough"


def test_a_callback_can_stop(digits: data.Splits, config: TrainConfig) -> None:
    history = fit(models.get("softmax"), digits, config, [_StopAfter(6)])
    assert (history.reason, len(history.records)) == ("enough", 1)


def test_without_a_run_nothing_is_written(
    digits: data.Splits, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(models.get("softmax"), digits, config)
    assert list(tmp_path.iterdir()) == []


def test_the_config_of_a_run_gives_the_same_bits(
    digits: data.Splits, config: TrainConfig, tmp_path: Path
) -> None:
    first = replace(config, model="lenet", learning_rate=None, name="first", device="auto")
    run = Run.create(first, backend.get("cpu"))
    fit(models.get("lenet"), digits, first, run=run)
    again = TrainConfig.load(run.path / "config.toml", {})
    assert again.name is None
    other = Run.create(again, backend.get("cpu"))
    fit(models.get(again.model), digits, again, run=other)
    assert run.last.read_bytes() == other.last.read_bytes()
    assert run.best.read_bytes() == other.best.read_bytes()
    # Complete: what is not in it is None by default, not forgotten.
    written = tomllib.loads((run.path / "config.toml").read_text())
    unset = {f.name for f in dataclasses.fields(TrainConfig)} - set(written)
    assert all(getattr(again, key) is None for key in unset)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epochs": 10**14}, "--epochs 25000000 or less"),
        ({"learning_rate": 1e300}, "--lr"),
        ({"schedule": "step", "step_factor": 1e200}, "--step-factor"),
    ],
)
def test_options_that_no_training_can_follow(
    digits: data.Splits, config: TrainConfig, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Trainer(models.get("softmax"), digits, replace(config, **change))
    assert named in str(caught.value.fix)


def test_a_drop_after_the_end_of_the_training(digits: data.Splits, config: TrainConfig) -> None:
    never = replace(config, schedule="step", step_epochs=2**62, learning_rate=0.5)
    rates = Trainer(models.get("softmax"), digits, never).learning_rates
    assert rates.tolist() == [0.5] * 12


def test_data_that_cannot_be_trained_on(digits: data.Splits, config: TrainConfig) -> None:
    train = digits.train
    empty = replace(digits, train=train.subset(slice(0)))
    with pytest.raises(UsageError, match="no images to train on"):
        fit(models.get("softmax"), empty, config)
    with pytest.raises(UsageError, match="no labels to train on"):
        fit(models.get("softmax"), replace(digits, train=replace(train, labels=None)), config)


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mean_squared_error"])
def test_a_model_with_too_few_outputs(digits: data.Splits, config: TrainConfig, loss: str) -> None:
    assert digits.test is not None
    with pytest.raises(UsageError, match="has 9 outputs, too few for digits"):
        fit(models.get("softmax", 9), digits, replace(config, loss=loss))
    model = models.get("softmax", 9).build((1, 28, 28))
    with pytest.raises(UsageError, match="has 9 outputs"):
        evaluate(model, digits.test, loss=loss)
    few = digits.test.subset(digits.test.labels != 9)  # type: ignore[arg-type]
    assert evaluate(model, few, loss=loss)["loss"] > 0
    with pytest.raises(UsageError, match="has 9 outputs"):  # of the test set, before any step
        fit(model, replace(digits, train=few, validation=None), replace(config, loss=loss))


def test_a_device_that_is_full_says_which_batch_would_fit(
    digits: data.Splits, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OutOfMemoryError("no room", asked=6, held=2, free=1, total=9)

    monkeypatch.setattr(type(backend.get("cpu")), "_softmax_cross_entropy_backward", full)
    with pytest.raises(OutOfMemoryError) as caught:
        fit(models.get("softmax"), digits, replace(config, batch_size=30, validation=0))
    assert caught.value.fix == "give --batch-size 10, or less"  # for which 3 bytes are to be had
    with pytest.raises(OutOfMemoryError) as caught:
        fit(models.get("softmax"), digits, replace(config, batch_size=1, validation=0))
    assert caught.value.fix == "use a smaller model, or the device cpu"  # there is no smaller batch


def test_evaluate_does_not_change_the_model(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    model = make_model()
    fit(model, digits, config)
    before = _weights(model)
    assert digits.test is not None
    one = evaluate(model.train(), digits.test, batch_size=7)
    assert all(module.training for module in model.modules().values())
    model["batchnorm1"].eval()
    evaluate(model, digits.test)
    assert [name for name, module in model.modules().items() if not module.training] == [
        "batchnorm1"
    ]
    assert _weights(model) == before
    assert evaluate(model, digits.test) == pytest.approx(one, rel=1e-6)


def test_the_modes_that_a_model_is_set_to_are_not_touched(
    digits: data.Splits, make_model: Make, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that was set to evaluation is trained to the same bits, and stays set so."""
    expected = _trained(make_model, digits, config)
    model = make_model().eval()
    model["dropout1"].train()

    def refuse(*_: Any) -> None:
        raise AssertionError("the library sets a mode")

    monkeypatch.setattr(Module, "train", refuse)
    fit(model, digits, config)
    assert _weights(model) == expected
    model.summary()
    assert [name for name, m in model.modules().items() if m.training] == ["dropout1"]


def test_a_callback_may_set_modes(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    images = digits.train.images[:5] / np.float32(255)

    class Look(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            trainer.model.eval()
            outputs = [trainer.model(Tensor(images)).numpy() for _ in range(2)]
            np.testing.assert_array_equal(*outputs)  # no dropout

    model = make_model()
    fit(model, digits, config, [Look()])
    assert _weights(model) == _trained(make_model, digits, config)


def test_the_learning_rate_can_be_set_between_steps(digits: data.Splits) -> None:
    """After a step with rate 0 the weights are what they were; the schedule's table is replaced."""
    options = TrainConfig(
        model="softmax", device="cpu", optimizer="sgd", learning_rate=0.5, batch_size=40, epochs=2
    )

    class Brake(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            rates.append(float(trainer.optimizer.learning_rate[0]))
            weights.append(_weights(trainer.model))
            if trainer.step == 2:
                trainer.set_learning_rate(0.0)
            if trainer.step == 4:
                trainer.set_learning_rate(0.25)

    rates: list[float] = []
    weights: list[dict[str, bytes]] = []
    history = fit(models.get("softmax"), digits, options, [Brake()])
    assert rates[2:] == [0.0, 0.0, 0.25, 0.25]
    assert weights[1] == weights[2] == weights[3] != weights[4] != weights[5]
    assert [record["learning_rate"] for record in history.records] == [0.0, 0.25]


def test_notes_are_passed_on_once(digits: data.Splits, make_model: Make) -> None:
    class Listen(Callback):
        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.step in (1, 3):
                trainer.notes += [f"after {trainer.step}"] * trainer.step

        def on_note(self, trainer: Trainer, note: str) -> None:
            heard.append((trainer.step, note))

    heard: list[tuple[int, str]] = []
    fit(make_model(), digits, TrainConfig(device="cpu", epochs=1, batch_size=20), [Listen()])
    assert heard == [(2, "after 1")] + [(4, "after 3")] * 3
