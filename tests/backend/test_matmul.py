"""The matrix product with its transposes and epilogue against sums of Python floats."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from checks import LAYOUTS, arrange, assert_close
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.errors import DtypeError, GpucnnError, ShapeError

SIZES = [(1, 1, 1), (5, 7, 3), (17, 33, 9), (0, 4, 3), (1, 64, 5), (3, 1, 2), (130, 20, 11)]


def operands(rng, m, k, n, transpose_a, transpose_b, dtype):
    a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
    return a, b, rng.standard_normal(n).astype(dtype)


@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_matmul(backend, dtype, rng, m, k, n, transpose_a, transpose_b):
    a, b, bias = operands(rng, m, k, n, transpose_a, transpose_b, dtype)
    transposes = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    there = [backend.asarray(array) for array in (a, b, bias)]
    plain = backend.matmul(there[0], there[1], **transposes)
    assert plain.dtype == dtype
    assert_close(backend.to_numpy(plain), reference.matmul(a, b, **transposes), terms=k)
    biased = backend.to_numpy(backend.matmul(there[0], there[1], bias=there[2], **transposes))
    assert_close(biased, reference.matmul(a, b, bias=bias, **transposes), terms=k + 1)
    fused = backend.matmul(there[0], there[1], bias=there[2], activation="relu", **transposes)
    np.testing.assert_array_equal(backend.to_numpy(fused), np.maximum(biased, 0))


def test_no_terms_at_all_leave_the_bias(backend, dtype):
    a, b = np.zeros((3, 0), dtype=dtype), np.zeros((0, 2), dtype=dtype)
    bias = np.array([1, -2], dtype=dtype)
    got = backend.matmul(backend.asarray(a), backend.asarray(b), bias=backend.asarray(bias))
    np.testing.assert_array_equal(backend.to_numpy(got), np.tile(bias, (3, 1)))


def test_a_gradient_over_no_rows_is_zero(backend, dtype):
    a, b = np.zeros((0, 3), dtype=dtype), np.zeros((0, 2), dtype=dtype)
    got = backend.to_numpy(backend.matmul(backend.asarray(a), backend.asarray(b), transpose_a=True))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.zeros((3, 2)))


@given(
    st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from(LAYOUTS),
    st.integers(0, 2**32 - 1),
)
def test_small_integers_are_multiplied_exactly(backend, sizes, transposes, layout, seed):
    rng = np.random.default_rng(seed)
    a, b, bias = (
        np.round(3 * array).astype("float32") for array in operands(rng, *sizes, *transposes, "f8")
    )
    options = dict(zip(("transpose_a", "transpose_b"), transposes, strict=True))
    la, lb, lbias = (arrange(backend, array, layout) for array in (a, b, bias))
    got = backend.to_numpy(backend.matmul(la, lb, bias=lbias, **options))
    np.testing.assert_array_equal(got, reference.matmul(a, b, bias=bias, **options))


def test_a_long_reduction_keeps_its_accuracy(backend, rng):
    a, b, _ = operands(rng, 3, 20_000, 2, False, False, "float32")
    got = backend.to_numpy(backend.matmul(backend.asarray(a), backend.asarray(b)))
    assert_close(got, reference.matmul(a, b), terms=20_000)


def test_nan_survives_the_fused_relu(backend):
    a = backend.asarray(np.array([[np.nan], [-1.0]]))
    got = backend.matmul(a, backend.asarray(np.ones((1, 1))), activation="relu")
    np.testing.assert_array_equal(backend.to_numpy(got), [[np.nan], [0]])


def test_what_does_not_fit_is_an_error(backend):
    a, b = backend.asarray(np.zeros((2, 3))), backend.asarray(np.zeros((4, 5)))
    with pytest.raises(ShapeError) as caught:
        backend.matmul(a, b)
    assert "(2, 3)" in caught.value.message
    assert "(4, 5)" in caught.value.message
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        backend.matmul(a, b[:3], bias=backend.asarray(np.zeros(4)))
    with pytest.raises(ShapeError):
        backend.matmul(a[0], b)
    with pytest.raises(GpucnnError, match="gelu"):
        backend.matmul(a, b[:3], activation="gelu")


def test_unsupported_and_mixed_types(backend):
    single, double = (backend.asarray(np.ones((2, 2), dtype=t)) for t in ("float32", "float64"))
    half = backend.asarray(np.ones((2, 2), dtype="float16"))
    for a, b in ((single, double), (double, single), (half, half)):
        with pytest.raises(DtypeError):
            backend.matmul(a, b)
    with pytest.raises(DtypeError):
        backend.matmul(single, single, bias=double[0])
