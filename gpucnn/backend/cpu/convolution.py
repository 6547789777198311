"""Convolution in NumPy: pack the pixels under each kernel tap into columns, and multiply by BLAS.

    forward           y   = w   @ columns(x)             (F, K) @ (K, pixels)
    backward input    columns(grad_x) = w^T @ grad_y     (K, F) @ (F, pixels), then added up
    backward weight   grad_w = grad_y @ columns(x)^T     (F, pixels) @ (pixels, K)

with K = C*KH*KW, for a few images at a time: as many as keep the columns in the cache, or some rows
of one image if that is large. So scratch memory is bounded by a few `_COLUMN_BYTES` a thread,
however large the batch is.

A tap's pixels are copied row by row, which is slow where rows are short. At stride 1 the rows of an
image lie at a fixed distance, the padded width WP, so that one run of memory holds all of them:

    row 0          row 1          row 2              x: seen by the tap in row 0, 1, 2
    xxxx--xxxx--xxxx                                 -: WP - OW pixels that no output needs

Copying the run with its gaps ("wide") makes the product a little larger and the copy many times
faster. `_is_wide` decides by what a gap costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.arrays import by_channel
from gpucnn.backend.cpu.chunks import PARTS, blocks, chunk_size, scratch, sum_in_order
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.shapes import Conv2dGeometry

_COLUMN_BYTES = 3 << 20  # columns at once: more amortizes the calls, less stays in the cache
# Starting a row of a copy takes as long as this many multiplications of one filter with a gap.
_ROW_COST = 600


class Convolution(contract.Convolution):
    def _conv2d_forward(
        self, x: Array, w: Array, b: Array | None, g: Conv2dGeometry, activation: str | None
    ) -> Array:
        x = np.ascontiguousarray(x)
        y = np.empty(g.y_shape, x.dtype)
        weight = w.reshape(g.groups, g.F // g.groups, -1)  # (G, F/G, K)

        def task(chunk: _Chunk) -> None:
            columns = _pack_columns(x, g, chunk)  # (G, K, pixels)
            product = scratch("product", (*weight.shape[:2], columns.shape[2]), x.dtype)
            np.matmul(weight, columns, out=product)
            out = y[chunk.images, :, chunk.rows]  # (n, F, rows, OW)
            images = _pixels(product, g, chunk).transpose(1, 0, 2, 3)
            if b is None:
                np.copyto(out, images)
            else:
                np.add(images, b[:, None, None], out=out)
            if activation == "relu":
                np.maximum(out, 0, out=out)

        parallel(task, _chunks(g, x.dtype.itemsize))
        return y

    def _conv2d_backward_input(self, grad_y: Array, w: Array, g: Conv2dGeometry) -> Array:
        grad_x = np.empty(g.x_shape, grad_y.dtype)
        (top, bottom), (left, right) = g.padding
        weight = w.reshape(g.groups, g.F // g.groups, -1)
        weight = np.ascontiguousarray(weight.transpose(0, 2, 1))  # (G, K, F/G)

        # Rows of one image overlap in grad_x, so they are one thread's work, in their order.
        by_images: dict[int, list[_Chunk]] = {}
        for chunk in _chunks(g, grad_y.dtype.itemsize):
            by_images.setdefault(chunk.images.start, []).append(chunk)

        def task(chunks: list[_Chunk]) -> None:
            images = grad_x[chunks[0].images].transpose(1, 0, 2, 3)  # (C, n, H, W)
            padded = images
            if _is_padded(g):
                size = (g.C, images.shape[1], top + g.H + bottom, left + g.W + right)
                padded = scratch("padded", size, grad_x.dtype)
            padded[...] = 0
            for chunk in chunks:
                grad = _pack_gradient(grad_y, g, chunk)  # (G, F/G, pixels)
                columns = scratch("columns", (*weight.shape[:2], grad.shape[2]), grad.dtype)
                np.matmul(weight, grad, out=columns)
                windows = _windows(padded[:, :, _input_rows(g, chunk)], g)
                taps = columns.reshape(windows.shape)
                for kh in range(g.KH):  # tap by tap, as the windows overlap
                    for kw in range(g.KW):
                        pixels = windows[:, kh, kw]
                        np.add(pixels, taps[:, kh, kw], out=pixels)
            if padded is not images:
                np.copyto(images, padded[:, :, top : top + g.H, left : left + g.W])

        parallel(task, list(by_images.values()))
        return grad_x

    def _conv2d_backward_weight(self, grad_y: Array, x: Array, g: Conv2dGeometry) -> Array:
        x = np.ascontiguousarray(x)
        K = g.C // g.groups * g.KH * g.KW
        chunks = _chunks(g, x.dtype.itemsize)
        parts = [chunks[part] for part in blocks(len(chunks), -(-len(chunks) // PARTS) or 1)]

        def task(part: Sequence[_Chunk]) -> Array:
            total = np.zeros((g.groups, g.F // g.groups, K), x.dtype)
            product = scratch("product", total.shape, x.dtype)
            for chunk in part:
                columns = _pack_columns(x, g, chunk)
                grad = _pack_gradient(grad_y, g, chunk)
                np.matmul(grad, columns.transpose(0, 2, 1), out=product)
                total += product
            return total

        return sum_in_order(parallel(task, parts), g.w_shape, x.dtype)

    def _bias_grad(self, grad_y: Array) -> Array:
        N, F = grad_y.shape[:2]
        flat = by_channel(grad_y)  # (N, F, pixels)
        parts = blocks(N, -(-N // PARTS) or 1)
        sums = parallel(lambda part: flat[part].sum(axis=2).sum(axis=0), parts)
        return sum_in_order(sums, (F,), grad_y.dtype)


class _Chunk(NamedTuple):
    """A chunk of a convolution's output: some images, or some rows of one image."""

    images: slice
    rows: slice

    @property
    def size(self) -> tuple[int, int]:
        """(n, rows): how many of each."""
        return self.images.stop - self.images.start, self.rows.stop - self.rows.start


