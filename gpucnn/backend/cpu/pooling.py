"""Pooling in NumPy: one pass over the images for each tap of the window.

A window of KH x KW taps is read as KH*KW shifted, strided views of the image: the tap (kh, kw) of
all windows at once is one of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.chunks import blocks, chunk_size, keep, scratch
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.shapes import Pool2dGeometry

_ELEMENTS = 1 << 18  # input elements at once, which with the scratch stay in the cache


class Pooling(contract.Pooling):
    def _max_pool2d_forward(self, x: Array, g: Pool2dGeometry) -> tuple[Array, Array]:
        y = np.empty(g.y_shape, x.dtype)
        # The number of the tap with the maximum.
        argmax = np.empty(g.y_shape, np.uint8 if g.KH * g.KW <= 256 else np.int32)
        first = _first_taps(g)

        def task(images: slice) -> None:
            xs, best, index = x[images], y[images], argmax[images]
            best[...] = -np.inf
            index[...] = first
            for tap in _taps(g):
                seen, place = best[:, :, tap.oy, tap.ox], index[:, :, tap.oy, tap.ox]
                # Strided pixels are slow to compute with: one copy serves both comparisons.
                pixels = scratch("pixels", seen.shape, x.dtype)
                np.copyto(pixels, xs[:, :, tap.y, tap.x])
                wins = np.greater(pixels, seen, out=scratch("wins", seen.shape, np.bool_))
                np.maximum(seen, pixels, out=seen)  # a NaN on either side stays
                # Taps come in rising order, so the last maximum has the greatest number.
                number = scratch("number", seen.shape, index.dtype)
                np.multiply(wins.view(np.uint8), index.dtype.type(tap.number), out=number)
                np.maximum(place, number, out=place)
            if np.isnan(best).any():
                for tap in reversed(_taps(g)):  # the first NaN of a window is written last
                    nan = np.isnan(xs[:, :, tap.y, tap.x])
                    np.copyto(index[:, :, tap.oy, tap.ox], tap.number, where=nan)

        parallel(task, _image_chunks(g))
        return y, argmax

    def _max_pool2d_backward(self, grad_y: Array, argmax: Array, g: Pool2dGeometry) -> Array:
        grad_x = np.empty(g.x_shape, grad_y.dtype)

        def task(images: slice) -> None:
            target, grad, index = grad_x[images], grad_y[images], argmax[images]
            target[...] = 0
            for tap in _taps(g):
                pixels = target[:, :, tap.y, tap.x]
                won = index[:, :, tap.oy, tap.ox] == tap.number
                part = scratch("part", pixels.shape, grad.dtype)
                np.add(pixels, keep(grad[:, :, tap.oy, tap.ox], won, part), out=pixels)

        parallel(task, _image_chunks(g))
        return grad_x

    def _avg_pool2d_forward(self, x: Array, g: Pool2dGeometry, count_include_pad: bool) -> Array:
        y = np.empty(g.y_shape, x.dtype)
        count = _window_counts(g, count_include_pad).astype(x.dtype)

        def task(images: slice) -> None:
            total = y[images]
            total[...] = 0
            for tap in _taps(g):
                total[:, :, tap.oy, tap.ox] += x[images, :, tap.y, tap.x]
            total /= count

        parallel(task, _image_chunks(g))
        return y

    def _avg_pool2d_backward(
        self, grad_y: Array, g: Pool2dGeometry, count_include_pad: bool
    ) -> Array:
        grad_x = np.empty(g.x_shape, grad_y.dtype)
        count = _window_counts(g, count_include_pad).astype(grad_y.dtype)

        def task(images: slice) -> None:
            target = grad_x[images]
            target[...] = 0
            share = grad_y[images] / count
            for tap in _taps(g):
                target[:, :, tap.y, tap.x] += share[:, :, tap.oy, tap.ox]

        parallel(task, _image_chunks(g))
        return grad_x


class _Tap(NamedTuple):
    """Element (kh, kw) of the windows: outputs (oy, ox) see pixels (y, x), the padding left out.

    `number` counts the taps row by row.
    """

    number: int
    oy: slice
    ox: slice
    y: slice
    x: slice


@lru_cache(maxsize=256)
def _taps(g: Pool2dGeometry) -> tuple[_Tap, ...]:
    """The taps of the window, row by row."""
    found: list[_Tap] = []
    for kh in range(g.KH):
        oy, y = _seen(kh - g.padding[0][0], g.stride[0], g.H, g.OH)
        for kw in range(g.KW):
            ox, x = _seen(kw - g.padding[1][0], g.stride[1], g.W, g.OW)
            found.append(_Tap(len(found), oy, ox, y, x))
    return tuple(found)


def _seen(shift: int, stride: int, size: int, outputs: int) -> tuple[slice, slice]:
    """The outputs o with 0 <= o*stride + shift < size, and those pixels."""
    low = max(0, -(shift // stride))  # the first o at or right of pixel 0
    high = min(outputs, (size - 1 - shift) // stride + 1)
    if high <= low:
        return slice(0, 0), slice(0, 0)
    start = low * stride + shift
    return slice(low, high), slice(start, start + (high - low - 1) * stride + 1, stride)


@lru_cache(maxsize=256)
def _first_taps(g: Pool2dGeometry) -> Array:
    """The number of each window's first tap inside the image, int32 (OH, OW)."""
    first = np.zeros((g.OH, g.OW), np.int32)
    for tap in reversed(_taps(g)):
        first[tap.oy, tap.ox] = tap.number
    return first


def _image_chunks(g: Pool2dGeometry) -> list[slice]:
    return blocks(g.N, chunk_size(g.N, _ELEMENTS // (g.C * g.H * g.W)))


@lru_cache(maxsize=256)
def _window_counts(g: Pool2dGeometry, count_include_pad: bool) -> Array:
    """The divisor of each window's sum, int64 (OH, OW)."""
    if count_include_pad:
        return np.full((g.OH, g.OW), g.KH * g.KW)
    counts = np.zeros((g.OH, g.OW), np.int64)
    for tap in _taps(g):
        counts[tap.oy, tap.ox] += 1
    return counts
