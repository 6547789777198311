"""The three passes over shapes of all sizes, cut in all ways, against sums over the taps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import assert_close, assert_same_bits
from geometries import convolutions
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Taps

pytest.importorskip("numba", reason="the extra `fast` is not installed")

UNITS = st.sampled_from([1, 50, 400, 3000, 96 << 10])
WIDE = convolutions(images=5, channels=11, filters=19, spare=45, padding=8)
PAIRS = (2, None, 0)


def passes(backend: Any, x: Any, w: Any, g: Any, options: Any) -> list[Any]:
    return [
        backend.conv2d_forward(x, w, **options),
        backend.conv2d_backward_input(g, w, x.shape, **options),
        backend.conv2d_backward_weight(g, x, w.shape, **options),
        *backend.conv2d_relu_pool_backward(g, x, w, **options),
    ]


def expected(taps: Taps, x: Any, w: Any, g: Any) -> list[Any]:
    grad_x, grad_w = taps.backward_input(g, w), taps.backward_weight(g, x)
    grad_b = g.astype(np.float64).sum((0, 2, 3))
    return [taps.forward(x, w), grad_x, grad_w, grad_x, grad_w, grad_b]


@given(WIDE, UNITS, st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_small_integers_are_exact(compiled, units, convolution, most, seed):
    x_shape, w_shape, options = convolution
    taps, rng = Taps(x_shape, w_shape, **options), np.random.default_rng(seed)
    x, w, g = (
        rng.integers(-3, 4, shape).astype(np.float32) for shape in (x_shape, w_shape, taps.y_shape)
    )
    with units(most):
        found = passes(compiled, x, w, g, options)
    for got, want in zip(found, expected(taps, x, w, g), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, want)


@given(WIDE, UNITS, st.integers(0, 2**32 - 1))
def test_errors_keep_to_their_bounds(compiled, units, convolution, most, seed):
    x_shape, w_shape, options = convolution
    taps, rng = Taps(x_shape, w_shape, **options), np.random.default_rng(seed)
    x, w, g = (
        rng.standard_normal(shape).astype(np.float32) for shape in (x_shape, w_shape, taps.y_shape)
    )
    with units(most):
        found = passes(compiled, x, w, g, options)
    forward, by_input, by_weight = taps.terms()
    terms = (forward, by_input, by_weight, by_input, by_weight, by_weight)
    for got, want, K in zip(found, expected(taps, x, w, g), terms, strict=True):
        assert_close(got, want, K)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23])
@pytest.mark.parametrize("width", [1, 2, 7, 15, 16, 17, 31, 33, 47, 48, 49, 64, 97])
def test_all_remainders_of_the_tiles(compiled, rng, channels, width):
    """Channels are rows of a tile, or its columns; pixels go by vectors, one and several."""
    for shape in ((3, width), (1, width)):
        x_shape, w_shape = (2, channels, shape[0] + 1, shape[1] + 2), (channels + 1, channels, 2, 3)
        taps = Taps(x_shape, w_shape)
        x, w, g = (
            rng.integers(-3, 4, shape).astype(np.float32)
            for shape in (x_shape, w_shape, taps.y_shape)
        )
        found = passes(compiled, x, w, g, {})
        for got, want in zip(found, expected(taps, x, w, g), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((20, 16, 14, 14), (20, 8, 3, 3), {"groups": 2, "padding": 1}),
        ((20, 16, 14, 14), (20, 8, 3, 2), {"groups": 2, "padding": 1}),
        ((3, 8, 60, 50), (9, 8, 5, 5), {"stride": 2, "padding": 2}),
    ],
)
@pytest.mark.parametrize("most", [500, 5000, 96 << 10])
def test_the_number_of_threads_changes_no_bit(
    compiled, units, threads, rng, x_shape, w_shape, options, most
):
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in (x_shape, w_shape))
    g = rng.standard_normal(Taps(x_shape, w_shape, **options).y_shape).astype(np.float32)

    def everything() -> list[Any]:
        found = passes(compiled, x, w, g, options)
        y, argmax = compiled.conv2d_relu_pool_forward(
            x, w, **options, activation="relu", pool=PAIRS
        )
        back = compiled.conv2d_relu_pool_backward(y, x, w, y, argmax, **options, pool=PAIRS)
        dropped = compiled.dropout_forward(x, 0.3, key=(1, 2), step=0)
        return [*found, y, argmax, *back, *dropped, compiled.bias_grad(g)]

    with units(most):
        threads.set_threads(1)
        want = everything()
        for count in (2, 3, 8):
            threads.set_threads(count)
            for got, right in zip(everything(), want, strict=True):
                assert_same_bits(got, right)


def test_an_image_gets_the_same_bits_in_any_batch(compiled, rng):
    """Where the units end depends on the batch; the sums for one image do not."""
    x = rng.standard_normal((9, 5, 13, 17)).astype(np.float32)
    w = rng.standard_normal((11, 5, 3, 3)).astype(np.float32)
    y, argmax = compiled.conv2d_relu_pool_forward(x, w, activation="relu", pool=PAIRS)
    grad_x = compiled.conv2d_relu_pool_backward(y, x, w, y, argmax, pool=PAIRS)[0]
    for n in range(len(x)):
        one = slice(n, n + 1)
        alone, where = compiled.conv2d_relu_pool_forward(x[one], w, activation="relu", pool=PAIRS)
        assert_same_bits(alone, y[one])
        back = compiled.conv2d_relu_pool_backward(alone, x[one], w, alone, where, pool=PAIRS)
        assert_same_bits(back[0], grad_x[one])
