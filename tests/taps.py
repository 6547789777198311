"""Convolution in float64, a tap of the window at a time: the oracle for shapes of some size.

It is `reference.py` made quick, shares nothing with gpucnn, and is held to the loops by
tests/backend/numba/test_convolution.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import reference

Array = np.ndarray[Any, Any]


class Taps:
    """A convolution of x (N, C, H, W) with w (F, C/groups, KH, KW)."""

    def __init__(
        self, x_shape: Any, w_shape: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> None:  # fmt: skip
        self.N, self.C, self.H, self.W = x_shape
        self.w_shape, self.groups = w_shape, groups
        self.F, self.KH, self.KW = w_shape[0], *w_shape[2:]
        self.stride, self.dilation = reference.as_pair(stride), reference.as_pair(dilation)
        kernel = (self.KH, self.KW)
        self.sides = reference.sides(padding, x_shape[2:], kernel, self.stride, self.dilation)
        self.OH, self.OW = (
            reference.output_size(*sizes)
            for sizes in zip(
                x_shape[2:], kernel, self.stride, self.sides, self.dilation, strict=True
            )
        )
        self.y_shape = (self.N, self.F, self.OH, self.OW)

    def forward(self, x: Array, w: Array) -> Array:
        padded, w = self._padded(x), self._by_group(w)
        y = np.zeros((self.N, self.groups, self.F // self.groups, self.OH, self.OW))
        for i, j, seen in self._taps():
            y += np.einsum("gfc,ngchw->ngfhw", w[..., i, j], padded[seen], optimize=True)
        return y.reshape(self.y_shape)

    def backward_input(self, grad_y: Array, w: Array) -> Array:
        grad, w = self._by_group(grad_y, 1), self._by_group(w)
        padded = self._padded(np.zeros((self.N, self.C, self.H, self.W)))
        for i, j, seen in self._taps():
            padded[seen] += np.einsum("gfc,ngfhw->ngchw", w[..., i, j], grad, optimize=True)
        (top, _), (left, _) = self.sides
        inside = padded[..., top : top + self.H, left : left + self.W]
        return inside.reshape(self.N, self.C, self.H, self.W)

    def backward_weight(self, grad_y: Array, x: Array) -> Array:
        grad, padded = self._by_group(grad_y, 1), self._padded(x)
        grad_w = self._by_group(np.zeros(self.w_shape))
        for i, j, seen in self._taps():
            product = np.einsum("ngfhw,ngchw->gfc", grad, padded[seen], optimize=True)
            grad_w[..., i, j] = product
        return grad_w.reshape(self.w_shape)

    def terms(self) -> tuple[int, int, int]:
        """Products in the sum of one result of each pass."""
        filters, channels = self.F // self.groups, self.C // self.groups
        window = self.KH * self.KW
        return channels * window, filters * window, self.N * self.OH * self.OW

    def _by_group(self, array: Array, axis: int = 0) -> Array:
        shape = array.shape
        split = (*shape[:axis], self.groups, shape[axis] // self.groups, *shape[axis + 1 :])
        return array.astype(np.float64).reshape(split)

    def _padded(self, x: Array) -> Array:
        return np.pad(self._by_group(x, 1), ((0, 0), (0, 0), (0, 0), *self.sides))

    def _taps(self) -> Iterator[tuple[int, int, Any]]:
        """Each tap, and the pixels of the padded image that it meets: (N, groups, C, OH, OW)."""
        (sh, sw), (dh, dw) = self.stride, self.dilation
        for i, j in np.ndindex(self.KH, self.KW):
            rows = slice(i * dh, i * dh + (self.OH - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (self.OW - 1) * sw + 1, sw)
            yield i, j, (..., rows, columns)
