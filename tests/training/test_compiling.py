"""Kernels are compiled ahead of the first step, which leaves no trace in the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn import nn
from gpucnn.autograd import Tensor
from gpucnn.data import Dataset, Splits
from gpucnn.training import TrainConfig, Trainer


class Own(nn.Module):
    """A layer of the user's, which counts its calls in training."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return x * 2


def layers() -> list[nn.Module]:
    return [
        nn.Conv2d(5, 3), nn.BatchNorm2d(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.5), nn.Dense(3),
    ]  # fmt: skip


def train(model: nn.Module, device: str = "sim") -> Trainer:
    """Three steps, the last on a short batch."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 1, 8, 8)).astype(np.uint8)
    labels = rng.integers(0, 3, len(images)).astype(np.int32)
    data = Splits(Dataset("noise", images, labels, 3))
    config = TrainConfig(device=device, batch_size=4, optimizer="adam", learning_rate=0.01)
    trainer = Trainer(model, data, config)
    for _ in range(trainer.steps_per_epoch):
        trainer.train_step()
    return trainer


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is compiled ahead."""
    launcher: Any = backends.get("sim").launcher  # type: ignore[attr-defined]
    calls: list[Any] = []
    compile_ahead = launcher.compile_ahead
    monkeypatch.setattr(
        launcher, "compile_ahead", lambda work: (calls.append(work), compile_ahead(work))
    )
    return calls


def same(one: Trainer, other: Trainer) -> None:
    for ours, theirs in zip(_arrays(one), _arrays(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert one.read() == other.read()


def _arrays(trainer: Trainer) -> list[Any]:
    snapshot = trainer.snapshot()
    return [*snapshot.weights.values(), *snapshot.state.values()]


def test_bits_are_those_of_a_training_without_it(
    ahead: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_it = train(nn.Sequential(layers()))
    assert len(ahead) == 2  # for each size of a batch
    launcher: Any = backends.get("sim").launcher  # type: ignore[attr-defined]
    monkeypatch.setattr(launcher, "compile_ahead", lambda work: None)
    same(with_it, train(nn.Sequential(layers())))


def test_a_step_that_fails_leaves_the_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(layers())

    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Tensor, "backward", fail)
    with pytest.raises(MemoryError):
        train(model)
    state = model.state_dict()
    np.testing.assert_array_equal(state["batchnorm1.running_mean"], np.zeros(5))
    np.testing.assert_array_equal(state["batchnorm1.running_var"], np.ones(5))


def test_a_forward_pass_of_the_user_is_called_once_a_step(ahead: list[Any]) -> None:
    own = Own()
    train(nn.Sequential([*layers(), own]))
    assert ahead == []
    assert own.calls == 3


def test_an_observer_sees_each_step_once(ahead: list[Any]) -> None:
    seen: list[Any] = []
    model = nn.Sequential(layers())
    trainer = train(model)
    ahead.clear()
    trainer._train_step._compiled.clear()
    with model.observe(lambda module, inputs, output: seen.append(module)):
        trainer.train_step()
    assert ahead == []
    assert seen.count(model[0]) == 1


def test_building_a_model_and_counting_its_outputs_launch_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launcher: Any = backends.get("sim").launcher  # type: ignore[attr-defined]

    def fail(*_: Any) -> None:
        raise AssertionError("a kernel is launched")

    monkeypatch.setattr(launcher, "_run", fail)
    model = nn.Sequential(layers()).build((1, 8, 8), device="sim")
    assert nn.summary.rows(model)[-1].output_shape == (1, 3)
