"""Which arrays go in and what comes out: layouts, types, memory that is shared, NaN that is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import Calls, is_in_place
from checks import assert_same_bits
from reference import Taps

from gpucnn.backend.cpu.backend import CpuBackend

pytest.importorskip("numba", reason="the extra `fast` is not installed")

CALLS = sorted(Calls(np.asarray).calls)
PURE = [name for name in CALLS if not is_in_place(name)]
NUMPY = CpuBackend()
PAIRS = (2, None, 0)


def read_only(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array: Any) -> Any:
    array = np.asarray(array)
    there = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    there[...] = array
    return there


def spread_out(array: Any) -> Any:
    wide = np.zeros((*array.shape, 2), array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


@pytest.mark.parametrize("name", PURE)
@pytest.mark.parametrize("place", [read_only, unaligned, spread_out])
def test_any_array_gives_the_same_bits(compiled, name, place):
    want = Calls(np.asarray).calls[name](compiled)
    for got, right in zip(Calls(place).calls[name](compiled), want, strict=True):
        assert_same_bits(got, right, name)


@pytest.mark.parametrize("dtype", ["int8", "uint8", ">i4", "int64", "uint64", ">u2"])
def test_integers_of_any_type(compiled, rng, dtype):
    logits, labels = rng.standard_normal((5, 4)).astype(np.float32), np.array([0, 3, 1, 2, 3])
    want = compiled.softmax_cross_entropy_forward(logits, labels)
    for got, right in zip(
        compiled.softmax_cross_entropy_forward(logits, labels.astype(dtype)), want, strict=True
    ):
        assert_same_bits(got, right)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 8, 8), (4, 3, 3, 3)))
    y, argmax = compiled.conv2d_relu_pool_forward(x, w, pool=PAIRS)
    want = compiled.conv2d_relu_pool_backward(y, x, w, None, argmax, pool=PAIRS)
    found = compiled.conv2d_relu_pool_backward(y, x, w, None, argmax.astype(dtype), pool=PAIRS)
    for got, right in zip(found, want, strict=True):
        assert_same_bits(got, right)
    back = compiled.max_pool2d_backward(y, argmax, (2, 4, 6, 6), 2)
    assert_same_bits(compiled.max_pool2d_backward(y, argmax.astype(dtype), (2, 4, 6, 6), 2), back)


@pytest.mark.parametrize("name", CALLS)
def test_float64_is_computed_by_numpy(compiled, name):
    call = Calls(np.asarray, dtype=np.float64).calls[name]
    for got, right in zip(call(compiled), call(NUMPY), strict=True):
        assert_same_bits(got, right, name)


@pytest.mark.parametrize("name", PURE)
def test_results_have_memory_of_their_own(compiled, name):
    given = []

    def keep(array: Any) -> Any:
        given.append(np.asarray(array).copy())
        return given[-1]

    calls = Calls(keep).calls
    before = [array.copy() for array in given]
    first = calls[name](compiled)
    kept = [array.copy() for array in first]
    second = calls[name](compiled)
    for array, copy in zip(first, kept, strict=True):
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert_same_bits(array, copy, "changed by the next call")
        for other in (*given, *second):
            assert not np.shares_memory(array, other)
    for array, copy in zip(given[: len(before)], before, strict=True):
        assert_same_bits(array, copy, "an argument")


def blocks(backend: Any, x: Any, w: Any, g: Any, **options: Any) -> list[Any]:
    """Each pass of a convolution and of its block; `g` is the gradient by the unpooled result."""
    y, argmax = backend.conv2d_relu_pool_forward(x, w, **options, activation="relu", pool=PAIRS)
    small = np.ascontiguousarray(g[..., : y.shape[2], : y.shape[3]])
    return [
        backend.conv2d_forward(x, w, **options),
        backend.conv2d_backward_input(g, w, x.shape, **options),
        backend.conv2d_backward_weight(g, x, w.shape, **options),
        y,
        *backend.conv2d_relu_pool_backward(small, x, w, y, argmax, **options, pool=PAIRS),
        *backend.max_pool2d_forward(g, 2),
        backend.max_pool2d_backward(small, argmax, g.shape, 2),
    ]


SHAPES = [
    ((3, 9, 20, 33), (13, 9, 3, 3), {}),
    ((3, 9, 20, 33), (13, 9, 3, 2), {}),
    ((2, 3, 8, 9), (5, 3, 3, 3), {"padding": 1}),
    ((5, 4, 9, 7), (6, 2, 2, 3), {"groups": 2, "stride": (2, 1), "padding": 2}),
    ((7, 1, 5, 6), (3, 1, 2, 2), {"stride": 2, "padding": ((1, 0), (0, 1))}),
]


@pytest.mark.parametrize("most", [300, 96 << 10])
def test_no_nan_is_left_over_for_the_next_call(compiled, units, rng, most):
    """Nor is an infinity: what is read beyond the numbers of this call counts as zero."""
    with units(most):
        for x_shape, w_shape, options in SHAPES:
            shapes = x_shape, w_shape, Taps(x_shape, w_shape, **options).y_shape
            arrays = [rng.standard_normal(shape).astype("float32") for shape in shapes]
            before = blocks(compiled, *arrays, **options)
            for bad in (np.nan, np.inf):
                for *shapes, other in SHAPES:
                    shapes = *shapes, Taps(*shapes, **other).y_shape
                    blocks(compiled, *(np.full(s, bad, "float32") for s in shapes), **other)
                for got, want in zip(blocks(compiled, *arrays, **options), before, strict=True):
                    assert_same_bits(got, want)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("x_shape", "w_shape", "options"), SHAPES)
def test_how_far_nan_and_inf_reach(compiled, units, rng, bad, x_shape, w_shape, options):
    """Zeros in the gaps between rows and images times infinity are NaN: see each assertion."""
    groups = options.get("groups", 1)
    taps = Taps(x_shape, w_shape, **options)
    y_shape = taps.y_shape

    def draw(*shape: int) -> Any:
        return rng.integers(1, 4, shape).astype(np.float32)

    for most in (300, 96 << 10):
        x, w, g = draw(*x_shape), draw(*w_shape), draw(*y_shape)
        with units(most):
            clean = passes(compiled, x, w, g, options)
            for place in (0, -1, x.size // 2, int(rng.integers(x.size))):
                ill = x.copy()
                ill.ravel()[place] = bad
                n, c, _, _ = np.unravel_index(np.arange(x.size)[place], x_shape)
                y, _, grad_w = passes(compiled, ill, w, g, options)
                others = np.arange(x_shape[0]) != n
                assert_same_bits(y[others], clean[0][others], "the result for another image")
                # The gradient of a weight is a sum over all images. It becomes NaN where the
                # formula says so, and may elsewhere among the weights of this group of channels.
                filters = np.arange(w_shape[0]) // (w_shape[0] // groups)
                untouched = filters != c // (x_shape[1] // groups)
                assert_same_bits(grad_w[untouched], clean[2][untouched], "another group's weights")
                with np.errstate(invalid="ignore"):
                    right = taps.backward_weight(g, ill)
                assert (np.isfinite(right) | ~np.isfinite(grad_w)).all(), "a NaN that was lost"
            f, c = int(rng.integers(w_shape[0])), int(rng.integers(w_shape[1]))
            ill = w.copy()
            ill[f, c, 0, 0] = bad
            y, grad_x, _ = passes(compiled, x, ill, g, options)
            others = np.arange(w_shape[0]) != f
            assert_same_bits(y[:, others], clean[0][:, others], "another filter's result")
            others = np.arange(x_shape[1]) != f // (w_shape[0] // groups) * w_shape[1] + c
            assert_same_bits(grad_x[:, others], clean[1][:, others], "another channel's gradient")
            n, f = int(rng.integers(y_shape[0])), int(rng.integers(w_shape[0]))
            ill = g.copy()
            ill[n, f, -1, -1] = bad
            _, grad_x, grad_w = passes(compiled, x, w, ill, options)
            others = np.arange(x_shape[0]) != n
            assert_same_bits(grad_x[others], clean[1][others], "another image's gradient")
            others = np.arange(w_shape[0]) != f
            assert_same_bits(grad_w[others], clean[2][others], "another filter's gradient")


def passes(backend: Any, x: Any, w: Any, g: Any, options: Any) -> list[Any]:
    return [
        backend.conv2d_forward(x, w, **options),
        backend.conv2d_backward_input(g, w, x.shape, **options),
        backend.conv2d_backward_weight(g, x, w.shape, **options),
    ]