@lru_cache(maxsize=1024)
def _chunks(g: Conv2dGeometry, itemsize: int) -> list[_Chunk]:
    """The output cut so that a chunk's columns, and its product, take about `_COLUMN_BYTES`."""
    row_bytes = max(g.C * g.KH * g.KW, g.F) * _pitch(g) * itemsize
    rows = max(1, _COLUMN_BYTES // row_bytes)
    if rows >= g.OH:
        images = chunk_size(g.N, rows // g.OH)
        return [_Chunk(part, slice(0, g.OH)) for part in blocks(g.N, images)]
    return [_Chunk(slice(n, n + 1), part) for n in range(g.N) for part in blocks(g.OH, rows)]


def _is_padded(g: Conv2dGeometry) -> bool:
    return any(map(any, g.padding))


@lru_cache(maxsize=1024)
def _is_wide(g: Conv2dGeometry) -> bool:
    """Whether rows of columns keep their distance in the image, and the gaps with it."""
    gap = g.W + sum(g.padding[1]) - g.OW
    return g.stride == (1, 1) and gap * (g.F // g.groups) <= _ROW_COST


def _pitch(g: Conv2dGeometry) -> int:
    """The distance from one row of columns to the next, in pixels."""
    return g.W + sum(g.padding[1]) if _is_wide(g) else g.OW


def _run(g: Conv2dGeometry, rows: int) -> int:
    """Length of an image's columns: from the first pixel of its rows to the last."""
    return (rows - 1) * _pitch(g) + g.OW


def _input_rows(g: Conv2dGeometry, chunk: _Chunk) -> slice:
    """The rows of the padded input that the chunk's output sees."""
    first, last = chunk.rows.start * g.stride[0], (chunk.rows.stop - 1) * g.stride[0]
    return slice(first, last + g.dilation[0] * (g.KH - 1) + 1)


def _windows(seen: Array, g: Conv2dGeometry) -> Array:
    """The pixels under each kernel element: a view (C, KH, KW, n, run) or (C, KH, KW, n, rows, OW).

    `seen` is (C, n, input rows, padded width), with no gap from row to row.
    """
    C, n, height, _ = seen.shape
    rows = (height - g.dilation[0] * (g.KH - 1) - 1) // g.stride[0] + 1
    channel, image, row, pixel = seen.strides
    taps = (channel, g.dilation[0] * row, g.dilation[1] * pixel, image)
    if _is_wide(g):
        return as_strided(seen, (C, g.KH, g.KW, n, _run(g, rows)), (*taps, pixel))
    steps = (g.stride[0] * row, g.stride[1] * pixel)
    return as_strided(seen, (C, g.KH, g.KW, n, rows, g.OW), (*taps, *steps))


def _pack_columns(x: Array, g: Conv2dGeometry, chunk: _Chunk) -> Array:
    """The pixels under each kernel element, (G, C/G*KH*KW, n*run)."""
    windows = _windows(_padded_rows(x, g, chunk), g)
    columns = scratch("columns", windows.shape, x.dtype)
    np.copyto(columns, windows)
    return columns.reshape(g.groups, g.C // g.groups * g.KH * g.KW, -1)


def _padded_rows(x: Array, g: Conv2dGeometry, chunk: _Chunk) -> Array:
    """The input that a chunk sees, channels in front and zeros in the padding."""
    rows = _input_rows(g, chunk)
    images = x[chunk.images].transpose(1, 0, 2, 3)  # (C, n, H, W)
    if not _is_padded(g):
        return images[:, :, rows]
    (top, _), (left, right) = g.padding
    size = (g.C, images.shape[1], rows.stop - rows.start, left + g.W + right)
    padded = scratch("padded", size, x.dtype)
    padded[...] = 0
    # A chunk whose rows all lie in the padding sees none of the image.
    first = min(max(rows.start - top, 0), g.H)
    last = max(first, min(rows.stop - top, g.H))
    at = first + top - rows.start
    padded[:, :, at : at + last - first, left : left + g.W] = images[:, :, first:last]
    return padded


def _pack_gradient(grad_y: Array, g: Conv2dGeometry, chunk: _Chunk) -> Array:
    """grad_y of a chunk with the filters in front, (G, F/G, n*run); zero in the gaps."""
    n, rows = chunk.size
    packed = scratch("gradient", (g.F, n, _run(g, rows)), grad_y.dtype)
    if _pitch(g) != g.OW:
        packed[...] = 0
    grad = grad_y[chunk.images, :, chunk.rows].transpose(1, 0, 2, 3)  # (F, n, rows, OW)
    np.copyto(_pixels(packed, g, chunk), grad)
    return packed.reshape(g.groups, g.F // g.groups, -1)


def _pixels(packed: Array, g: Conv2dGeometry, chunk: _Chunk) -> Array:
    """The output pixels in contiguous rows with gaps: a view (F, n, rows, OW)."""
    n, rows = chunk.size
    item, run = packed.itemsize, _run(g, rows)
    strides: Any = (n * run * item, run * item, _pitch(g) * item, item)
    return np.ndarray((g.F, n, rows, g.OW), packed.dtype, packed, 0, strides)
