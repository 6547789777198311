"""Pooling, forward and gradient, against loops: ties, NaN, padding, overlapping windows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import reference
from checks import LAYOUTS, arrange, assert_adjoint, assert_close
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.errors import DtypeError, ShapeError, UsageError

CASES = {
    "plain": ((2, 3, 6, 8), 2, {}),
    "one image, one channel": ((1, 1, 4, 4), 2, {}),
    "empty batch": ((0, 3, 6, 6), 2, {}),
    "remainder": ((2, 3, 7, 5), 2, {}),
    "kernel pair": ((2, 3, 7, 6), (3, 2), {}),
    "1x1 kernel": ((2, 3, 4, 5), 1, {}),
    "1x1 kernel, stride 2": ((2, 3, 4, 5), 1, {"stride": 2}),
    "kernel is the image": ((2, 3, 4, 5), (4, 5), {}),
    "overlapping": ((2, 3, 7, 8), 3, {"stride": 1}),
    "overlapping, stride 2": ((2, 3, 7, 8), 3, {"stride": 2, "padding": 1}),
    "stride beyond the kernel": ((2, 2, 9, 9), 2, {"stride": (3, 4)}),
    "padding": ((2, 3, 5, 6), 2, {"padding": 1}),
    "padding pair": ((2, 3, 5, 6), 3, {"padding": (2, 1)}),
    "uneven sides": ((2, 3, 5, 6), 3, {"padding": ((2, 0), (0, 1)), "stride": (1, 2)}),
    "same": ((2, 3, 5, 7), 2, {"padding": "same"}),
    "same, stride 1": ((2, 3, 5, 7), (2, 4), {"padding": "same", "stride": 1}),
    "valid": ((2, 3, 5, 7), 2, {"padding": "valid"}),
    "many images": ((130, 2, 6, 6), 2, {}),
}


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request):
    return request.param


def max_pool(backend, x, kernel, g=None, **options):
    """(y, grad_x) as NumPy arrays; the gradient is of ones unless given."""
    x = x if not isinstance(x, np.ndarray) else backend.asarray(x)
    y, argmax = backend.max_pool2d_forward(x, kernel, **options)
    g = backend.asarray(np.ones(y.shape, dtype=x.dtype)) if g is None else g
    grad = backend.max_pool2d_backward(g, argmax, x.shape, kernel, **options)
    return backend.to_numpy(y), backend.to_numpy(grad)


def test_max_pool(backend, dtype, rng, case):
    shape, kernel, options = case
    x = rng.standard_normal(shape).astype(dtype)
    want = reference.max_pool2d_forward(x, kernel, **options)
    g = rng.standard_normal(want.shape).astype(dtype)
    y, grad_x = max_pool(backend, x, kernel, backend.asarray(g), **options)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, want.astype(dtype))
    assert grad_x.dtype == dtype
    windows = math.prod(reference.as_pair(kernel))
    assert_close(grad_x, reference.max_pool2d_backward(g, x, kernel, **options), terms=windows)


@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool(backend, dtype, rng, case, count_include_pad):
    shape, kernel, options = case
    options = {**options, "count_include_pad": count_include_pad}
    x = rng.standard_normal(shape).astype(dtype)
    terms = math.prod(reference.as_pair(kernel))
    y = backend.avg_pool2d_forward(backend.asarray(x), kernel, **options)
    assert y.dtype == dtype
    want = reference.avg_pool2d_forward(x, kernel, **options)
    assert_close(backend.to_numpy(y), want, terms)
    g = rng.standard_normal(want.shape).astype(dtype)
    grad_x = backend.avg_pool2d_backward(backend.asarray(g), shape, kernel, **options)
    assert grad_x.dtype == dtype
    want = reference.avg_pool2d_backward(g, shape, kernel, **options)
    assert_close(backend.to_numpy(grad_x), want, terms)


def test_the_first_maximum_in_row_major_order_wins(backend):
    x = np.array([[1, 5, 2, 2], [5, 5, 2, 2], [0, 3, 4, 4], [3, 3, 7, 4]], dtype=np.float32)
    _, grad = max_pool(backend, x[None, None], 2)
    want = [[0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    np.testing.assert_array_equal(grad[0, 0], want)


@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"stride": 2, "padding": 1}])
@pytest.mark.parametrize("kernel", [2, 3, (1, 3), (3, 1)])
@pytest.mark.parametrize("value", [0.0, -2.0, -np.inf, np.inf])
def test_a_constant_image_is_all_ties(backend, kernel, options, value):
    kh, kw = reference.as_pair(kernel)
    if options.get("padding", 0) >= min(kh, kw):
        options = {**options, "padding": ((0, min(kh - 1, 1)), (min(kw - 1, 1), 0))}
    x = np.full((2, 2, 6, 7), value, dtype=np.float32)
    y, grad = max_pool(backend, x, kernel, **options)
    np.testing.assert_array_equal(y, np.full(y.shape, value))
    want = reference.max_pool2d_backward(np.ones(y.shape), x, kernel, **options)
    np.testing.assert_array_equal(grad, want)


def test_signed_zeros_tie(backend):
    x = np.array([[-0.0, 0.0], [0.0, -0.0]], dtype=np.float32)[None, None]
    _, grad = max_pool(backend, x, 2)
    np.testing.assert_array_equal(grad[0, 0], [[1, 0], [0, 0]])


def test_padding_never_wins_over_negative_numbers(backend, rng):
    x = (-1 - rng.random((2, 3, 5, 5))).astype(np.float32)
    y, grad = max_pool(backend, x, 3, stride=2, padding=((2, 1), (1, 2)))
    want = reference.max_pool2d_forward(x, 3, stride=2, padding=((2, 1), (1, 2)))
    np.testing.assert_array_equal(y, want.astype(np.float32))
    assert (y < 0).all()
    assert grad.sum() == y.size


@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"stride": 1, "padding": 1}])
def test_nan_propagates_and_takes_the_gradient(backend, rng, options):
    x = rng.standard_normal((2, 2, 6, 6)).astype(np.float32)
    x[0, 0, 2, 3] = x[0, 0, 3, 2] = x[1, 1, 5, 5] = x[1, 0, 0, 0] = np.nan
    x[0, 0, 2, 2] = np.inf
    y, grad = max_pool(backend, x, 2, **options)
    want = reference.max_pool2d_forward(x, 2, **options)
    np.testing.assert_array_equal(y, want.astype(np.float32))
    assert np.isnan(y).any()
    want = reference.max_pool2d_backward(np.ones(y.shape), x, 2, **options)
    np.testing.assert_array_equal(grad, want)


def test_nan_propagates_in_the_average(backend):
    x = np.ones((1, 1, 4, 4), dtype=np.float32)
    x[0, 0, 0, 1] = np.nan
    y = backend.to_numpy(backend.avg_pool2d_forward(backend.asarray(x), 2))
    np.testing.assert_array_equal(np.isnan(y[0, 0]), [[True, False], [False, False]])


def test_average_counts_the_padding_or_not(backend):
    x = backend.asarray(np.ones((1, 1, 2, 2), dtype=np.float32))
    options = {"stride": 1, "padding": ((1, 0), (0, 0))}
    y = backend.to_numpy(backend.avg_pool2d_forward(x, 2, **options))
    np.testing.assert_array_equal(y[0, 0], [[0.5], [1.0]])
    y = backend.to_numpy(backend.avg_pool2d_forward(x, 2, **options, count_include_pad=False))
    np.testing.assert_array_equal(y[0, 0], [[1.0], [1.0]])


@pytest.mark.parametrize(
    ("shape", "kernel", "options", "counted"),
    [
        ((2, 3, 5, 5), 2, {"padding": "same"}, False),
        ((2, 3, 5, 7), 3, {"padding": "same", "stride": 1}, False),
        ((2, 2, 7, 6), (3, 2), {"padding": "same", "stride": (2, 3)}, False),
        ((2, 2, 6, 9), (2, 4), {"padding": "same", "stride": (1, 2)}, False),
        ((2, 2, 9, 9), 3, {"padding": "same", "stride": 2}, False),
        ((2, 2, 5, 6), 3, {"padding": 1, "stride": 2}, True),
        ((2, 2, 5, 6), (3, 2), {"padding": (1, 1)}, True),
        ((2, 2, 5, 5), 2, {"padding": ((0, 1), (0, 1))}, True),  # as "same" resolves to
    ],
)
def test_by_default_padding_counts_unless_it_is_same(
    backend, dtype, rng, shape, kernel, options, counted
):
    x = rng.standard_normal(shape).astype(dtype)
    terms = math.prod(reference.as_pair(kernel))
    wants = {c: reference.avg_pool2d_forward(x, kernel, **options, count_include_pad=c)
             for c in (False, True)}  # fmt: skip
    assert not np.allclose(wants[False], wants[True])
    for default in ({}, {"count_include_pad": None}):
        y = backend.avg_pool2d_forward(backend.asarray(x), kernel, **options, **default)
        assert_close(backend.to_numpy(y), wants[counted], terms)
        g = rng.standard_normal(y.shape).astype(dtype)
        grad = backend.avg_pool2d_backward(backend.asarray(g), shape, kernel, **options, **default)
        want = reference.avg_pool2d_backward(g, shape, kernel, **options, count_include_pad=counted)
        assert_close(backend.to_numpy(grad), want, terms)
    y = backend.avg_pool2d_forward(backend.asarray(x), kernel, **options, count_include_pad=True)
    assert_close(backend.to_numpy(y), wants[True], terms)


def test_the_average_with_same_padding_as_in_keras(backend):
    x = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    y = backend.avg_pool2d_forward(backend.asarray(x), 2, padding="same")
    want = [[3, 5, 6.5], [13, 15, 16.5], [20.5, 22.5, 24]]
    np.testing.assert_array_equal(backend.to_numpy(y)[0, 0], want)
    ones = backend.avg_pool2d_forward(backend.asarray(np.ones_like(x)), 3, padding="same", stride=2)
    np.testing.assert_array_equal(backend.to_numpy(ones), np.ones((1, 1, 3, 3)))


@pytest.mark.parametrize(("size", "kernel"), [((5, 5), 2), ((7, 9), 2), ((6, 8), 2), ((8, 6), 3)])
def test_same_padding_is_pytorchs_ceil_mode_where_that_pads_the_end(backend, rng, size, kernel):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = rng.standard_normal((2, 3, *size))
    padding = "valid" if not any(n % kernel for n in size) else "same"
    ours = backend.avg_pool2d_forward(backend.asarray(x), kernel, padding=padding)
    there = torch.nn.functional.avg_pool2d(torch.tensor(x), kernel, ceil_mode=True)
    np.testing.assert_allclose(backend.to_numpy(ours), there.numpy(), rtol=1e-14)


@pytest.mark.parametrize("wrong", ["False", 2, "same"])
def test_count_include_pad_is_yes_no_or_none(backend, wrong):
    x = backend.asarray(np.ones((1, 1, 4, 4), dtype=np.float32))
    with pytest.raises(UsageError, match="count_include_pad"):
        backend.avg_pool2d_forward(x, 2, count_include_pad=wrong)
    with pytest.raises(UsageError, match="count_include_pad"):
        backend.avg_pool2d_backward(x, (1, 1, 8, 8), 2, count_include_pad=wrong)


@st.composite
def poolings(draw):
    """Shape, kernel and options of a pooling whose output has a pixel at least."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    sides = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel)
    padding = draw(st.sampled_from([sides, "same", "valid", 0]))
    stride = draw(st.one_of(st.none(), st.integers(1, 5), st.tuples(*[st.integers(1, 5)] * 2)))
    H, W = (k + draw(st.integers(0, 5)) for k in kernel)
    shape = (draw(st.integers(0, 3)), draw(st.integers(1, 3)), H, W)
    return shape, kernel, {"stride": stride, "padding": padding}


