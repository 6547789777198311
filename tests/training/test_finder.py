"""The search for a learning rate: its steps, its end, its suggestion, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import data, models
from gpucnn.errors import DivergedError, UsageError
from gpucnn.nn import Dense, Flatten, Sequential
from gpucnn.training import LearningRates, TrainConfig, Trainer, find_learning_rate, fit

Make = Callable[[], Sequential]


def found(losses: list[float], diverged: bool = False) -> LearningRates:
    """A result with these smoothed losses, at the rates 1e-6, 1e-5, ..."""
    values = np.array(losses)
    return LearningRates(10.0 ** np.arange(-6, len(losses) - 6), values, values, diverged)


def test_each_step_trains_with_its_rate(
    digits: data.Splits, make_model: Make, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []
    original = Trainer.train_step

    def train_step(trainer: Trainer) -> None:
        original(trainer)
        rates.append(float(trainer.optimizer.learning_rate[0]))

    monkeypatch.setattr(Trainer, "train_step", train_step)
    result = find_learning_rate(make_model(), digits, config, low=1e-5, high=1e-3, steps=9)
    np.testing.assert_allclose(result.rates, np.geomspace(1e-5, 1e-3, 9))
    np.testing.assert_allclose(rates, result.rates, rtol=1e-6)
    assert not result.diverged


def test_losses_are_those_of_the_batches(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    """With rates near 0 the weights stay: each batch has the loss of the first weights."""
    config = replace(config, shift=0, optimizer="sgd")
    model = Sequential([Flatten(), Dense(10)])
    result = find_learning_rate(model, digits, config, low=1e-30, high=1e-29, steps=6)
    trainer = Trainer(Sequential([Flatten(), Dense(10)]), digits, config)
    batches = [*trainer.loader.epoch(0), *trainer.loader.epoch(1)][:6]
    expected = []
    for images, labels in batches:
        logits = trainer.model(images).numpy().astype(np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        expected.append(-logs[np.arange(len(labels)), labels].mean())
    np.testing.assert_allclose(result.losses, expected, rtol=1e-5)
    mean = 0.0
    for step, loss in enumerate(result.losses, 1):
        mean = 0.9 * mean + 0.1 * loss
        assert result.smoothed[step - 1] == pytest.approx(mean / (1 - 0.9**step))


def test_the_model_and_the_files_stay(
    digits: data.Splits,
    make_model: Make,
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = make_model()
    history = fit(model, digits, replace(config, epochs=1))
    before = model.state_dict()
    gradients = [parameter.grad.copy() for parameter in model.parameters()]
    counters = [module.step.copy() for module in model.modules() if hasattr(module, "step")]
    assert counters
    find_learning_rate(model, digits, config, steps=5)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)
    assert counters == [module.step for module in model.modules() if hasattr(module, "step")]
    assert history.records
    fresh = make_model()
    find_learning_rate(fresh, digits, config, steps=5)
    assert fresh.built_for is None
    assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_be_copied(digits: data.Splits, config: TrainConfig) -> None:
    model = Sequential([Flatten(), Dense(10)])
    model.numpy = np  # type: ignore[assignment]
    with pytest.raises(UsageError, match="Sequential cannot be copied") as caught:
        find_learning_rate(model, digits, config)
    assert "cannot pickle 'module' object" in str(caught.value.cause)


def test_it_is_deterministic(digits: data.Splits, make_model: Make, config: TrainConfig) -> None:
    one, other = (find_learning_rate(make_model(), digits, config, steps=20) for _ in range(2))
    np.testing.assert_array_equal(one.losses, other.losses)
    np.testing.assert_array_equal(one.smoothed, other.smoothed)


@pytest.mark.parametrize(
    "options",
    [
        {"limit_batches": 1},
        {"overfit_batches": 2, "shift": 0},
        {"batch_size": 1000},
        {"patience": 2, "warmup_steps": 5, "schedule": "step"},
    ],
)
def test_other_options_do_not_stop_it(
    digits: data.Splits, make_model: Make, config: TrainConfig, options: dict[str, Any]
) -> None:
    config = replace(config, **options)
    assert len(find_learning_rate(make_model(), digits, config, high=1e-3, steps=7).rates) == 7


def test_it_ends_when_the_loss_diverges(digits: data.Splits, config: TrainConfig) -> None:
    config = replace(config, optimizer="sgd")
    slow = find_learning_rate(models.get("lenet"), digits, config, high=1e3, steps=40)
    assert slow.diverged
    assert len(slow.rates) < 40
    assert np.isfinite(slow.losses).all()
    at_once = find_learning_rate(models.get("lenet"), digits, config, low=1e30, high=1e38, steps=3)
    assert (at_once.diverged, len(at_once.rates), at_once.suggestion) == (True, 1, None)


def test_weights_that_are_not_finite(digits: data.Splits, config: TrainConfig) -> None:
    model = Sequential([Flatten(), Dense(10)]).build((1, 28, 28))
    weights = model.state_dict()
    model.load_state_dict({name: array + np.inf for name, array in weights.items()})
    with pytest.raises(DivergedError, match="step 1"):
        find_learning_rate(model, digits, config)


def test_the_suggestion_is_a_tenth_of_the_rate_at_the_lowest_loss() -> None:
    result = found([2.3, 2.3, 2.2, 1.2, 0.9, 4.0], diverged=True)
    assert result.lowest == pytest.approx(1e-2)
    assert result.suggestion == pytest.approx(1e-3)
    assert result.steepest == pytest.approx(1e-3)
    assert repr(result) == "LearningRates(suggestion=0.001, lowest=0.01, steepest=0.001, steps=6)"


@pytest.mark.parametrize("losses", [[2.3], [2.3, 9.9], [2.3, 2.3, 2.29, 9.0], [0.0, 0.0, 1.0]])
def test_without_a_fall_there_is_no_suggestion(losses: list[float]) -> None:
    result = found(losses)
    assert (result.lowest, result.steepest, result.suggestion) == (None, None, None)
    assert "suggestion=None" in repr(result)


@pytest.mark.parametrize(
    "given",
    [
        {"low": 0.0}, {"low": 1.0, "high": 0.1}, {"high": np.inf}, {"low": np.nan}, {"low": -1.0},
        {"steps": 1}, {"steps": 2.5}, {"steps": True},
    ],
)  # fmt: skip
def test_arguments_that_are_refused(
    digits: data.Splits, make_model: Make, config: TrainConfig, given: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as caught:
        find_learning_rate(make_model(), digits, config, **given)
    assert caught.value.fix
    with pytest.raises(UsageError, match="the model is a list"):
        find_learning_rate([], digits, config)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_lenet_on_digits_trains_with_the_suggestion(seed: int) -> None:
    splits, config = data.load("digits"), TrainConfig(epochs=20, seed=seed, device="cpu")
    rate = find_learning_rate(models.get("lenet"), splits, config).suggestion
    history = fit(models.get("lenet"), splits, replace(config, learning_rate=rate))
    assert history.test is not None
    assert history.test["accuracy"] > 0.97


@pytest.mark.slow
def test_mlp_on_mnist_trains_with_the_suggestion(mnist_dir: Path) -> None:
    splits = data.load("mnist", mnist_dir)
    config = TrainConfig(model="mlp", epochs=1, device="cpu")
    rate = find_learning_rate(models.get("mlp"), splits, config).suggestion
    history = fit(models.get("mlp"), splits, replace(config, learning_rate=rate))
    assert history.test is not None
    assert history.test["accuracy"] > 0.965
