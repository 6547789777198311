"""The 2x2 maximum with stride 2, compiled, a row of vectors at a time; float32.

Other pools are NumPy's.
"""

from __future__ import annotations

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu import pooling as cpu
from gpucnn.backend.cpu.chunks import blocks, scratch
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.backend.numba.jit import entry, flat, inner
from gpucnn.backend.numba.llvm.rows import copy, max_pairs, spread_pairs, zero
from gpucnn.backend.numba.llvm.vectors import LANES
from gpucnn.shapes import Pool2dGeometry

_CHUNK = 1 << 18  # pixels: a smaller chunk is not worth another thread


class Pooling(cpu.Pooling):
    """Max pooling of pairs of rows and columns."""

    def _max_pool2d_forward(self, x: Array, g: Pool2dGeometry) -> tuple[Array, Array]:
        if x.dtype != np.float32 or not is_pairs(g):
            return super()._max_pool2d_forward(x, g)
        y, argmax = np.empty(g.y_shape, np.float32), np.empty(g.y_shape, np.uint8)
        arrays = flat(x), y.reshape(-1), argmax.reshape(-1)

        def task(planes: slice) -> None:
            _forward(*arrays, *_workspace(g), g.H, g.W, planes.start, planes.stop)

        parallel(task, _chunks(g))
        return y, argmax

    def _max_pool2d_backward(self, grad_y: Array, argmax: Array, g: Pool2dGeometry) -> Array:
        if grad_y.dtype != np.float32 or not is_pairs(g):
            return super()._max_pool2d_backward(grad_y, argmax, g)
        grad_x = np.empty(g.x_shape, np.float32)
        arrays = flat(grad_y), flat(argmax, np.uint8), grad_x.reshape(-1)

        def task(planes: slice) -> None:
            _backward(*arrays, *_workspace(g), g.H, g.W, planes.start, planes.stop)

        parallel(task, _chunks(g))
        return grad_x


def is_pairs(g: Pool2dGeometry) -> bool:
    """Whether this file computes the pool."""
    return (g.KH, g.KW) == g.stride == (2, 2) and g.padding == ((0, 0), (0, 0))


def _chunks(g: Pool2dGeometry) -> list[slice]:
    """The planes, one for each channel of each image, in chunks."""
    return blocks(g.N * g.C, max(1, _CHUNK // (g.H * g.W)))


def _workspace(g: Pool2dGeometry) -> tuple[Array, Array, Array]:
    """Pixels, maxima and argmax of one plane; whole vectors are written beyond its end."""
    pixels, maxima = g.H * g.W + 2 * LANES, g.OH * g.OW + LANES
    return (
        scratch("pixels", (pixels,), np.float32),
        scratch("maxima", (maxima,), np.float32),
        scratch("places", (maxima,), np.uint8),
    )


@inner
def pool_rows(source, at, pitch, height, width, y, argmax, to, maxima, places):
    """height x width maxima of rows that start at source[at + row * pitch].

    They go to y[to:] and argmax[to:], by way of the workspaces `maxima` and `places`, which are a
    vector longer than that.
    """
    for t in range(height):
        max_pairs(width, source, at + 2 * t * pitch, pitch, maxima, t * width, places, t * width)
    copy(maxima, 0, y, to, height * width)
    copy(places, 0, argmax, to, height * width)


@inner
def unpool_plane(grad, argmax, plane, places, out, at, H, W):
    """The gradient (H, W) of a plane, written to out[at:]; `grad` is that of the pooled plane.

    `grad`, `out` and the workspace `places` have space for whole vectors behind their ends.
    """
    height, width = H // 2, W // 2
    size = height * width
    copy(argmax, plane * size, places, 0, size)
    for t in range(height):
        spread_pairs(width, grad, t * width, places, t * width, out, at + 2 * t * W, W)
    zero(out, at + 2 * height * W, (H - 2 * height) * W)  # an odd row or column is in no window
    if 2 * width < W:
        for row in range(H):
            out[at + (row + 1) * W - 1] = 0


@entry
def _forward(x, y, argmax, pixels, maxima, places, H, W, begin, end):
    for plane in range(begin, end):
        copy(x, plane * H * W, pixels, 0, H * W)
        height, width = H // 2, W // 2
        to = plane * height * width
        pool_rows(pixels, 0, W, height, width, y, argmax, to, maxima, places)


@entry
def _backward(grad_y, argmax, grad_x, pixels, maxima, places, H, W, begin, end):
    size = (H // 2) * (W // 2)
    for plane in range(begin, end):
        copy(grad_y, plane * size, maxima, 0, size)
        unpool_plane(maxima, argmax, plane, places, pixels, 0, H, W)
        copy(pixels, 0, grad_x, plane * H * W, H * W)
