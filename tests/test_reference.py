"""The oracle of convolution is its definition, in plain loops over every product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import reference
from geometries import convolutions
from hypothesis import given
from hypothesis import strategies as st

Index = tuple[int, ...]


def products(x_shape: Any, w_shape: Any, options: Any) -> Iterator[tuple[Index, Index, Index]]:
    """The places in y, x and w of every product: y[...] is the sum of x[...] * w[...]."""
    (N, _, H, W), (F, C, KH, KW) = x_shape, w_shape
    (sh, sw), (dh, dw) = options["stride"], options["dilation"]
    sides = reference.sides(options["padding"], (H, W), (KH, KW), (sh, sw), (dh, dw))
    OH, OW = map(reference.output_size, (H, W), (KH, KW), (sh, sw), sides, (dh, dw))
    for n, f, oh, ow in np.ndindex(N, F, OH, OW):
        first = f // (F // options["groups"]) * C
        for c, i, j in np.ndindex(C, KH, KW):
            h, w = oh * sh + i * dh - sides[0][0], ow * sw + j * dw - sides[1][0]
            if 0 <= h < H and 0 <= w < W:
                yield (n, f, oh, ow), (n, first + c, h, w), (f, c, i, j)


@given(convolutions(), st.integers(0, 2**32 - 1))
def test_convolution_is_its_definition(convolution: Any, seed: int) -> None:
    x_shape, w_shape, options = convolution
    rng = np.random.default_rng(seed)
    y_shape = reference.conv2d_forward(np.zeros(x_shape), np.zeros(w_shape), **options).shape
    x, w, b, g = (rng.integers(-3, 4, shape) for shape in (x_shape, w_shape, w_shape[:1], y_shape))
    y, grad_x, grad_w = (np.zeros(shape) for shape in (y_shape, x_shape, w_shape))
    for at_y, at_x, at_w in products(x_shape, w_shape, options):
        y[at_y] += x[at_x] * w[at_w]
        grad_x[at_x] += g[at_y] * w[at_w]
        grad_w[at_w] += g[at_y] * x[at_x]
    y += b[:, None, None]
    relu = reference.conv2d_forward(x, w, b, **options, activation="relu")
    for got, want in (
        (reference.conv2d_forward(x, w, b, **options), y),
        (relu, np.maximum(y, 0)),
        (reference.conv2d_backward_input(g, w, x_shape, **options), grad_x),
        (reference.conv2d_backward_weight(g, x, w_shape, **options), grad_w),
    ):
        np.testing.assert_array_equal(got, want)
