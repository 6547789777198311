"""Changes of shape: the same elements in other places, or some of them.

Below each forward stands its backward. `g` is the gradient of the loss by the result.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn.autograd import Function, Operand, Tensor, as_tensors
from gpucnn.backend.contract import Array
from gpucnn.errors import DtypeError, ShapeError, UsageError
from gpucnn.functions.reduction import check_axes, check_axis, is_several
from gpucnn.interchange import native
from gpucnn.operands import is_array


class Reshape(Function):
    """The same elements in another shape; one size may be -1."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.new_shape = shape

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        try:
            return x.reshape(self.new_shape)
        except ValueError as error:
            raise ShapeError(
                f"reshape of {x.shape} to {self.new_shape}",
                cause="the number of elements differs",
                fix=f"choose sizes whose product is {x.size}, or one of them as -1",
            ) from error

    def backward(self, g: Array) -> Array:
        return g.reshape(self.shape)


class Transpose(Function):
    """The axes in another order, or reversed."""

    def __init__(self, axes: tuple[int, ...] | None) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        axes = tuple(range(x.ndim))[::-1] if self.axes is None else self.axes
        axes = check_axes("transpose", axes, x.ndim)
        if len(axes) != x.ndim:
            raise ShapeError(
                f"transpose of {x.shape} by axes {axes}",
                cause="the axes must be a permutation",
                fix=f"name each of 0 to {x.ndim - 1} once",
            )
        self.inverse = sorted(range(x.ndim), key=lambda i: axes[i])
        return x.transpose(axes)

    def backward(self, g: Array) -> Array:
        return g.transpose(self.inverse)


class Concat(Function):
    """y = the inputs one after the other along an axis: each gets its part of g back."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *arrays: Array) -> Array:
        self.sizes = [array.shape[self.axis] for array in arrays]
        return self.xp.concatenate(arrays, axis=self.axis)

    def backward(self, g: Array) -> tuple[Array, ...]:
        ends = np.cumsum(self.sizes).tolist()
        before = (slice(None),) * self.axis
        return tuple(
            g[(*before, slice(end - size, end))] for end, size in zip(ends, self.sizes, strict=True)
        )


class GetItem(Function):
    """y = x[index], by slices, integers or an integer array: g goes back to where y came from."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        try:
            return x[self.index]
        except (IndexError, ValueError) as error:
            raise ShapeError(
                f"index {self.index!r} into a tensor of shape {x.shape}",
                cause=str(error),
                fix="index within the shape",
            ) from error

    def backward(self, g: Array) -> Array:
        grad_x = self.xp.zeros(self.shape, g.dtype)
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        basic = (int, np.integer, slice)
        if all(part is None or part is ... or isinstance(part, basic) for part in parts):
            grad_x[self.index] = g
        else:
            # An index array may name an element twice, and CuPy adds such in no fixed order.
            host = self.backend.to_numpy
            index = tuple(host(part) if self.backend.owns(part) else part for part in parts)
            total = np.zeros(self.shape, g.dtype)
            np.add.at(total, index, host(g))
            grad_x = self.backend.asarray(total)
        return grad_x


def reshape(x: Operand, *shape: int | Sequence[int]) -> Tensor:
    """The same elements in another shape: reshape(x, 2, -1) or reshape(x, (2, -1))."""
    return Reshape(_flat_ints("reshape", shape))(x)


def transpose(x: Operand, *axes: int | Sequence[int]) -> Tensor:
    """The axes in the order given, or reversed: transpose(x), transpose(x, 1, 0)."""
    return Transpose(_flat_ints("transpose", axes) or None)(x)


def concat(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """The tensors of a list one after the other along `axis`.

    Raises:
        ShapeError: their sizes along another axis differ.
        DtypeError: their dtypes differ.
        UsageError: it is no list, or an empty one.
    """
    parts = _same_dtype("concat", tensors)
    axis = check_axis("concat", axis, parts[0].ndim)
    kept = [part.shape[:axis] + part.shape[axis + 1 :] for part in parts]
    if any(part.ndim != parts[0].ndim for part in parts) or len(set(kept)) > 1:
        raise ShapeError(
            f"concat of shapes {', '.join(str(part.shape) for part in parts)} along axis {axis}",
            cause="all other axes must have the same size in each of them",
            fix="reshape them, or use stack for a new axis",
        )
    return Concat(axis)(*parts)


def stack(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """The tensors of a list side by side along a new axis; all of one shape.

    Raises:
        ShapeError: their shapes differ.
        DtypeError: their dtypes differ.
        UsageError: it is no list, or an empty one.
    """
    parts = _same_dtype("stack", tensors)
    shape = parts[0].shape
    if any(part.shape != shape for part in parts):
        raise ShapeError(
            f"stack of shapes {', '.join(str(part.shape) for part in parts)}",
            cause="all of them must have the same shape",
            fix="reshape them, or use concat along an axis that they have",
        )
    axis = check_axis("stack", axis, len(shape) + 1)
    return Concat(axis)(*(reshape(part, *shape[:axis], 1, *shape[axis:]) for part in parts))


def _same_dtype(label: str, tensors: Sequence[Operand]) -> tuple[Tensor, ...]:
    """The members of a list as Tensors; those that have a dtype must have the same."""
    if not isinstance(tensors, (list, tuple)) or not tensors:
        raise UsageError(
            f"{label} of a {type(tensors).__name__}",
            cause="it takes the tensors as one list, which is not empty",
            fix=f"write {label}([a, b], axis=0)",
        )
    given = [native(value) for value in tensors]
    dtypes = {value.dtype for value in given if is_array(value)}
    if len(dtypes) > 1:
        raise DtypeError(
            f"{label} of {' and '.join(sorted(map(str, dtypes)))}",
            cause="the gradient of each operand must have its dtype, so all must have one",
            fix="convert the arrays with .astype(numpy.float32)",
        )
    return as_tensors(given)


def getitem(x: Operand, index: Any) -> Tensor:
    """x[index]; an index may hold integer or bool tensors and arrays."""
    return GetItem(_plain_index(index))(x)


def _plain_index(index: Any) -> Any:
    """An index with the arrays of the tensors in it."""
    if isinstance(index, tuple):
        return tuple(_plain_index(part) for part in index)
    return index.data if isinstance(index, Tensor) else index


def _flat_ints(label: str, values: Sequence[int | Sequence[int]]) -> tuple[int, ...]:
    """Integers that were given one by one, or as one sequence or array."""
    found: Any = values[0] if len(values) == 1 and is_several(values[0]) else values
    try:
        return tuple(operator.index(value) for value in found)
    except TypeError:
        raise ShapeError(
            f"{label} to {', '.join(map(repr, values))}",
            cause="sizes and axes are integers",
            fix=f"write x.{label}(2, 3), or x.{label}((2, 3))",
        ) from None
