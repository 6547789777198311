"""Where there are no graphs, steps are eager; tests/fakecuda has the tests of those that are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from gpucnn import Tensor, data, nn
from gpucnn import functions as F
from gpucnn.errors import UsageError
from gpucnn.nn.activations import ACTIVATIONS
from gpucnn.training import TrainConfig, Trainer, replay

Make = Callable[[], nn.Sequential]


@pytest.mark.parametrize("device", ["cpu", "sim"])
def test_a_device_without_graphs(
    digits: data.Splits, make_model: Make, config: TrainConfig, device: str
) -> None:
    config = replace(config, device=device)
    with pytest.raises(UsageError, match=f"graph is set, and the device {device} has no graphs"):
        Trainer(make_model(), digits, replace(config, graph=True))
    for graph in (None, False):
        trainer = Trainer(make_model(), digits, replace(config, graph=graph))
        for _ in range(4):
            trainer.train_step()
        assert trainer._replays._graphs == {}
        assert trainer.notes == []


def test_it_does_not_decide_the_result() -> None:
    on, off = (TrainConfig(graph=graph).deciding("cpu") for graph in (True, False))
    assert on == off


class Mine(nn.ReLU):
    """A layer of the user's, which inherits all it does."""


def of_the_user(digits: data.Splits, config: TrainConfig, model: nn.Sequential) -> str | None:
    return replay._of_the_user(Trainer(model, digits, config)._train_step)


class TestOfTheUser:
    """Code of the user's is found wherever a step calls it."""

    def test_nothing(self, digits: data.Splits, config: TrainConfig, make_model: Make) -> None:
        assert of_the_user(digits, config, make_model()) is None
        body = nn.Residual(nn.Conv2d(1, 3, padding="same"), nn.BatchNorm2d())
        model = nn.Sequential([body, nn.GlobalAvgPool2d(), nn.LayerNorm(), nn.Dense(10)])
        assert of_the_user(digits, config, model) is None

    def test_an_initializer_is_called_in_no_step(
        self, digits: data.Splits, config: TrainConfig
    ) -> None:
        def draw(shape: Any, *_: Any) -> Any:
            return nn.initializers.get("zeros")(shape, 1, 1, 0, "")

        layers = [nn.Flatten(), nn.Dense(10, kernel_initializer=draw)]
        assert of_the_user(digits, config, nn.Sequential(layers)) is None

    def test_a_layer(self, digits: data.Splits, config: TrainConfig) -> None:
        layers = [nn.Flatten(), nn.Sequential([nn.Dense(10), Mine()])]
        assert of_the_user(digits, config, nn.Sequential(layers)) == "sequential1.relu1 (Mine)"

    @pytest.mark.parametrize("wrap", [lambda f: f, partial])
    def test_a_forward_of_one_layer(
        self, digits: data.Splits, config: TrainConfig, wrap: Any
    ) -> None:
        model = nn.Sequential([nn.Flatten(), nn.Dense(10)])
        model[1].forward = wrap(lambda x, activation=None: F.relu(x @ model[1].weight))
        assert of_the_user(digits, config, model) == "dense1 (Dense)"

    def test_a_forward_of_a_class(
        self, digits: data.Splits, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nn.Flatten, "forward", lambda self, x: F.flatten(x))
        model = nn.Sequential([nn.Flatten(), nn.Dense(10)])
        assert of_the_user(digits, config, model) == "flatten1 (Flatten)"

    def test_a_function_from_images_to_outputs(
        self, digits: data.Splits, config: TrainConfig
    ) -> None:
        class Doubled(Trainer):
            @property
            def forward(self) -> Callable[[Tensor], Tensor]:
                return lambda x: self.model(x) * 2

        model = nn.Sequential([nn.Flatten(), nn.Dense(10)])
        step = Doubled(model, digits, config)._train_step
        assert replay._of_the_user(step) == "the function from images to outputs"

    def test_an_activation(
        self, digits: data.Splits, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(ACTIVATIONS, "swish", lambda x: x * F.sigmoid(x))
        model = nn.Sequential([nn.Flatten(), nn.Dense(10, "swish")])
        assert of_the_user(digits, config, model) == "an activation"