@given(poolings(), st.sampled_from(LAYOUTS), st.integers(0, 2**32 - 1))
def test_pooling_of_few_values_with_many_ties(backend, pooling, layout, seed):
    shape, kernel, options = pooling
    rng = np.random.default_rng(seed)
    x = rng.choice(np.array([-2, -1, 0, 1, np.nan], dtype=np.float32), shape)
    want = reference.max_pool2d_forward(x, kernel, **options)
    g = rng.integers(-3, 4, want.shape).astype(np.float32)
    y, grad = max_pool(
        backend, arrange(backend, x, layout), kernel, arrange(backend, g, layout), **options
    )
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(grad, reference.max_pool2d_backward(g, x, kernel, **options))


@given(poolings(), st.booleans(), st.sampled_from(LAYOUTS), st.integers(0, 2**32 - 1))
def test_average_pooling_and_its_gradient_are_adjoint(backend, pooling, include, layout, seed):
    shape, kernel, options = pooling
    options = {**options, "count_include_pad": include}
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    y = backend.to_numpy(backend.avg_pool2d_forward(arrange(backend, x, layout), kernel, **options))
    assert_close(y, reference.avg_pool2d_forward(x, kernel, **options), math.prod(kernel))
    g = rng.standard_normal(y.shape)
    grad = backend.avg_pool2d_backward(arrange(backend, g, layout), shape, kernel, **options)
    assert_adjoint([(y, g), (x, backend.to_numpy(grad))])


