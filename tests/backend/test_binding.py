"""Array expressions are computed where the device of the arrays is bound, as several GPUs need."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

import gpucnn.backend
from gpucnn import Tensor, nn, no_grad, ops, optim
from gpucnn import functions as F
from gpucnn.backend.simulator import DeviceArray, SimulatorLauncher
from gpucnn.errors import DeviceError
from gpucnn.training.divergence import find_culprit
from gpucnn.training.metrics import Totals

# What runs a kernel of CuPy's; all of them end up in one of these.
METHODS = ("__array_ufunc__", "__setitem__", "astype", "copy", "fill")


@pytest.fixture
def bound(monkeypatch):
    """The simulator, which refuses array expressions outside of `quiet_device`."""
    try:
        backend = gpucnn.backend.get("sim")
    except DeviceError as error:
        pytest.skip(str(error))
    depth = 0

    @contextmanager
    def quiet_device(self):
        nonlocal depth
        depth += 1
        try:
            yield
        finally:
            depth -= 1

    def checked(method):
        def call(self, *args, **options):
            assert depth, f"{method.__name__} where no device is bound"
            return method(self, *args, **options)

        return call

    monkeypatch.setattr(SimulatorLauncher, "quiet_device", quiet_device)
    for name in METHODS:
        monkeypatch.setattr(DeviceArray, name, checked(getattr(DeviceArray, name)))
    return backend


def test_what_the_fixture_refuses(bound):
    x = bound.asarray(np.ones(2, np.float32))
    with pytest.raises(AssertionError, match="no device is bound"):
        x + x
    with bound.quiet_device():
        x + x


def test_layers(bound, rng):
    layers = [nn.Conv2d(4, 3), nn.BatchNorm2d(), nn.Flatten(), nn.Dropout(0.5), nn.Dense(3)]
    model = nn.Sequential(layers).build((1, 6, 6), device="sim")
    x = Tensor(bound.asarray(rng.standard_normal((4, 1, 6, 6)).astype(np.float32)))
    labels = bound.asarray(np.arange(4) % 3)
    targets = bound.asarray(np.eye(4, 3))  # float64, so converted
    with no_grad():
        F.softmax_cross_entropy(model.train()(x), labels)
        F.softmax_cross_entropy(model.eval()(x), targets)
    model.set_step(3)
    model.load_state_dict(model.state_dict())
    find_culprit(model, "softmax_cross_entropy", x.data, labels)
    Totals(bound, "softmax_cross_entropy").restart()


def test_a_training_loop(bound, rng):
    model = nn.Sequential([nn.Flatten(), nn.Dense(3)]).build((1, 6, 6), device="sim")
    optimizer = optim.SGD(model, 0.1, momentum=0.9)
    x = Tensor(bound.asarray(rng.standard_normal((4, 1, 6, 6)).astype(np.float32)))
    labels = bound.asarray(np.arange(4) % 3)
    for _ in range(2):
        optimizer.zero_grad()
        F.softmax_cross_entropy(model(x), labels).backward()
        optimizer.set_learning_rate(0.05)
        optimizer.step()
    ops.softmax_cross_entropy_forward(model(x).data, labels)


def test_operands_that_are_copied(bound, rng):
    a = bound.asarray(rng.standard_normal((6, 8)).astype(np.float32))
    with bound.quiet_device():
        expected = ops.matmul(a[:, ::2].copy(), a[:4].copy())
    y = ops.matmul(a[:, ::2], a[:4])
    np.testing.assert_array_equal(bound.to_numpy(y), bound.to_numpy(expected))
