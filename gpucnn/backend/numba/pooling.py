"""The 2x2 maximum with stride 2, a row of vectors at a time; float32. Other pools are NumPy's."""

from __future__ import annotations

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.chunks import blocks, scratch
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba.jit import entry, flat, inner
from gpucnn.backend.numba.rows import copy, max_pairs, spread_pairs, zero
from gpucnn.backend.numba.vectors import LANES
from gpucnn.shapes import Pool2dGeometry

_PIXELS = 1 << 18  # at once: less is not worth another thread


def is_pairs(g: Pool2dGeometry) -> bool:
    """Whether it is the pool of this file."""
    return (g.KH, g.KW) == g.stride == (2, 2) and g.padding == ((0, 0), (0, 0))


def max_forward(x: Array, g: Pool2dGeometry) -> tuple[Array, Array]:
    """See `Backend.max_pool2d_forward`; float32, of what `is_pairs`."""
    y, argmax = np.empty(g.y_shape, np.float32), np.empty(g.y_shape, np.uint8)
    arrays = flat(x), y.reshape(-1), argmax.reshape(-1)

    def task(planes: slice) -> None:
        _forward(*arrays, *_room(g), g.H, g.W, planes.start, planes.stop)

    parallel(task, _planes(g))
    return y, argmax


def max_backward(grad_y: Array, argmax: Array, g: Pool2dGeometry) -> Array:
    """See `Backend.max_pool2d_backward`; float32, of what `is_pairs`."""
    grad_x = np.empty(g.x_shape, np.float32)
    arrays = flat(grad_y), flat(argmax, np.uint8), grad_x.reshape(-1)

    def task(planes: slice) -> None:
        _backward(*arrays, *_room(g), g.H, g.W, planes.start, planes.stop)

    parallel(task, _planes(g))
    return grad_x


def _planes(g: Pool2dGeometry) -> list[slice]:
    """The channels of all images, in pieces."""
    return blocks(g.N * g.C, max(1, _PIXELS // (g.H * g.W)))


def _room(g: Pool2dGeometry) -> tuple[Array, Array, Array]:
    """Scratch for one channel, with room behind it for whole vectors: pixels, values, winners."""
    pixels, values = g.H * g.W + 2 * LANES, g.OH * g.OW + LANES
    return (
        scratch("pixels", (pixels,), np.float32),
        scratch("values", (values,), np.float32),
        scratch("winner", (values,), np.uint8),
    )


@inner
def pool_rows(source, at, pitch, height, width, y, argmax, to, values, winner):
    """height x width maxima, from y[to] on, of rows that start at source[at + row * pitch]."""
    for t in range(height):
        max_pairs(width, source, at + 2 * t * pitch, pitch, values, t * width, winner, t * width)
    copy(values, 0, y, to, height * width)
    copy(winner, 0, argmax, to, height * width)


@inner
def unpool_plane(values, argmax, plane, winner, out, at, H, W):
    """The gradient (H, W) from out[at] on, of a channel whose pooled gradient is in `values`.

    `values` and `out` have room behind them for whole vectors.
    """
    height, width = H // 2, W // 2
    size = height * width
    copy(argmax, plane * size, winner, 0, size)
    for t in range(height):
        spread_pairs(width, values, t * width, winner, t * width, out, at + 2 * t * W, W)
    zero(out, at + 2 * height * W, (H - 2 * height) * W)  # an odd row or column is in no window
    if 2 * width < W:
        for row in range(H):
            out[at + (row + 1) * W - 1] = 0


@entry
def _forward(x, y, argmax, pixels, values, winner, H, W, begin, end):
    for plane in range(begin, end):
        copy(x, plane * H * W, pixels, 0, H * W)
        height, width = H // 2, W // 2
        to = plane * height * width
        pool_rows(pixels, 0, W, height, width, y, argmax, to, values, winner)


@entry
def _backward(grad_y, argmax, grad_x, pixels, values, winner, H, W, begin, end):
    size = (H // 2) * (W // 2)
    for plane in range(begin, end):
        copy(grad_y, plane * size, values, 0, size)
        unpool_plane(values, argmax, plane, winner, pixels, 0, H, W)
        copy(pixels, 0, grad_x, plane * H * W, H * W)
