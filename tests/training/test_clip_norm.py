"""`clip_norm`: gradients are scaled; steps whose gradients are not finite are skipped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn import backend, data, optim
from gpucnn import functions as F
from gpucnn.autograd import Function, Tensor
from gpucnn.errors import DivergedError, Interrupted, UsageError
from gpucnn.nn import BatchNorm2d, Dense, Flatten, Module, Sequential
from gpucnn.training import Callback, Run, TrainConfig, Trainer, fit
from gpucnn.training.checkpoint import DamagedError, load

Make = Callable[[], Sequential]
Results = Callable[[Path], dict[str, Any]]


class BadGradient(Function):
    """y = x, whose gradient is `value` everywhere."""

    def __init__(self, value: float) -> None:
        self.value = value

    def forward(self, x: Any) -> Any:
        return x.copy()

    def backward(self, g: Any) -> Any:
        return g * 0 + g.dtype.type(self.value)


class Spoil(Module):
    """Gives wrong gradients in some steps of a training, counted from 1, and right outputs."""

    def __init__(self, *steps: int, value: float = math.nan) -> None:
        super().__init__()
        self.steps, self.value, self.now = steps, value, 0

    def forward(self, x: Tensor) -> Tensor:
        self.now += self.training
        spoils = self.training and self.now in self.steps
        return BadGradient(self.value)(x) if spoils else x


class StopAt(Callback):
    """Ends the training after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step == self.step:
            trainer.stop = "interrupted"


def spoiled(*steps: int, value: float = math.nan) -> Sequential:
    """A network with running statistics, in which some steps have bad gradients."""
    layers = [BatchNorm2d(), Flatten(), Dense(6, name="hidden"), Spoil(*steps, value=value)]
    return Sequential([*layers, Dense(10, name="last")])


def state(trainer: Trainer) -> dict[str, bytes]:
    arrays = {**trainer.model.state_dict(), **trainer.optimizer.state_dict()}
    return {name: array.tobytes() for name, array in arrays.items()}


def norm_of(trainer: Trainer) -> float:
    """The joint norm of the gradients of the last step."""
    grads = [trainer.backend.to_numpy(p.grad) for p in trainer.optimizer.parameters.values()]
    return math.sqrt(math.fsum(float(v) ** 2 for grad in grads for v in grad.ravel()))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "adamw"])
@pytest.mark.parametrize("device", ["cpu", "sim"])
def test_a_step_is_one_of_clipped_gradients(
    digits: data.Splits, make_model: Make, config: TrainConfig, device: str, optimizer: str
) -> None:
    """The same bits as those of a loop that calls `clip_grad_norm`."""
    config = replace(
        config, device=device, optimizer=optimizer, schedule="constant", clip_norm=0.5, shift=0
    )
    ours, theirs = (Trainer(make_model(), digits, config) for _ in range(2))
    network, other = theirs.model, theirs.optimizer
    other.set_learning_rate(0.01)
    for step in range(2):
        ours.train_step()
        assert norm_of(ours) == pytest.approx(0.5, rel=1e-5)
        images, labels = theirs.loader.batch(0, step)
        with theirs.backend.quiet_device(), network.training_mode():
            other.zero_grad()
            F.softmax_cross_entropy(network(Tensor(images)), labels).backward()
            optim.clip_grad_norm(network, 0.5)
            other.step()
    assert state(ours) == state(theirs)


