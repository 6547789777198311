"""Layers that are put into a model after it was trained, evaluated or asked for its shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn import nn
from gpucnn.keras import Sequential, losses

RNG = np.random.default_rng(0)
X = RNG.random((30, 5), dtype=np.float32)
IDS = np.arange(30)


class Own(nn.Module):
    """Two layers of which the second is the head."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = nn.Dense(4), nn.Dense(3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.body(x))


def made(nested: bool = False, **options: Any) -> tuple[Sequential, Own]:
    own = Own()
    model = Sequential([Sequential([own]) if nested else own])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, ["accuracy"], device="cpu", seed=1, **options)
    model.fit(X, IDS % 3, verbose=0)
    model.train_on_batch(X, IDS % 3)
    return model, own


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("units", [2, 3, 7])
class TestAHead:
    def test_is_trained(self, nested: bool, units: int) -> None:
        """As by an optimizer that is made for it: the steps are those of `fit`."""
        model, own = made(nested)
        own.fc = nn.Dense(units)
        before = [array.copy() for array in model.get_weights()]
        other, same = made(nested)
        same.fc = nn.Dense(units)
        other.set_weights(before)
        for _ in range(5):
            model.train_on_batch(X, IDS % units)
        other.fit(X, IDS % units, 30, 5, verbose=0, shuffle=False)
        for first, left, right in zip(
            before, model.get_weights(), other.get_weights(), strict=True
        ):
            assert (left == right).all()
            assert (left != first).any()

    def test_says_what_labels_there_are(self, nested: bool, units: int) -> None:
        model, own = made(nested)
        assert model.output_shape == (None, 3)
        own.fc = nn.Dense(units)
        assert model.evaluate(X, IDS % units).accuracy <= 1
        assert model.output_shape == (None, units)
        assert model.test_on_batch(X, IDS % units) == list(model.evaluate(X, IDS % units))


@pytest.mark.parametrize(
    "change",
    [
        lambda own: setattr(own, "fc", nn.Sequential([own.fc, nn.Dense(2)])),
        lambda own: setattr(own, "body", nn.Dense(6)) or setattr(own, "fc", nn.Dense(2)),
        lambda own: setattr(own, "fc", nn.Sequential([own.fc, nn.Flatten()])),
    ],
)
def test_other_changes(change: Callable[[Own], Any]) -> None:
    model, own = made()
    change(own)
    units = model.predict(X).shape[1]
    assert model.output_shape == (None, units)
    before = [array.copy() for array in model.get_weights()]
    model.train_on_batch(X, IDS % units)
    changed = [(a != b).any() for a, b in zip(before, model.get_weights(), strict=True)]
    assert all(changed)


def test_the_optimizer_of_single_steps_stays_where_nothing_changes() -> None:
    model, _ = made()
    stepper = model._stepper
    model.evaluate(X, IDS % 3)
    model.fit(X, IDS % 3, verbose=0)
    model.set_weights(model.get_weights())
    model.train_on_batch(X, IDS % 3)
    assert model._stepper is stepper
