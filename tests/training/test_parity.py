"""A network trained on another device is the network trained by NumPy, up to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from selection import slow_except

from gpucnn import backend as backends
from gpucnn import data, models
from gpucnn.backend.cpu.backend import CpuBackend
from gpucnn.errors import DeviceError
from gpucnn.nn import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
    Sequential,
)
from gpucnn.training import TrainConfig, fit

STEPS = 20


def lenet() -> Sequential:
    return models.get("lenet")


def mixed() -> Sequential:
    """Stride, dilation, groups, uneven padding, batch norm, both poolings and dropout."""
    return Sequential(
        [
            Conv2d(8, 3, stride=2, padding=((1, 0), (1, 0)), use_bias=False),
            BatchNorm2d(),
            ReLU(),
            Conv2d(12, 3, dilation=2, groups=4, activation="relu"),
            AvgPool2d(3, stride=1, padding=1),
            Conv2d(16, (3, 1), padding="same", activation="relu"),
            MaxPool2d(2),
            Flatten(),
            Dropout(0.25),
            Dense(10),
        ]
    )


def train(make: Callable[[], Sequential], device: str, **options: Any) -> dict[str, np.ndarray]:
    """The weights after 20 steps of 16 digits."""
    config = TrainConfig(
        device=device, epochs=1, batch_size=16, limit_batches=STEPS, optimizer="sgd",
        momentum=0.9, learning_rate=0.02, schedule="constant", **options,
    )  # fmt: skip
    model = make()
    digits = data.load("digits", validation=0)
    fit(model, data.Splits(digits.train, None, digits.test.subset(slice(16))), config)
    return {path: p.numpy() for path, p in model.named_parameters().items()}


@pytest.mark.parametrize("make", slow_except([lenet, mixed], mixed))
def test_twenty_steps_lead_to_the_weights_of_numpy(
    backend: Any, make: Callable[[], Sequential], monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend.name == "cpu":
        pytest.skip("NumPy is what the others are compared with")
    start = {path: p.numpy() for path, p in make().build((1, 28, 28)).named_parameters().items()}
    got = train(make, backend.name)
    by_numpy = CpuBackend()  # and not by what compiles its kernels, whether Numba is here or not
    monkeypatch.setattr(backends, "_cpu", lambda: by_numpy)
    expected = train(make, "cpu")
    worst = {
        path: np.linalg.norm(got[path] - w) / np.linalg.norm(w - start[path])
        for path, w in expected.items()
    }
    assert max(worst.values()) <= 1e-4, worst


def test_the_same_seed_gives_the_same_bits(backend: Any) -> None:
    once, again = train(mixed, backend.name, seed=3), train(mixed, backend.name, seed=3)
    for path, w in once.items():
        np.testing.assert_array_equal(again[path], w, err_msg=path)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["reverse", "shuffled"])
def test_the_order_of_threads_does_not_change_a_bit(order: str, monkeypatch: Any) -> None:
    simulator = _simulator()
    expected = train(mixed, "sim")
    monkeypatch.setattr(simulator.launcher, "order", order)
    for path, w in train(mixed, "sim").items():
        np.testing.assert_array_equal(w, expected[path], err_msg=path)


def _simulator() -> Any:
    try:
        return backends.get("sim")
    except DeviceError as error:
        pytest.skip(str(error))
