"""Convolution, forward and both gradients, against loops; adjoint identities; layouts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference
from checks import LAYOUTS, arrange, assert_adjoint, assert_close
from geometries import convolutions
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucnn.errors import DtypeError, GpucnnError, ShapeError

CASES = {
    "plain": ((2, 3, 8, 7), (4, 3, 3, 3), {}),
    "one image, one channel": ((1, 1, 6, 6), (1, 1, 3, 3), {}),
    "empty batch": ((0, 3, 8, 7), (4, 3, 3, 3), {"padding": 1}),
    "1x1 kernel": ((3, 5, 4, 6), (7, 5, 1, 1), {}),
    "1x1 kernel, stride 2": ((3, 5, 5, 6), (7, 5, 1, 1), {"stride": 2}),
    "1x1 kernel, padded": ((2, 3, 4, 4), (5, 3, 1, 1), {"padding": ((0, 1), (2, 0))}),
    "1x1 image": ((5, 6, 1, 1), (4, 6, 1, 1), {}),
    "kernel is the image": ((4, 3, 5, 6), (2, 3, 5, 6), {}),
    "remainder under stride": ((2, 2, 8, 9), (3, 2, 3, 2), {"stride": (3, 2)}),
    "stride beyond the kernel": ((2, 2, 9, 9), (3, 2, 2, 2), {"stride": 4}),
    "padding": ((2, 2, 5, 6), (3, 2, 3, 3), {"padding": 2}),
    "padding pair": ((2, 2, 5, 6), (3, 2, 3, 3), {"padding": (0, 2)}),
    "uneven sides": ((2, 2, 5, 6), (3, 2, 3, 3), {"padding": ((2, 0), (1, 3))}),
    "same": ((2, 2, 5, 6), (3, 2, 4, 2), {"padding": "same", "stride": 2}),
    "valid": ((2, 2, 5, 6), (3, 2, 4, 2), {"padding": "valid"}),
    "padding beyond the kernel": ((1, 2, 3, 3), (2, 2, 2, 2), {"padding": 4, "stride": 3}),
    "dilation": ((2, 2, 9, 8), (3, 2, 3, 2), {"dilation": (2, 3)}),
    "dilation, stride, padding": (
        (2, 2, 9, 8),
        (3, 2, 3, 2),
        {"dilation": (3, 2), "stride": (2, 3), "padding": ((1, 2), (3, 0))},
    ),
    "groups": ((2, 4, 6, 6), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 5, 6, 7), (5, 1, 3, 3), {"groups": 5, "stride": 2, "padding": 1}),
    "depthwise, two filters a channel": ((2, 3, 6, 6), (6, 1, 3, 3), {"groups": 3}),
    "everything": (
        (3, 6, 10, 9),
        (4, 3, 2, 3),
        {"groups": 2, "dilation": 2, "stride": (2, 1), "padding": ((0, 1), (2, 1))},
    ),
    "many images": ((70, 2, 6, 6), (3, 2, 3, 3), {"padding": 1}),
}


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request):
    return request.param


def operands(rng, x_shape, w_shape, options):
    """x, w, b and a gradient of the output."""
    y_shape = reference.conv2d_forward(np.zeros(x_shape), np.zeros(w_shape), **options).shape
    return [rng.standard_normal(s) for s in (x_shape, w_shape, w_shape[:1], y_shape)]


@pytest.mark.parametrize("with_bias", [False, True], ids=["no bias", "bias"])
def test_forward(backend, dtype, rng, case, with_bias):
    x, w, b, _ = (a.astype(dtype) for a in operands(rng, *case))
    bias = b if with_bias else None
    got = backend.conv2d_forward(
        backend.asarray(x),
        backend.asarray(w),
        backend.asarray(b) if with_bias else None,
        **case[2],
    )
    want = reference.conv2d_forward(x, w, bias, **case[2])
    assert got.dtype == dtype
    assert_close(backend.to_numpy(got), want, terms=w[0].size + with_bias)


def test_backward_input(backend, dtype, rng, case):
    x, w, _, g = (a.astype(dtype) for a in operands(rng, *case))
    got = backend.conv2d_backward_input(backend.asarray(g), backend.asarray(w), x.shape, **case[2])
    want = reference.conv2d_backward_input(g, w, x.shape, **case[2])
    assert got.dtype == dtype
    groups = case[2].get("groups", 1)
    assert_close(backend.to_numpy(got), want, terms=w[:, 0].size // groups)


def test_backward_weight(backend, dtype, rng, case):
    x, w, _, g = (a.astype(dtype) for a in operands(rng, *case))
    got = backend.conv2d_backward_weight(backend.asarray(g), backend.asarray(x), w.shape, **case[2])
    want = reference.conv2d_backward_weight(g, x, w.shape, **case[2])
    assert got.dtype == dtype
    assert_close(backend.to_numpy(got), want, terms=g[:, 0].size)


def test_a_large_reduction_keeps_its_accuracy(backend, rng):
    """2,304 products an output; 5,000 terms a weight."""
    x = rng.standard_normal((2, 256, 4, 4)).astype("float32")
    w = rng.standard_normal((3, 256, 3, 3)).astype("float32")
    got = backend.conv2d_forward(backend.asarray(x), backend.asarray(w), padding=1)
    assert_close(backend.to_numpy(got), reference.conv2d_forward(x, w, padding=1), terms=2304)
    x = rng.standard_normal((50, 1, 12, 12)).astype("float32")
    g = rng.standard_normal((50, 1, 10, 10)).astype("float32")
    got = backend.conv2d_backward_weight(backend.asarray(g), backend.asarray(x), (1, 1, 3, 3))
    want = reference.conv2d_backward_weight(g, x, (1, 1, 3, 3))
    assert_close(backend.to_numpy(got), want, terms=5000)


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (0, 4, 2, 2), (7, 3), (0, 3), (1, 1, 1, 1)])
def test_bias_grad(backend, dtype, rng, shape):
    g = rng.standard_normal(shape).astype(dtype)
    got = backend.bias_grad(backend.asarray(g))
    assert got.dtype == dtype
    assert_close(backend.to_numpy(got), reference.bias_grad(g), terms=g[:, 0].size)


def test_fused_relu_is_relu_of_the_unfused(backend, dtype, rng, case):
    x, w, b, _ = (backend.asarray(a.astype(dtype)) for a in operands(rng, *case))
    fused = backend.to_numpy(backend.conv2d_forward(x, w, b, **case[2], activation="relu"))
    unfused = backend.to_numpy(backend.conv2d_forward(x, w, b, **case[2]))
    np.testing.assert_array_equal(fused, np.maximum(unfused, 0))


def test_nan_survives_the_fused_relu(backend):
    x = np.ones((1, 1, 3, 3), dtype=np.float32)
    x[0, 0, 0, 0] = np.nan
    w = np.full((1, 1, 1, 1), -1, dtype=np.float32)
    y = backend.conv2d_forward(backend.asarray(x), backend.asarray(w), activation="relu")
    got = backend.to_numpy(y).ravel()
    assert math.isnan(got[0])
    np.testing.assert_array_equal(got[1:], 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_numbers(backend, rng, layout):
    options = {"padding": ((1, 0), (2, 1)), "stride": (1, 2), "groups": 2}
    x, w, b, g = (a.astype("float32") for a in operands(rng, (3, 4, 6, 7), (6, 2, 3, 2), options))
    lx, lw, lb, lg = (arrange(backend, a, layout) for a in (x, w, b, g))
    y = backend.to_numpy(backend.conv2d_forward(lx, lw, lb, **options))
    assert_close(y, reference.conv2d_forward(x, w, b, **options), terms=12)
    grad_x = backend.to_numpy(backend.conv2d_backward_input(lg, lw, x.shape, **options))
    assert_close(grad_x, reference.conv2d_backward_input(g, w, x.shape, **options), terms=18)
    grad_w = backend.to_numpy(backend.conv2d_backward_weight(lg, lx, w.shape, **options))
    assert_close(grad_w, reference.conv2d_backward_weight(g, x, w.shape, **options), terms=72)
    grad_b = backend.to_numpy(backend.bias_grad(lg))
    assert_close(grad_b, reference.bias_grad(g), terms=72)


def test_results_are_contiguous_and_inputs_untouched(backend, rng):
    x, w, b, g = operands(rng, (2, 2, 5, 5), (3, 2, 3, 3), {})
    there = [backend.asarray(a) for a in (x, w, b, g)]
    results = [
        backend.conv2d_forward(*there[:3], activation="relu"),
        backend.conv2d_backward_input(there[3], there[1], x.shape),
        backend.conv2d_backward_weight(there[3], there[0], w.shape),
    ]
    for result in results:
        assert result.flags.c_contiguous
    for array, original in zip(there, (x, w, b, g), strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), original)


@given(convolutions(), st.sampled_from(LAYOUTS), st.integers(0, 2**32 - 1))
def test_small_integers_are_convolved_exactly(backend, convolution, layout, seed):
    """Sums of small integers have no rounding error, in whatever order they are added."""
    x_shape, w_shape, options = convolution
    rng = np.random.default_rng(seed)
    y_shape = reference.conv2d_forward(np.zeros(x_shape), np.zeros(w_shape), **options).shape
    x, w, b, g = (
        rng.integers(-3, 4, shape).astype(np.float32)
        for shape in (x_shape, w_shape, w_shape[:1], y_shape)
    )
    lx, lw, lb, lg = (arrange(backend, a, layout) for a in (x, w, b, g))
    got = backend.to_numpy(backend.conv2d_forward(lx, lw, lb, **options))
    np.testing.assert_array_equal(got, reference.conv2d_forward(x, w, b, **options))
    got = backend.to_numpy(backend.conv2d_backward_input(lg, lw, x_shape, **options))
    np.testing.assert_array_equal(got, reference.conv2d_backward_input(g, w, x_shape, **options))
    got = backend.to_numpy(backend.conv2d_backward_weight(lg, lx, w_shape, **options))
    np.testing.assert_array_equal(got, reference.conv2d_backward_weight(g, x, w_shape, **options))


@given(convolutions(), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_adjoint_identities(backend, convolution, seed):
    """<conv(x, w), g> = <x, backward_input(g)> = <w, backward_weight(g)>."""
    x_shape, w_shape, options = convolution
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    there = [backend.asarray(x), backend.asarray(w)]
    y = backend.to_numpy(backend.conv2d_forward(*there, **options))
    g = rng.standard_normal(y.shape)
    lg = backend.asarray(g)
    grad_x = backend.to_numpy(backend.conv2d_backward_input(lg, there[1], x_shape, **options))
    grad_w = backend.to_numpy(backend.conv2d_backward_weight(lg, there[0], w_shape, **options))
    assert_adjoint([(y, g), (x, grad_x), (w, grad_w)])


def test_shapes_that_do_not_fit_are_named(backend):
    x, w = backend.asarray(np.zeros((1, 3, 8, 8))), backend.asarray(np.zeros((4, 2, 3, 3)))
    with pytest.raises(ShapeError) as caught:
        backend.conv2d_forward(x, w)
    assert "(1, 3, 8, 8)" in caught.value.message
    assert "(4, 2, 3, 3)" in caught.value.message
    w, b = backend.asarray(np.zeros((4, 3, 3, 3))), backend.asarray(np.zeros(3))
    with pytest.raises(ShapeError) as caught:
        backend.conv2d_forward(x, w, b)
    assert "(3,)" in str(caught.value)
    assert "4" in str(caught.value)
    g = backend.asarray(np.zeros((1, 4, 5, 5)))
    for call in (
        lambda: backend.conv2d_backward_input(g, w, x.shape),
        lambda: backend.conv2d_backward_weight(g, x, w.shape),
    ):
        with pytest.raises(ShapeError) as caught:
            call()
        assert "(1, 4, 5, 5)" in str(caught.value)
        assert "(1, 4, 6, 6)" in str(caught.value)


@pytest.mark.parametrize("bad", ["float16", "int32", "complex64", "bool"])
def test_unsupported_types(backend, bad):
    x, w = np.zeros((1, 1, 4, 4), dtype=bad), np.zeros((1, 1, 3, 3), dtype=bad)
    with pytest.raises(DtypeError, match=bad):
        backend.conv2d_forward(backend.asarray(x), backend.asarray(w))


def test_mixed_types(backend):
    x = backend.asarray(np.zeros((1, 1, 4, 4), dtype=np.float32))
    w = backend.asarray(np.zeros((1, 1, 3, 3), dtype=np.float64))
    b = backend.asarray(np.zeros(1, dtype=np.float64))
    for call in (
        lambda: backend.conv2d_forward(x, w),
        lambda: backend.conv2d_forward(x, w.astype("float32"), b),
        lambda: backend.conv2d_backward_input(x, w, (1, 1, 6, 6)),
        lambda: backend.conv2d_backward_weight(w, x, (1, 1, 2, 2)),
    ):
        with pytest.raises(DtypeError, match="float64"):
            call()


def test_an_unknown_activation(backend):
    x, w = backend.asarray(np.zeros((1, 1, 4, 4))), backend.asarray(np.zeros((1, 1, 3, 3)))
    with pytest.raises(GpucnnError, match="tanh"):
        backend.conv2d_forward(x, w, activation="tanh")


def test_windows_that_lie_wholly_in_the_padding(backend, dtype, rng):
    x, w = (rng.standard_normal(s).astype(dtype) for s in ((2, 1, 6, 5), (2, 1, 3, 3)))
    far = 200  # no more than 2 pixels out a window reaches the image
    y = backend.to_numpy(
        backend.conv2d_forward(backend.asarray(x), backend.asarray(w), padding=far)
    )
    assert_close(y, reference.conv2d_forward(x, w, padding=far), terms=9)
    there = backend.asarray(y), backend.asarray(x)
    grad_w = backend.to_numpy(backend.conv2d_backward_weight(*there, w.shape, padding=far))
    want = reference.conv2d_backward_weight(y, x, w.shape, padding=far)
    assert_close(grad_w, want, terms=x[:, 0].size)