def test_a_norm_that_is_never_reached_changes_nothing(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    trainers = []
    for clip_norm in (None, 1e6):
        trainer = Trainer(make_model(), digits, replace(config, clip_norm=clip_norm))
        for _ in range(6):
            trainer.train_step()
        trainers.append(trainer)
    assert state(trainers[0]) == state(trainers[1])


@pytest.mark.parametrize("device", ["cpu", "sim"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_step_of_bad_gradients_changes_nothing(
    digits: data.Splits, config: TrainConfig, device: str, value: float
) -> None:
    """Neither weights, slots, running statistics nor the count of Adam; the next step does."""
    trainer = Trainer(
        spoiled(2, value=value), digits, replace(config, device=device, clip_norm=1.0)
    )
    trainer.train_step()
    before = state(trainer)
    trainer.train_step()
    assert state(trainer) == before
    trainer.train_step()
    assert state(trainer) != before
    loss, _ = trainer.read()
    assert math.isfinite(loss)
    assert (trainer.step, trainer.skipped_steps) == (3, 1)
    assert trainer.backend.to_numpy(trainer.optimizer.step_count).tolist() == [2]


def test_without_clip_norm_they_end_the_training(digits: data.Splits, config: TrainConfig) -> None:
    with pytest.raises(DivergedError) as caught:
        fit(spoiled(2), digits, config)
    assert "clip_norm=1.0, or --clip-norm 1" in str(caught.value.fix)


def test_skipped_steps_are_recorded(
    digits: data.Splits, make_model: Make, config: TrainConfig
) -> None:
    history = fit(spoiled(2, 3, 9), digits, replace(config, clip_norm=1.0))
    assert [record["skipped_steps"] for record in history.records] == [2, 0, 1]
    assert all(math.isfinite(record["loss"]) for record in history.records)
    history = fit(make_model(), digits, replace(config, epochs=1))
    assert "skipped_steps" not in history.records[0]


def test_the_learning_rate_is_that_of_the_step_whatever_was_skipped(
    digits: data.Splits, config: TrainConfig
) -> None:
    trainer = Trainer(spoiled(1, 2), digits, replace(config, clip_norm=1.0))
    for step in range(4):
        trainer.train_step()
        assert trainer.optimizer.learning_rate[0] == trainer.learning_rates[step]
    trainer.set_learning_rate(0.25)
    trainer.train_step()
    assert trainer.optimizer.learning_rate[0] == 0.25


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_of_skipped_steps_is_an_error(
    digits: data.Splits, config: TrainConfig, epoch: int
) -> None:
    run = Run.create(replace(config, clip_norm=1.0), backend.get("cpu"))
    steps = range(4 * epoch - 3, 4 * epoch + 1)
    with pytest.raises(DivergedError) as caught:
        fit(spoiled(*steps), digits, run.config(), run=run)
    step = f"step {4 * epoch}, in epoch {epoch}"
    assert caught.value.message == f"all steps of an epoch were skipped: {step}"
    assert "the gradient of hidden.bias holds NaN" in str(caught.value.cause)
    assert "clip" not in str(caught.value.fix)
    assert load(run.weights).description["step"] == 4 * (epoch - 1)
    assert run.outcome()["reason"] == "diverged"


@pytest.mark.parametrize("interval", [1, 50])
def test_a_loss_that_is_not_finite_ends_the_training(
    digits: data.Splits, config: TrainConfig, interval: int
) -> None:
    """At its own step, although steps before it were skipped."""

    class Explode(Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.training
            return x * math.inf if self.training and self.calls > 5 else x

    model = Sequential([*spoiled(2, 3), Explode(name="bomb")])
    changed = replace(config, clip_norm=1.0, log_interval=interval)
    with pytest.raises(DivergedError, match="not finite: step 6, in epoch 2") as caught:
        fit(model, digits, changed)
    assert "bomb (Explode)" in str(caught.value.cause)
    assert "clip" not in str(caught.value.fix)


@pytest.mark.parametrize("step", [3, 4, 6])
def test_a_resumed_training_gives_the_same_bits(
    digits: data.Splits, config: TrainConfig, results: Results, step: int
) -> None:
    """After a skipped step, within and after an epoch."""
    config = replace(config, clip_norm=0.5)
    whole, part = (Run.create(config, backend.get("cpu")) for _ in range(2))
    fit(spoiled(2, 5), digits, whole.config(), run=whole)
    with pytest.raises(Interrupted):
        fit(spoiled(2, 5), digits, part.config(), [StopAt(step)], run=part)
    later = [number - step for number in (2, 5)]
    fit(spoiled(*later), digits, part.config(), run=part, resume=True)
    assert results(part.path) == results(whole.path)
    assert results(whole.path)["metrics"][0]["skipped_steps"] == 1


COUNTERS: list[tuple[str, Any, str]] = [
    ("steps", np.array([5], np.uint32), "its steps is"),
    ("step_count", np.array([6], np.uint32), "its records skip 1 steps"),
    ("step_count", np.array([2], np.uint32), "its records skip 1 steps"),
    ("steps", None, "has no steps"),
]
RECORDS: list[tuple[Any, str]] = [
    (None, "skipped_steps"),
    (-1, "skipped_steps"),
    (4, "skipped_steps"),
    (1.0, "skipped_steps"),
    (2, "its records skip 2 steps"),
]


class TestProgress:
    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, digits: data.Splits) -> tuple[TrainConfig, Any]:
        """A checkpoint in the second epoch, with one skipped step in the first."""
        config = TrainConfig(epochs=3, batch_size=30, device="cpu", clip_norm=1.0)
        trainer = Trainer(spoiled(2), digits, config)
        for step in range(1, 7):
            trainer.train_step()
            if step == 4:
                trainer.end_epoch()
        return config, trainer.snapshot()

    def test_a_good_one(self, digits: data.Splits, trained: Any) -> None:
        config, found = trained
        trainer = Trainer(spoiled(), digits, config)
        trainer.restore(found)
        trainer.read()
        assert (trainer.step, trainer.skipped_steps) == (6, 0)

    @pytest.mark.parametrize(("name", "value", "words"), COUNTERS)
    def test_counters(
        self, digits: data.Splits, trained: Any, name: str, value: Any, words: str
    ) -> None:
        config, found = trained
        arrays = {**found.state, name: value}
        bad = replace(found, state={key: a for key, a in arrays.items() if a is not None})
        with pytest.raises(DamagedError) as caught:
            Trainer(spoiled(), digits, config).restore(bad)
        assert words in str(caught.value.cause)

    @pytest.mark.parametrize(("value", "words"), RECORDS)
    def test_records(self, digits: data.Splits, trained: Any, value: Any, words: str) -> None:
        config, found = trained
        record = {**found.progress["records"][0], "skipped_steps": value}
        bad = replace(found, progress={**found.progress, "records": [record]})
        with pytest.raises(DamagedError) as caught:
            Trainer(spoiled(), digits, config).restore(bad)
        assert words in str(caught.value.cause)


def test_it_is_an_option_everywhere(tmp_path: Path) -> None:
    toml = tmp_path / "c.toml"
    toml.write_text("clip_norm = 0.5\n")
    assert TrainConfig.load(toml, {}).clip_norm == 0.5
    assert TrainConfig.load(toml, {"GPUCNN_CLIP_NORM": "2"}).clip_norm == 2.0
    assert TrainConfig.load(toml, {"GPUCNN_CLIP_NORM": "2"}, {"clip_norm": 3}).clip_norm == 3.0
    with pytest.raises(UsageError, match=r"clip_norm is -1\.0 .*GPUCNN_CLIP_NORM"):
        TrainConfig.load(None, {"GPUCNN_CLIP_NORM": "-1"})
