"""A convolution, ReLU and maximum as one call, against loops one after the other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import reference
from checks import LAYOUTS, arrange, assert_close, assert_same_bits
from geometries import convolutions, pools
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucnn.errors import DtypeError, ShapeError, UsageError

PAIRS = (2, None, 0)
CASES = {
    "no pool": ((2, 3, 8, 7), (4, 3, 3, 3), {}, None),
    "2x2": ((3, 3, 8, 8), (4, 3, 3, 3), {}, PAIRS),
    "2x2, odd height": ((2, 3, 9, 8), (5, 3, 3, 3), {}, PAIRS),
    "2x2, odd width": ((2, 3, 8, 9), (5, 3, 3, 3), {}, PAIRS),
    "2x2, odd sizes": ((2, 1, 7, 9), (9, 1, 3, 3), {}, (2, 2, 0)),
    "2x2 of 2x2": ((3, 2, 4, 4), (3, 2, 3, 3), {}, PAIRS),
    "2x2 of 3x3": ((3, 2, 5, 5), (3, 2, 3, 3), {}, PAIRS),
    "2x2 of a wide image": ((2, 2, 6, 71), (3, 2, 3, 2), {}, PAIRS),
    "2x2, stride 1": ((2, 3, 7, 7), (4, 3, 3, 3), {}, (2, 1, 0)),
    "3x3, overlapping": ((2, 3, 9, 10), (4, 3, 3, 3), {}, (3, 2, 0)),
    "3x3, overlapping, padded": ((2, 3, 9, 8), (4, 3, 3, 3), {}, (3, 2, 1)),
    "padded pool": ((2, 3, 7, 6), (4, 3, 3, 3), {}, (2, 2, 1)),
    "unevenly padded pool": ((2, 2, 7, 6), (4, 2, 3, 3), {}, ((2, 3), 2, ((0, 1), (1, 0)))),
    "same": ((2, 2, 7, 6), (4, 2, 3, 3), {"padding": "same"}, (2, None, "same")),
    "1x1 kernel": ((3, 5, 4, 6), (7, 5, 1, 1), {}, PAIRS),
    "stride": ((2, 3, 12, 11), (4, 3, 3, 3), {"stride": 2}, PAIRS),
    "stride beyond the kernel": ((2, 3, 11, 14), (4, 3, 2, 2), {"stride": (3, 4)}, PAIRS),
    "dilation": ((2, 2, 10, 13), (3, 2, 3, 2), {"dilation": (2, 3)}, PAIRS),
    "groups": ((2, 6, 7, 7), (4, 3, 3, 3), {"groups": 2, "padding": 1}, PAIRS),
    "depthwise": ((2, 5, 6, 7), (5, 1, 3, 3), {"groups": 5}, PAIRS),
    "uneven sides": ((2, 2, 5, 6), (3, 2, 3, 3), {"padding": ((2, 0), (1, 3))}, PAIRS),
    "padding beyond the kernel": ((2, 2, 3, 3), (2, 2, 2, 2), {"padding": 4}, PAIRS),
    "everything": (
        (3, 6, 13, 12),
        (10, 3, 2, 3),
        {"groups": 2, "dilation": 2, "stride": (2, 1), "padding": ((0, 1), (2, 1))},
        PAIRS,
    ),
    "empty batch": ((0, 3, 8, 8), (4, 3, 3, 3), {}, PAIRS),
    "empty batch, no pool": ((0, 3, 8, 8), (4, 3, 3, 3), {}, None),
    "many images": ((70, 2, 6, 6), (3, 2, 3, 3), {"padding": 1}, PAIRS),
}
BLOCKS = list(itertools.product([False, True], [None, "relu"]))


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request):
    return request.param


def expected(x, w, b, options, activation, pool):
    """The result, and the gradients as a function of that by the result; all in float64."""
    pre = reference.conv2d_forward(x, w, b, **options, activation=activation)
    kernel, stride, padding = pool or (1, 1, 0)
    pooling = {"stride": stride, "padding": padding}
    y = reference.max_pool2d_forward(pre, kernel, **pooling) if pool else pre

    def gradients(g):
        if pool:
            g = reference.max_pool2d_backward(g, pre, kernel, **pooling)
        if activation:
            g = np.where(pre > 0, g, 0)
        return (
            reference.conv2d_backward_input(g, w, x.shape, **options),
            reference.conv2d_backward_weight(g, x, w.shape, **options),
            reference.bias_grad(g),
        )

    return y, gradients


def block(backend, x, w, b, g, options, activation, pool, **needs):
    """The result and the gradients; `g` is one array, or a function of the result's shape."""
    y, argmax = backend.conv2d_relu_pool_forward(
        x, w, b, **options, activation=activation, pool=pool
    )
    if callable(g):
        g = backend.asarray(g(y.shape))
    got = backend.conv2d_relu_pool_backward(
        g, x, w, y if activation else None, argmax, **options, pool=pool, **needs
    )
    return y, got


