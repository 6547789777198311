"""Pooling as kernel launches: which kernel serves which window. See kernels/max_pool2d.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.cuda.launcher import Array, Launcher
from gpucnn.backend.cuda.launches import THREADS, Launches, grid
from gpucnn.shapes import Pool2dGeometry

_LARGE_WINDOW = 32  # pixels from which on a warp shares an average


class Pooling(Launches, contract.Pooling):
    def _max_pool2d_forward(self, x: Array, g: Pool2dGeometry) -> tuple[Array, Array]:
        x = self._contiguous(x)
        y = self.launcher.empty(g.y_shape, x.dtype)
        argmax = self.launcher.empty(g.y_shape, np.uint8 if g.KH * g.KW <= 256 else np.int32)
        if not _is_stride2(g):
            self.launcher.launch(
                "max_pool2d", "max_pool2d_forward", grid(y.size), THREADS,
                x, y, argmax, y.size, _sizes(g), TAP=_tap(argmax),
            )  # fmt: skip
            return y, argmax
        # The four pixels of a thread must all be there, and its two windows too.
        fits = g.W % 4 == 0 and g.OW % 2 == 0 and 2 * g.OW <= g.W
        whole = (_is_aligned(self.launcher, a, n) for a, n in ((x, 4), (y, 2), (argmax, 2)))
        vector = 4 if fits and all(whole) else 2
        patches = g.N * g.C * g.OH * -(-g.OW // (vector // 2))
        self.launcher.launch(
            "max_pool2d", "max_pool2d_forward_stride2", grid(patches), THREADS,
            x, y, argmax, patches, _sizes(g), **_specialized(g, argmax, vector),
        )  # fmt: skip
        return y, argmax

    def _max_pool2d_backward(self, grad_y: Array, argmax: Array, g: Pool2dGeometry) -> Array:
        grad_y, argmax = self._contiguous(grad_y), self._contiguous(argmax)
        grad_x = self.launcher.empty(g.x_shape, grad_y.dtype)
        if not _is_stride2(g):
            self.launcher.launch(
                "max_pool2d", "max_pool2d_backward", grid(grad_x.size), THREADS,
                grad_y, argmax, grad_x, grad_x.size, _sizes(g), TAP=_tap(argmax),
            )  # fmt: skip
            return grad_x
        vector = 4 if g.W % 4 == 0 and _is_aligned(self.launcher, grad_x, 4) else 2
        patches = g.N * g.C * -(-g.H // 2) * -(-g.W // vector)
        self.launcher.launch(
            "max_pool2d", "max_pool2d_backward_stride2", grid(patches), THREADS,
            grad_y, argmax, grad_x, patches, _sizes(g), **_specialized(g, argmax, vector),
        )  # fmt: skip
        return grad_x

    def _avg_pool2d_forward(self, x: Array, g: Pool2dGeometry, count_include_pad: bool) -> Array:
        x = self._contiguous(x)
        y = self.launcher.empty(g.y_shape, x.dtype)
        if _divides_by_a_constant(g, count_include_pad):
            pairs = g.N * g.C * g.OH * -(-g.OW // 2)
            self.launcher.launch(
                "avg_pool2d", "avg_pool2d_forward_stride2", grid(pairs), THREADS,
                x, y, pairs, _sizes(g), **_square(g),
            )  # fmt: skip
            return y
        # Where large windows overlap, neighboring threads read neighboring pixels anyway.
        lanes = 32 if g.KH * g.KW >= _LARGE_WINDOW and g.stride[1] >= g.KW else 1
        self.launcher.launch(
            "avg_pool2d", "avg_pool2d_forward", grid(y.size * lanes), THREADS,
            x, y, y.size, _sizes(g), count_include_pad, LANES=lanes,
        )  # fmt: skip
        return y

    def _avg_pool2d_backward(
        self, grad_y: Array, g: Pool2dGeometry, count_include_pad: bool
    ) -> Array:
        grad_y = self._contiguous(grad_y)
        grad_x = self.launcher.empty(g.x_shape, grad_y.dtype)
        if _divides_by_a_constant(g, count_include_pad):
            patches = g.N * g.C * -(-g.H // 2) * -(-g.W // 4)
            self.launcher.launch(
                "avg_pool2d", "avg_pool2d_backward_stride2", grid(patches), THREADS,
                grad_y, grad_x, patches, _sizes(g), **_square(g),
            )  # fmt: skip
            return grad_x
        packs = g.N * g.C * g.H * -(-g.W // 4)
        self.launcher.launch(
            "avg_pool2d", "avg_pool2d_backward", grid(packs), THREADS,
            grad_y, grad_x, packs, _sizes(g), count_include_pad,
        )  # fmt: skip
        return grad_x


def _sizes(g: Pool2dGeometry) -> tuple[int, ...]:
    """The fields of the struct in kernels/pool2d.cuh."""
    return g.H, g.W, g.OH, g.OW, g.KH, g.KW, *g.stride, g.padding[0][0], g.padding[1][0]


def _is_stride2(g: Pool2dGeometry) -> bool:
    """Whether the kernels specialized for 2x2 and 3x3 windows at stride 2 take this pooling."""
    corner = g.padding[0][0], g.padding[1][0]
    windows = {(2, 2): ((0, 0),), (3, 3): ((0, 0), (1, 1))}
    return g.stride == (2, 2) and corner in windows.get((g.KH, g.KW), ())


def _divides_by_a_constant(g: Pool2dGeometry, count_include_pad: bool) -> bool:
    """Whether average pooling is at stride 2 and all its windows count the same."""
    return _is_stride2(g) and (count_include_pad or not np.any(g.padding))


def _square(g: Pool2dGeometry) -> dict[str, Any]:
    return {"WINDOW": g.KH, "PAD": g.padding[0][0]}


def _specialized(g: Pool2dGeometry, argmax: Array, vector: int) -> dict[str, Any]:
    return _square(g) | {"TAP": _tap(argmax), "VECTOR": vector}


def _tap(argmax: Array) -> str:
    return "unsigned char" if argmax.dtype == np.uint8 else "int"


def _is_aligned(launcher: Launcher, array: Array, elements: int) -> bool:
    return launcher.address(array) % (elements * array.itemsize) == 0
