"""The comparison with float64 lets nothing wrong through."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpucnn import backend as backends
from gpucnn.bench.verify import bound, relative_error, verify, worst


def test_one_wrong_value_among_a_million_is_seen(rng):
    values = rng.standard_normal(1 << 20)
    found = values.astype(np.float32)
    assert relative_error(found, values) < bound(1, "float32")
    found[777] += 0.01
    assert relative_error(found, values) > bound(1, "float32")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_passes_wherever_it_is(rng, bad):
    values = rng.standard_normal((4, 5))
    for i in range(20):
        found = values.copy()
        found.flat[i] = bad
        assert relative_error(found, values) == math.inf


def test_another_shape_never_passes():
    assert relative_error(np.ones((2, 3)), np.ones((3, 2))) == math.inf


def test_zeros():
    assert relative_error(np.zeros(3), np.zeros(3)) == 0
    assert relative_error(np.full(3, 1e-30), np.zeros(3)) == math.inf


def test_the_error_is_relative_l2():
    assert relative_error(np.array([3.0, 4.3]), np.array([3.0, 4.0])) == pytest.approx(0.06)


def test_the_bound():
    assert bound(100, "float32") == 40 * 2.0**-24
    assert bound(9, "float64") == 12 * 2.0**-53
    assert bound(0, "float32") == 0


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(1.0, 4.0), (1.0, 2.0)], (1.0, 2.0)),
        ([(0.0, 0.0), (1.0, 9.0)], (1.0, 9.0)),  # an exact result that is right
        ([(1e-9, 0.0), (8.0, 9.0)], (1e-9, 0.0)),  # ... and that is wrong
        ([(math.inf, 1.0), (8.0, 9.0)], (math.inf, 1.0)),
    ],
)
def test_the_result_nearest_to_its_bound_counts(pairs, expected):
    assert worst(pairs) == worst(reversed(pairs)) == expected


class TestVerify:
    """An operation that computes a sum and a copy."""

    def operation(self, *factors: float):
        def prepare(backend, x, labels):
            assert labels.dtype == np.int32
            wide = x.dtype == np.float64
            first, second = (1, 1) if wide else factors
            return lambda: (x.sum(1) * x.dtype.type(first), x * x.dtype.type(second))

        return prepare

    def check(self, rng, *factors: float) -> tuple[float, float]:
        arrays = rng.standard_normal((5, 100), dtype=np.float32), np.arange(5, dtype=np.int32)
        return verify(self.operation(*factors), backends.get("cpu"), arrays, (100, 0))

    def test_what_is_right(self, rng):
        error, bound = self.check(rng, 1, 1)
        assert 0 < error <= bound == 40 * 2.0**-24  # both are compared, the copy is exact

    @pytest.mark.parametrize("factors", [(1.001, 1), (1, 1.000001), (np.nan, 1), (1, np.inf)])
    def test_each_result_is_compared_with_float64(self, rng, factors):
        error, bound = self.check(rng, *factors)
        assert error > bound

    def test_a_result_that_is_missing(self, rng):
        def prepare(backend, x):
            return lambda: (x, x) if x.dtype == np.float64 else (x,)

        with pytest.raises(AssertionError):
            verify(prepare, backends.get("cpu"), [np.ones(3, np.float32)], (0, 0))