def integers(rng, dtype, *shapes):
    return [rng.integers(-3, 4, shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize(("with_bias", "activation"), BLOCKS)
def test_small_integers_are_exact(backend, dtype, rng, case, with_bias, activation):
    """Sums of them have no rounding error, and many maxima are ties: the first is the one."""
    x_shape, w_shape, options, pool = case
    x, w, b = integers(rng, dtype, x_shape, w_shape, w_shape[:1])
    b = b if with_bias else None
    want, gradients = expected(x, w, b, options, activation, pool)
    (g,) = integers(rng, dtype, want.shape)
    there = [None if a is None else backend.asarray(a) for a in (x, w, b, g)]
    y, got = block(backend, *there, options, activation, pool)
    names = ("y", "grad_x", "grad_w", "grad_b")
    for name, array, right in zip(names, (y, *got), (want, *gradients(g)), strict=True):
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(backend.to_numpy(array), right, name)
    for before, after in zip((x, w, b, g), there, strict=True):
        assert before is None or (backend.to_numpy(after) == before).all()


def test_real_numbers(backend, dtype, rng, case):
    x_shape, w_shape, options, pool = case
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape, w_shape[:1]))
    want, gradients = expected(x, w, b, options, "relu", pool)
    g = rng.standard_normal(want.shape).astype(dtype)
    y, got = block(backend, *map(backend.asarray, (x, w, b, g)), options, "relu", pool)
    pixels = math.prod(reference.conv2d_forward(x, w, **options).shape) // w_shape[0]
    terms = (w[0].size + 1, w[:, 0].size // options.get("groups", 1), pixels, pixels)
    names = ("y", "grad_x", "grad_w", "grad_b")
    for name, array, right, K in zip(names, (y, *got), (want, *gradients(g)), terms, strict=True):
        assert_close(backend.to_numpy(array), right, K, name)


@pytest.mark.parametrize(("activation", "pool"), [(None, PAIRS), ("relu", PAIRS), ("relu", None)])
def test_is_what_the_single_calls_give(backend, rng, activation, pool):
    """Bit by bit in the forward pass: what is folded gives the numbers of what is not."""
    x, w, b = (
        backend.asarray(rng.standard_normal(s).astype("float32"))
        for s in ((3, 4, 9, 8), (6, 2, 3, 3), (6,))
    )
    options = {"groups": 2, "padding": 1}
    y, argmax = backend.conv2d_relu_pool_forward(
        x, w, b, **options, activation=activation, pool=pool
    )
    want = backend.conv2d_forward(x, w, b, **options, activation=activation)
    if pool:
        want = backend.max_pool2d_forward(want, 2)[0]
    else:
        assert argmax is None
    assert_same_bits(backend.to_numpy(y), backend.to_numpy(want))


@pytest.mark.parametrize("needs", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("pool", [None, PAIRS, (3, 2, 1)])
def test_only_what_is_needed(backend, rng, needs, pool):
    arrays = [
        backend.asarray(rng.standard_normal(shape).astype("float32"))
        for shape in ((3, 4, 9, 8), (6, 2, 3, 3), (6,))
    ]

    def ones(shape):
        return np.ones(shape, "float32")

    options = {"groups": 2, "padding": 1}
    _, all_ = block(backend, *arrays, ones, options, "relu", pool)
    _, some = block(backend, *arrays, ones, options, "relu", pool, needs=needs)
    for need, got, want in zip(needs, some, all_, strict=True):
        assert (got is not None) == need
        if need:
            assert_same_bits(backend.to_numpy(got), backend.to_numpy(want))


@np.errstate(invalid="ignore")  # in the loops that tell what is right
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("pool", [None, PAIRS, (3, 2, 1)])
def test_nan_and_inf_go_where_the_formula_says(backend, rng, bad, activation, pool):
    """In the result and in the gradient by the input; the weight's is asked in its own test."""
    options = {"padding": ((1, 0), (1, 1))}
    x, w = integers(rng, "float32", (3, 2, 8, 9), (5, 2, 3, 3))
    g_shape = expected(x, w, None, options, activation, pool)[0].shape
    (g,) = integers(rng, "float32", g_shape)
    x[1, 0, 0, 0] = x[1, 1, 4, 5] = x[1, 0, -1, -1] = bad
    want, gradients = expected(x, w, None, options, activation, pool)
    y, got = block(backend, *map(backend.asarray, (x, w)), None, lambda _: g, options, activation,
                   pool, needs=(True, False, False))  # fmt: skip
    np.testing.assert_array_equal(backend.to_numpy(y), want)
    assert not np.isfinite(want).all()
    np.testing.assert_array_equal(backend.to_numpy(got[0]), gradients(g)[0])

    x = integers(rng, "float32", x.shape)[0]
    g[1, 0, 0, 0] = g[1, 3, 1, 2] = g[1, 4, -1, -1] = bad
    _, gradients = expected(x, w, None, options, activation, pool)
    _, got = block(backend, *map(backend.asarray, (x, w)), None, lambda _: g, options, activation,
                   pool)  # fmt: skip
    for array, right in zip(got, gradients(g), strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), right)


@given(st.data(), st.sampled_from(BLOCKS), st.sampled_from(LAYOUTS), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_any_shape(backend, data, kind, layout, seed):
    x_shape, w_shape, options = data.draw(convolutions())
    image = reference.conv2d_forward(np.zeros(x_shape), np.zeros(w_shape), **options).shape[2:]
    pool = data.draw(st.one_of(st.none(), pools(image)))
    with_bias, activation = kind
    rng = np.random.default_rng(seed)
    x, w, b = integers(rng, "float32", x_shape, w_shape, w_shape[:1])
    want, gradients = expected(x, w, b if with_bias else None, options, activation, pool)
    (g,) = integers(rng, "float32", want.shape)
    x_, w_, b_, g_ = (arrange(backend, a, layout) for a in (x, w, b, g))
    y, got = block(backend, x_, w_, b_ if with_bias else None, g_, options, activation, pool)
    for array, right in zip((y, *got), (want, *gradients(g)), strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), right)


def test_what_does_not_fit_is_named(backend):
    def zeros(*shape, dtype="float32"):
        return backend.asarray(np.zeros(shape, dtype))

    x, w = zeros(1, 3, 8, 8), zeros(4, 3, 3, 3)
    y, argmax = backend.conv2d_relu_pool_forward(x, w, pool=PAIRS, activation="relu")
    assert y.shape == (1, 4, 3, 3)
    wrong = zeros(1, 4, 6, 6)
    for named, call in {
        r"\(4, 2, 3, 3\)": lambda: backend.conv2d_relu_pool_forward(x, zeros(4, 2, 3, 3)),
        r"\(3,\)": lambda: backend.conv2d_relu_pool_forward(x, w, zeros(3)),
        r"\(6, 6\)|7": lambda: backend.conv2d_relu_pool_forward(x, w, pool=(7, None, 0)),
        r"\(1, 4, 6, 6\)": lambda: backend.conv2d_relu_pool_backward(
            wrong, x, w, y, argmax, pool=PAIRS
        ),
        r"y .*\(1, 4, 6, 6\)": lambda: backend.conv2d_relu_pool_backward(
            y, x, w, wrong, argmax, pool=PAIRS
        ),
        r"\(1, 4, 1, 1\)": lambda: backend.conv2d_relu_pool_backward(
            y, x, w, y, argmax[..., :1, :1], pool=PAIRS
        ),
    }.items():
        with pytest.raises(ShapeError, match=named):
            call()
    with pytest.raises(DtypeError, match="float64"):
        backend.conv2d_relu_pool_forward(x, zeros(4, 3, 3, 3, dtype="float64"))
    with pytest.raises(DtypeError, match="float64"):
        backend.conv2d_relu_pool_backward(y, x, w, y.astype("float64"), argmax, pool=PAIRS)
    with pytest.raises(DtypeError, match="argmax"):
        backend.conv2d_relu_pool_backward(y, x, w, y, None, pool=PAIRS)
    with pytest.raises(DtypeError, match="argmax"):
        backend.conv2d_relu_pool_backward(y, x, w, y, y, pool=PAIRS)
    with pytest.raises(UsageError, match="tanh"):
        backend.conv2d_relu_pool_forward(x, w, activation="tanh")
