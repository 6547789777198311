"""The gradient of a fused ReLU, from its output."""

from __future__ import annotations

import numpy as np
import pytest
from checks import LAYOUTS, arrange

from gpucnn.errors import DtypeError, ShapeError


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (7, 9), (0, 4), (70_001,), (1,)])
def test_relu_backward(backend, dtype, rng, shape, layout):
    y = np.maximum(rng.standard_normal(shape), 0).astype(dtype)
    g = rng.standard_normal(shape).astype(dtype)
    got = backend.relu_backward(arrange(backend, g, layout), arrange(backend, y, layout))
    assert got.dtype == dtype
    np.testing.assert_array_equal(backend.to_numpy(got), np.where(y > 0, g, 0))


def test_a_gradient_that_is_not_finite_stops_at_a_closed_gate(backend):
    y = backend.asarray(np.array([0.0, 0.0, 1.0, 1.0]))
    g = backend.asarray(np.array([np.nan, np.inf, np.nan, np.inf]))
    got = backend.to_numpy(backend.relu_backward(g, y))
    np.testing.assert_array_equal(got, [0, 0, np.nan, np.inf])


def test_what_does_not_fit_is_an_error(backend):
    with pytest.raises(ShapeError):
        backend.relu_backward(backend.asarray(np.ones(3)), backend.asarray(np.ones(4)))
    with pytest.raises(DtypeError):
        backend.relu_backward(backend.asarray(np.ones(3)), backend.asarray(np.ones(3, np.float32)))
