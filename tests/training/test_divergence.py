"""A loss that is not finite: named, and kept out of the checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpucnn import backend, data
from gpucnn.autograd import Tensor
from gpucnn.errors import DataError, DivergedError
from gpucnn.nn import BatchNorm2d, Dense, Flatten, Module, Sequential
from gpucnn.training import Run, TrainConfig, Trainer, fit
from gpucnn.training.checkpoint import load

Make = Callable[[], Sequential]


class Explode(Module):
    """Gives infinity from a step of the training on, and nothing wrong in evaluation."""

    def __init__(self, after: int, value: float = np.inf) -> None:
        super().__init__()
        self.after, self.value, self.calls = after, value, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return x * self.value if self.training and self.calls > self.after else x


def _model(after: int, value: float = np.inf) -> Sequential:
    return Sequential([Flatten(), Dense(8, name="hidden"), Explode(after, value), Dense(10)])


@pytest.mark.parametrize(("after", "epoch"), [(0, 1), (2, 1), (4, 2), (6, 2)])
def test_the_layer_step_and_epoch_are_named(
    digits: data.Splits, config: TrainConfig, after: int, epoch: int
) -> None:
    run = Run.create(config, backend.get("cpu"))
    with pytest.raises(DivergedError) as caught:
        fit(_model(after), digits, config, run=run)
    assert f"step {after + 1}, in epoch {epoch}" in caught.value.message
    assert "explode1 (Explode)" in str(caught.value.cause)
    assert "learning rate" in str(caught.value.cause)
    lower = "lower the learning rate: learning_rate=0.001, or --lr 0.001"
    clip = "or clip the gradients: clip_norm=1.0, or --clip-norm 1"
    assert caught.value.fix == f"{lower}; {clip}; the last good checkpoint is {run.last}"
    saved = load(run.weights)
    assert saved.description["step"] == after - after % 4
    assert all(np.isfinite(array).all() for array in saved.weights.values())


def test_weights_stay_those_before_the_bad_step(digits: data.Splits, config: TrainConfig) -> None:
    """Whether the host looks at once or steps later."""
    found = []
    for interval in (1, 50):
        model = _model(2)
        with pytest.raises(DivergedError, match="step 3"):
            fit(model, digits, replace(config, log_interval=interval))
        found.append({name: array.tobytes() for name, array in model.state_dict().items()})
    assert found[0] == found[1]


@pytest.mark.parametrize("interval", [1, 50])
def test_running_statistics_stay_those_before_the_bad_step(
    digits: data.Splits, config: TrainConfig, interval: int
) -> None:
    """Neither the bad step, nor those after it, nor the search for the layer move them."""

    def trained(after: int, **options: Any) -> dict[str, bytes]:
        model = Sequential([Explode(after), BatchNorm2d(), Flatten(), Dense(10)])
        changed = replace(config, log_interval=interval, schedule="constant", **options)
        if after < 4:
            with pytest.raises(DivergedError, match="step 3"):
                fit(model, digits, changed)
        else:
            fit(model, digits, changed)
        return {name: array.tobytes() for name, array in model.state_dict().items()}

    assert trained(2) == trained(99, epochs=1, limit_batches=2)


def test_a_model_that_fails_its_test_is_left_in_training_mode(
    digits: data.Splits, config: TrainConfig
) -> None:
    class Tested(Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if self.training else x * np.nan

    trainer = Trainer(Sequential([Flatten(), Dense(10), Tested()]), digits, config)
    trainer.train_step()
    with pytest.raises(DivergedError):
        trainer.evaluate(trainer.test)
    assert all(module.training for module in trainer.model.modules().values())


def test_a_checkpoint_after_the_bad_step_is_not_written(
    digits: data.Splits, config: TrainConfig
) -> None:
    """Its weights would be finite, but steps would be missing from them."""
    run = Run.create(config, backend.get("cpu"))
    often = replace(config, checkpoint_every=1, log_interval=50)
    with pytest.raises(DivergedError, match="step 3"):
        fit(_model(2), digits, often, run=run)
    assert load(run.weights).description["step"] == 2


def test_nan_gradients_of_a_finite_loss_are_noticed(
    digits: data.Splits, config: TrainConfig
) -> None:
    """The loss is still finite when the update has ruined the weights, in the last step."""

    class NanGradient(Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + (x * 0.0).sqrt()  # d sqrt(0) is infinite, times 0 is NaN

    run = Run.create(config, backend.get("cpu"))
    model = Sequential([Flatten(), Dense(8, name="hidden"), NanGradient(), Dense(10)])
    one_step = replace(config, limit_batches=1, epochs=1)
    with pytest.raises(DivergedError) as caught:
        fit(model, replace(digits, validation=None), one_step, run=run)
    assert "hidden.weight" in str(caught.value.cause)
    assert load(run.weights).description["step"] == 0


def test_huge_learning_rates_diverge(digits: data.Splits, make_model: Make, config: Any) -> None:
    wild = replace(config, learning_rate=1e38, optimizer="sgd", schedule="constant")
    with pytest.raises(DivergedError, match=r"step \d+, in epoch 1"):
        fit(make_model(), digits, wild)


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "infinity")])
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_bad_pixels_are_told_from_bad_layers(
    config: TrainConfig, value: float, name: str, part: str
) -> None:
    """They are named before anything is computed; a learning rate is not to blame."""
    parts = {}
    for role in ("train", "validation", "test"):
        images = np.zeros((30, 1, 8, 8), np.float32)
        images[7, 0, 2, 3] = value if role == part else 0
        parts[role] = data.Dataset(f"my {role} set", images, np.zeros(30, np.int32), 10)
    with pytest.raises(DataError, match=f"image 7 of my {part} set holds {name}"):
        fit(_model(99), data.Splits(**parts), replace(config, shift=0))


def test_a_model_that_cannot_be_evaluated_has_diverged(
    digits: data.Splits, config: TrainConfig
) -> None:
    class Tested(Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if self.training else x * np.nan

    model = Sequential([Flatten(), Dense(10), Tested(name="last")])
    run = Run.create(config, backend.get("cpu"))
    with pytest.raises(DivergedError, match="loss on digits") as caught:
        fit(model, digits, config, run=run)
    assert "last (Tested)" in str(caught.value.cause)
    assert load(run.weights).description["step"] == 0


def test_the_trainer_can_be_asked_at_any_time(digits: data.Splits, config: TrainConfig) -> None:
    trainer = Trainer(_model(0), digits, config)
    trainer.model.train()
    trainer.train_step()
    with pytest.raises(DivergedError):
        trainer.read()