def test_more_windows_than_a_byte_counts(backend, rng):
    """A window larger than 256 pixels, and an image larger than 65,536: argmax must not wrap."""
    for shape, kernel in (((1, 1, 40, 40), 20), ((1, 1, 260, 260), (260, 260))):
        x = rng.permutation(math.prod(shape)).reshape(shape).astype(np.float32)
        _, grad = max_pool(backend, x, kernel)
        want = reference.max_pool2d_backward(
            np.ones(reference.pool_shape(shape, kernel)), x, kernel
        )
        np.testing.assert_array_equal(grad, want)


def test_what_does_not_fit_is_an_error(backend):
    x = backend.asarray(np.zeros((1, 2, 4, 4), dtype=np.float32))
    for call in (
        lambda: backend.max_pool2d_forward(x, 5),
        lambda: backend.avg_pool2d_forward(x, 2, padding=2),
        lambda: backend.max_pool2d_forward(x[0], 2),
    ):
        with pytest.raises(ShapeError):
            call()
    y, argmax = backend.max_pool2d_forward(x, 2)
    wrong = backend.asarray(np.zeros((1, 2, 3, 3), dtype=np.float32))
    for call in (
        lambda: backend.max_pool2d_backward(wrong, argmax, x.shape, 2),
        lambda: backend.avg_pool2d_backward(wrong, x.shape, 2),
    ):
        with pytest.raises(ShapeError, match=r"\(1, 2, 3, 3\)"):
            call()
    assert y.shape == (1, 2, 2, 2)


def test_unsupported_types(backend):
    for bad, call in itertools.product(
        ("float16", "int32"), (backend.max_pool2d_forward, backend.avg_pool2d_forward)
    ):
        with pytest.raises(DtypeError, match=bad):
            call(backend.asarray(np.zeros((1, 1, 4, 4), dtype=bad)), 2)
