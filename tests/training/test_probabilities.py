"""`fit` warns of a network that gives probabilities to a loss that takes logits."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn import data, keras, nn
from gpucnn import functions as F
from gpucnn.errors import GpucnnWarning
from gpucnn.training import TrainConfig, fit

SOFTMAX, SIGMOID, SQUARED = "softmax_cross_entropy", "binary_cross_entropy", "mean_squared_error"
SPLITS = data.Splits(
    data.Dataset("toy", np.arange(200, dtype=np.uint8).reshape(8, 1, 5, 5), np.arange(8) % 3, 3)
)


class Own(nn.Module):
    def __init__(self, last: Callable[[Any], Any]) -> None:
        super().__init__()
        self.dense, self.last = nn.Dense(3), last

    def forward(self, x: Any) -> Any:
        return self.last(self.dense(F.flatten(x)))


def network(*end: nn.Module, activation: str | None = None) -> nn.Sequential:
    return nn.Sequential([nn.Flatten(), nn.Dense(3, activation=activation), *end])


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "a layer": lambda: network(nn.Softmax()),
    "an activation": lambda: network(nn.Activation("softmax")),
    "of the last layer": lambda: network(activation="softmax"),
    "nested": lambda: nn.Sequential([network(), nn.Sequential([nn.Softmax()])]),
    "in a Sequential of layers of one's own": lambda: nn.Sequential([Own(F.relu), nn.Softmax()]),
    "a function": lambda: Own(F.softmax),
    "sigmoid": lambda: network(activation="sigmoid"),
    "logits": network,
    "softmax within": lambda: network(nn.Softmax(), nn.Dense(3)),
    "log-softmax": lambda: Own(F.log_softmax),
    "relu": lambda: network(activation="relu"),
}
OF_SOFTMAX = [*NETWORKS][:6]


def train(model: nn.Module, loss: str) -> list[str]:
    """The texts of the warnings of a training."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(model, SPLITS, TrainConfig(epochs=1, loss=loss, device="cpu"))
    assert all(each.category is GpucnnWarning for each in caught)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("loss", [SOFTMAX, SIGMOID, SQUARED])
@pytest.mark.parametrize("name", NETWORKS)
def test_of_probabilities_for_a_loss_of_logits(name: str, loss: str) -> None:
    said = train(NETWORKS[name](), loss)
    expected = (name in OF_SOFTMAX and loss != SQUARED) or (name, loss) == ("sigmoid", SIGMOID)
    assert len(said) == expected
    if expected:
        assert f"are probabilities, and {loss} takes them for logits\nfix: leave out" in said[0]


def test_not_of_a_keras_model() -> None:
    """Its `fit` computes the loss without the softmax."""
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", device="cpu")
    model.fit(SPLITS.train.images / 255, SPLITS.train.labels, verbose=0)
