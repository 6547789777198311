"""One row by a matrix: what is compiled for it, and what is left to NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import assert_close, assert_same_bits
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the extra `fast` is not installed")

from gpucnn.backend.numba import dense
from gpucnn.backend.numba.llvm.vectors import LANES

WIDTHS = st.one_of(
    st.integers(0, 2 * LANES),
    st.builds(lambda blocks, more: 8 * LANES * blocks + more, st.integers(0, 3), st.integers(0, 9)),
    st.integers(0, 20 * LANES),
)


def operands(rng: np.random.Generator, K: int, N: int) -> list[Any]:
    return [rng.integers(-3, 4, s).astype(np.float32) for s in ((1, K), (K, N), (N,))]


@given(st.integers(0, 70), WIDTHS, st.integers(0, 2**32 - 1))
@example(0, 0, 0)
@example(3, 0, 0)
@example(0, 2 * LANES + 1, 0)
@settings(max_examples=200)
def test_small_integers_are_exact(compiled, K, N, seed):
    a, b, bias = operands(np.random.default_rng(seed), K, N)
    assert dense.is_row_by_matrix(a, b)
    want = a.astype(np.float64) @ b
    np.testing.assert_array_equal(compiled.matmul(a, b), want)
    np.testing.assert_array_equal(compiled.matmul(a, b, bias=bias), want + bias)
    fused = compiled.matmul(a, b, bias=bias, activation="relu")
    np.testing.assert_array_equal(fused, np.maximum(want + bias, 0))


@pytest.mark.parametrize("N", [10, 64, 8 * LANES + 5])
def test_errors_keep_to_their_bounds(compiled, rng, N):
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((1, 9216), (9216, N)))
    assert_close(compiled.matmul(a, b), a.astype(np.float64) @ b, 9216)


def every_second(array: Any) -> Any:
    wide = np.full((*array.shape, 2), 7, array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


def among_others(array: Any) -> Any:
    """As an image is cut out of a batch: neighbors in memory are other numbers."""
    whole = np.full((3, *array.shape), 7, array.dtype)
    whole[1] = array
    return whole[1]


def backwards(array: Any) -> Any:
    return array[..., ::-1].copy()[..., ::-1]


@pytest.mark.parametrize("N", [LANES - 1, 8 * LANES + 3])
@pytest.mark.parametrize("place", [every_second, among_others, backwards])
def test_strides_of_the_row_and_the_bias_change_no_bit(compiled, rng, N, place):
    a, b, bias = (rng.standard_normal(s).astype(np.float32) for s in ((1, 99), (99, N), (N,)))
    want = compiled.matmul(a, b, bias=bias)
    assert_same_bits(compiled.matmul(place(a), b, bias=place(bias)), want)
    assert_same_bits(compiled.matmul(a.T.copy(), b, transpose_a=True, bias=bias), want)
    assert_same_bits(compiled.matmul(a, among_others(b), bias=bias), want)


@pytest.mark.parametrize("N", [3, LANES, 8 * LANES, 9 * LANES + 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_stay_what_they_are(compiled, N, bad):
    """Also behind a ReLU, where only -inf becomes 0; and each stays in its column."""
    for column in range(N):
        a, b = np.ones((1, 4), np.float32), np.full((4, N), -1, np.float32)
        b[2, column] = bad
        want = np.full((1, N), -4, np.float32)
        want[0, column] = bad
        np.testing.assert_array_equal(compiled.matmul(a, b), want)
        fused = compiled.matmul(a, b, activation="relu")
        np.testing.assert_array_equal(fused, np.maximum(want, 0))


def test_the_sum_of_a_column_does_not_depend_on_where_it_is(compiled, rng):
    """The last columns are computed with others before them, a second time."""
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((1, 50), (50, 8 * LANES + 3)))
    whole = compiled.matmul(a, b)
    for first in range(0, 3 * LANES, 7):
        part = np.ascontiguousarray(b[:, first:])
        assert_same_bits(compiled.matmul(a, part), whole[:, first:])


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(lambda b: b, id="large"),
        pytest.param(lambda b: b[:50].T.copy().T, id="by columns"),
        pytest.param(lambda b: every_second(b[:50]), id="every second"),
        pytest.param(lambda b: b[:50].astype(np.float64), id="float64"),
    ],
)
def test_what_numpy_multiplies(
    compiled: Any, rng: np.random.Generator, monkeypatch: Any, arrange: Callable[[Any], Any]
):
    a, b, bias = operands(rng, 2100, 1000)  # 8.4 MB
    b = arrange(b)
    a, bias = a[:, : len(b)].astype(b.dtype), bias.astype(b.dtype)
    monkeypatch.setattr(dense, "_row_by_matrix", None)
    want = np.maximum(a.astype(np.float64) @ b + bias, 0)
    found = compiled.matmul(a, b, bias=bias, activation="relu")
    assert found.dtype == b.dtype
    np.testing.assert_array_equal(found, want)


def test_several_rows_are_numpy_s(compiled, rng):
    a, b, _ = operands(rng, 5, 7)
    assert dense.is_row_by_matrix(a, b)
    assert not dense.is_row_by_matrix(np.repeat(a, 2, axis=0), b)
    assert not dense.is_row_by_matrix(a[:0], b)
