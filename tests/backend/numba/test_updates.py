"""The optimizers' updates have the very bits of NumPy's, so that a run may change its backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import assert_same_bits

from gpucnn.backend.cpu.backend import CpuBackend

pytest.importorskip("numba", reason="the extra `fast` is not installed")

from gpucnn.backend.numba import elementwise

NUMPY = CpuBackend()
CHUNK = elementwise._CHUNK
UPDATES = [
    ("sgd", 0, {}),
    ("sgd", 0, {"weight_decay": 0.1}),
    ("sgd", 1, {"momentum": 0.9}),
    ("sgd", 1, {"momentum": 0.9, "weight_decay": 0.1}),
    ("sgd", 1, {"momentum": 0.9, "nesterov": True}),
    ("sgd", 1, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("rmsprop", 1, {}),
    ("rmsprop", 1, {"rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    ("adam", 2, {}),
    ("adam", 2, {"beta1": 0.0, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    ("adam", 2, {"weight_decay": 0.1, "decoupled": True}),
]


@pytest.fixture(params=UPDATES, ids=lambda update: f"{update[0]} {update[2]}")
def update(request: pytest.FixtureRequest) -> Any:
    """Its name, how many slots it has, and its options."""
    return request.param


def steps(backend: Any, update: Any, arrays: Any, gradients: Any) -> list[Any]:
    """Parameter and slots after some steps."""
    name, slots, options = update
    there = [array.copy() for array in arrays[: 1 + slots]]
    if name == "sgd" and not slots:
        there.append(None)
    for step, gradient in enumerate(gradients, 1):
        counted = {"step": np.array([step], np.uint32)} if name == "adam" else {}
        rate = np.array([0.05 / step], np.float32)
        getattr(backend, f"{name}_update")(
            there[0], gradient, *there[1:], learning_rate=rate, **counted, **options
        )
    return there[: 1 + slots]


@pytest.mark.parametrize("size", [0, 1, 7, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 77])
def test_the_bits_are_numpy_s(compiled, rng, update, dtype, size):
    """LLVM could take a multiplication and an addition for one operation: it must not."""
    arrays = [abs(rng.standard_normal(size)).astype(dtype) for _ in range(3)]
    gradients = [rng.standard_normal(size).astype(dtype) for _ in range(4)]
    want = steps(NUMPY, update, arrays, gradients)
    for got, right in zip(steps(compiled, update, arrays, gradients), want, strict=True):
        assert_same_bits(got, right)
    assert not size or (want[0] != arrays[0]).any()


def test_what_is_hardly_a_number(compiled, update):
    """Zeros with a sign, the least and the greatest numbers, infinity and NaN, all with all."""
    values = np.array([0.0, -0.0, 1e-45, -1e-39, 3e38, 1.0, np.inf, -np.inf, np.nan], np.float32)
    grid = np.meshgrid(values, values, abs(values), indexing="ij")
    param, gradient, slot = (array.ravel() for array in grid)
    arrays = param, slot, slot[::-1].copy()
    want = steps(NUMPY, update, arrays, [gradient])
    for got, right in zip(steps(compiled, update, arrays, [gradient]), want, strict=True):
        np.testing.assert_array_equal(got, right)
        number = ~np.isnan(right)
        assert_same_bits(got[number], right[number])


def test_the_gradient_is_left_alone_and_may_have_strides(compiled, rng, update):
    arrays = [abs(rng.standard_normal((9, 11))).astype(np.float32) for _ in range(3)]
    gradient = rng.standard_normal((11, 9)).astype(np.float32)
    before = gradient.copy()
    want = steps(NUMPY, update, arrays, [gradient.T.copy()])
    for got, right in zip(steps(compiled, update, arrays, [gradient.T]), want, strict=True):
        assert_same_bits(got, right)
    assert_same_bits(gradient, before)
