"""Reductions: sum, mean, maximum and minimum over some axes, or over all.

Below each forward stands its backward. `g` is the gradient of the loss by the result.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from gpucnn.array_methods import Axis, extreme
from gpucnn.autograd import Function, Operand, Tensor
from gpucnn.backend.contract import Array
from gpucnn.errors import ShapeError


def check_axes(label: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes counted from 0, all of them for None; `ShapeError` if there is no such axis."""
    if axis is None:
        return tuple(range(ndim))
    given: Any = axis if is_several(axis) else (axis,)
    try:
        axes = tuple(operator.index(a) for a in given)
    except TypeError:
        raise ShapeError(
            f"{label} over axis {axis!r}",
            cause="an axis is an integer",
            fix="give axis=0, several as in axis=(0, 1), or axis=None for all",
        ) from None
    inside = all(-ndim <= a < ndim for a in axes)
    if not inside or len({a % ndim for a in axes}) < len(axes):
        raise ShapeError(
            f"{label} over axis {axis} of a tensor of {ndim} axes",
            cause="an axis is named twice" if inside else "there is no such axis",
            fix=f"choose from {-ndim} to {ndim - 1}" if ndim else "reshape it first",
        )
    return tuple(a % ndim for a in axes)


def is_several(axis: Any) -> bool:
    """Whether it is a list or an array of axes, and not one axis."""
    return isinstance(axis, Sequence) or bool(getattr(axis, "ndim", 0))


def check_axis(label: str, axis: int, ndim: int) -> int:
    """A single axis, counted from 0; `ShapeError` if there is none, or several."""
    if axis is None or is_several(axis):
        raise ShapeError(
            f"{label} over axis {axis!r}", cause="it takes one axis", fix="give axis=0"
        )
    return check_axes(label, axis, ndim)[0]


def check_filled(label: str, axes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes again; `ShapeError` if one of them has no elements to choose from."""
    if any(shape[a] == 0 for a in axes):
        raise ShapeError(
            f"{label} of a tensor of shape {shape}",
            cause="there are no elements to choose from",
            fix="check that the tensor is not empty",
        )
    return axes


class _Reduction(Function):
    """Over `axis` (None for all); `keepdims` leaves axes of size 1 in their place."""

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        self.axis = axis
        self.keepdims = keepdims

    def _axes(self, ndim: int) -> tuple[int, ...]:
        return check_axes(self.label, self.axis, ndim)

    def _expand(self, array: Array, shape: tuple[int, ...]) -> Array:
        """A reduced array with the reduced axes put back as size 1."""
        axes = self._axes(len(shape))
        return array.reshape([1 if i in axes else n for i, n in enumerate(shape)])


class Sum(_Reduction):
    """y = sum of x: every summand gets g."""

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        return x.sum(axis=self._axes(x.ndim), keepdims=self.keepdims)

    def backward(self, g: Array) -> Array:
        return self.xp.broadcast_to(self._expand(g, self.shape), self.shape)


class Mean(_Reduction):
    """y = sum of x / n: every summand gets g / n."""

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        self.count = math.prod(x.shape[a] for a in self._axes(x.ndim))
        return x.mean(axis=self._axes(x.ndim), keepdims=self.keepdims)

    def backward(self, g: Array) -> Array:
        return self.xp.broadcast_to(self._expand(g / self.count, self.shape), self.shape)


class Max(_Reduction):
    """y = maximum of x: g is shared evenly by the elements that equal the maximum."""

    method = "max"

    def forward(self, x: Array) -> Array:
        axes = check_filled(self.label, self._axes(x.ndim), x.shape)
        y = getattr(x, self.method)(axis=axes, keepdims=self.keepdims)
        self.save(x, y)
        return y

    def backward(self, g: Array) -> Array:
        x, y = self.saved
        hit = (x == self._expand(y, x.shape)).astype(x.dtype)
        return hit * (self._expand(g, x.shape) / hit.sum(axis=self._axes(x.ndim), keepdims=True))


class Min(Max):
    """y = minimum of x: g is shared evenly by the elements that equal the minimum."""

    method = "min"


def sum(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over `axis`, an int, several, or None for all."""
    return Sum(axis, keepdims)(x)


def mean(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over `axis`, an int, several, or None for all."""
    return Mean(axis, keepdims)(x)


@extreme
def max(x: Operand, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Maximum over `axis`, an int, several, or None; equal maxima share the gradient."""
    return Max(axis, keepdims)(x)


@extreme
def min(x: Operand, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Minimum over `axis`, an int, several, or None; equal minima share the gradient."""
    return Min(axis, keepdims)(x)
