"""Clipping gradients by their joint norm, against float64; and what a training counts by it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference
from checks import LAYOUTS, arrange, assert_close, assert_same_bits

from gpucnn import ops
from gpucnn.errors import DtypeError, ShapeError, UsageError

SHAPES = [(3, 4), (5,), (), (0, 2), (2, 3, 3, 3), (1021,)]


def gradients(rng, shapes, dtype):
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def clip(backend, grads, max_norm, **counted):
    """The clipped gradients and the norm, on the host."""
    found, norm = backend.clip_grad_norm([*map(backend.asarray, grads)], max_norm, **counted)
    assert (norm.dtype, norm.shape) == (np.float64, (1,))
    return [backend.to_numpy(grad) for grad in found], float(backend.to_numpy(norm)[0])


def counters(backend, halted=0, step=7, found_inf=0):
    numbers = {"halted": halted, "step": step, "found_inf": found_inf}
    return {key: backend.asarray(np.array([n], np.uint32)) for key, n in numbers.items()}


def read(backend, counted):
    return tuple(int(backend.to_numpy(array)[0]) for array in counted.values())


def check(backend, grads, max_norm):
    got, norm = clip(backend, grads, max_norm)
    want, expected = reference.clip_grad_norm(grads, max_norm)
    assert norm == pytest.approx(expected, rel=1e-14)
    for found, given, right in zip(got, grads, want, strict=True):
        assert found.dtype == given.dtype
        assert_close(found, right, terms=2)


@pytest.mark.parametrize("max_norm", [0.0, 1e-9, 0.5, 3.0, 1e6])
def test_the_joint_norm_is_at_most_max_norm(backend, dtype, rng, max_norm):
    check(backend, gradients(rng, SHAPES, dtype), max_norm)


def test_gradients_below_max_norm_keep_their_bits(backend, dtype, rng):
    grads = gradients(rng, SHAPES, dtype)
    for found, grad in zip(clip(backend, grads, 1e3)[0], grads, strict=True):
        assert_same_bits(found, grad)


@pytest.mark.parametrize("size", [1, 3, 4, 255, 256, 257, 4095, 4097, 300_001])
def test_a_gradient_that_is_cut_into_parts(backend, dtype, rng, size):
    check(backend, gradients(rng, [(size,), (7,)], dtype), 1.0)


def test_many_gradients(backend, rng):
    """More than a table has, and more parts than a block has threads."""
    check(backend, gradients(rng, [(n % 5 + 1,) for n in range(300)], "float32"), 1.0)


def test_gradients_of_both_dtypes(backend, rng):
    grads = [rng.standard_normal(9).astype(dtype) for dtype in ("float32", "float64") * 3]
    check(backend, grads, 1.0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_strides(backend, rng, layout):
    grads = gradients(rng, [(6, 5), (4, 3)], "float32")
    found, _ = backend.clip_grad_norm([arrange(backend, grad, layout) for grad in grads], 1.0)
    for got, want in zip(found, reference.clip_grad_norm(grads, 1.0)[0], strict=True):
        assert got.flags.c_contiguous
        assert_close(backend.to_numpy(got), want, terms=2)


def test_the_gradients_are_left_alone(backend, rng):
    """Two parameters may be given one array."""
    grad = rng.standard_normal(9).astype(np.float32)
    there = backend.asarray(grad.copy())
    (first, second), _ = backend.clip_grad_norm([there, there], 0.5)
    assert_same_bits(backend.to_numpy(there), grad)
    assert_same_bits(backend.to_numpy(first), backend.to_numpy(second))
    want = reference.clip_grad_norm([grad, grad], 0.5)[0][0]
    assert_close(backend.to_numpy(first), want, terms=2)


@pytest.mark.parametrize("size", [1, 5, 8, 1021])
def test_it_is_written_where_it_belongs(gpu, dtype, rng, size):
    """From the middle of a longer array, as gradients in one block of memory would lie."""
    whole = rng.standard_normal(size + 9).astype(dtype)
    for first in (4, 5):
        part = gpu.asarray(whole)[first : first + size]
        (got,), _ = gpu.clip_grad_norm([part], 0.5)
        want, _ = reference.clip_grad_norm([whole[first : first + size]], 0.5)
        assert_close(gpu.to_numpy(got), want[0], terms=2)


def test_squares_of_large_floats_do_not_overflow(backend):
    grads = [np.full(4, 1e25, np.float32), np.full(5, 1e-30, np.float32)]
    got, norm = clip(backend, grads, 1.0)
    assert norm == pytest.approx(2e25, rel=1e-6)
    assert_close(got[0], np.full(4, 0.5), terms=2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_norm_that_is_not_finite(backend, dtype, bad):
    """As in PyTorch: a NaN makes all NaN, an infinity makes the finite ones 0."""
    grads = [np.ones(3, dtype), np.array([1, bad], dtype)]
    (first, second), norm = clip(backend, grads, 1.0)
    if np.isnan(bad):
        assert math.isnan(norm)
        assert np.isnan([*first, *second]).all()
    else:
        assert norm == np.inf
        assert [*first, second[0]] == [0] * 4
        assert np.isnan(second[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_finite_count_no_step(backend, dtype, bad):
    """They stay as they are, and show where they went wrong."""
    grads = [np.full(3, 9, dtype), np.array([9, bad], dtype)]
    counted = counters(backend)
    found, _ = clip(backend, grads, 1.0, **counted)
    assert read(backend, counted) == (0, 7, 1)
    for got, grad in zip(found, grads, strict=True):
        assert_same_bits(got, grad)


def test_it_counts_a_step_of_finite_gradients(backend, rng):
    """found_inf is of this step alone: it may be set by the one before."""
    for found_inf in (0, 1, 17):
        counted = counters(backend, found_inf=found_inf)
        clip(backend, gradients(rng, SHAPES, "float32"), 1.0, **counted)
        assert read(backend, counted) == (0, 8, 0)


@pytest.mark.parametrize("halted", [1, 9, 2**32 - 1])
def test_a_halted_training_counts_no_step(backend, rng, halted):
    counted, grads = counters(backend, halted=halted), gradients(rng, SHAPES, "float32")
    found, _ = clip(backend, grads, 1.0, **counted)
    assert read(backend, counted) == (halted, 7, 1)
    for got, grad in zip(found, grads, strict=True):
        assert_same_bits(got, grad)


def test_it_gives_the_same_bits_each_time(backend, rng):
    grads = gradients(rng, [(50_000,), (33,)], "float32")
    (first, norm), (second, again) = (clip(backend, grads, 1.0) for _ in range(2))
    assert norm == again
    for a, b in zip(first, second, strict=True):
        assert_same_bits(a, b)


def test_any_number_of_threads_gives_the_same_bits(threads, rng):
    grads = gradients(rng, [(300_001,), (33,)], "float32")
    found = []
    for count in (1, 3):
        threads.set_threads(count)
        (*arrays,), norm = ops.clip_grad_norm(grads, 1.0)
        found.append([norm.tobytes(), *(array.tobytes() for array in arrays)])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"grads": []}, DtypeError, "no array at all"),
        ({"grads": np.ones(3, np.float32)}, UsageError, "no list of arrays"),
        ({"grads": [np.ones(3, np.int32)]}, DtypeError, r"grads\[0\] int32"),
        ({"grads": [np.ones(3), np.ones(3, np.float16)]}, DtypeError, r"grads\[1\] float16"),
        ({"max_norm": "1"}, DtypeError, "max_norm"),
        ({"max_norm": None}, DtypeError, "max_norm"),
        ({"step": None}, ShapeError, "halted, found_inf without the other"),
        ({"halted": None, "step": None}, ShapeError, "found_inf without the other"),
        ({"step": np.zeros(2, np.uint32)}, ShapeError, "step is uint32"),
        ({"found_inf": np.zeros(1, np.int32)}, DtypeError, "found_inf is int32"),
    ],
)
def test_arguments_that_are_refused(changed, error, words):
    given = {key: np.zeros(1, np.uint32) for key in ("halted", "step", "found_inf")}
    given = {"grads": [np.ones(3)], "max_norm": 1.0, **given, **changed}
    with pytest.raises(error, match=words):
        ops.clip_grad_norm(given.pop("grads"), given.pop("max_norm"), **given)
