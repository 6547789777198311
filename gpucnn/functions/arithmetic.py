"""Arithmetic, reductions and changes of shape.

Below each forward stands its backward. `g` is the gradient of the loss by the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn.autograd import Axis, Function, Operand, Tensor
from gpucnn.backend.base import Array
from gpucnn.errors import DtypeError, ShapeError


def _unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sums a gradient over the axes along which an operand of `shape` was repeated."""
    if grad.shape == shape:
        return grad
    leading = grad.ndim - len(shape)
    repeated = tuple(i + leading for i, n in enumerate(shape) if n == 1 != grad.shape[i + leading])
    return grad.sum(axis=(*range(leading), *repeated), keepdims=True).reshape(shape)


class _Elementwise(Function):
    """Of two operands, which NumPy's rules broadcast against each other."""

    def __call__(self, *inputs: Operand) -> Tensor:
        shapes = [getattr(value, "shape", ()) for value in inputs]
        if not _broadcastable(*shapes):
            raise ShapeError(
                f"{self.label} of shapes {shapes[0]} and {shapes[1]}",
                cause="they cannot be broadcast: sizes must agree from the last axis on, or be 1",
                fix="reshape one of them",
            )
        dtypes = [str(value.dtype) for value in inputs if hasattr(value, "dtype")]
        if len(set(dtypes)) > 1:
            raise DtypeError(
                f"{self.label} of {dtypes[0]} and {dtypes[1]}",
                cause="the gradient of each operand must have its dtype, so both must have one",
                fix="convert one with .astype(numpy.float32)",
            )
        return super().__call__(*inputs)


def _broadcastable(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))


class Add(_Elementwise):
    """y = a + b."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        return a + b

    def backward(self, g: Array) -> tuple[Array, Array]:
        return _unbroadcast(g, self.shapes[0]), _unbroadcast(g, self.shapes[1])


class Sub(_Elementwise):
    """y = a - b."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        return a - b

    def backward(self, g: Array) -> tuple[Array, Array | None]:
        grad_b = -_unbroadcast(g, self.shapes[1]) if self.needs_input_grad[1] else None
        return _unbroadcast(g, self.shapes[0]), grad_b


class Mul(_Elementwise):
    """y = a * b: dy/da = b, dy/db = a."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save(a, b)
        return a * b

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved
        need_a, need_b = self.needs_input_grad
        return (
            _unbroadcast(g * b, a.shape) if need_a else None,
            _unbroadcast(g * a, b.shape) if need_b else None,
        )


class Div(_Elementwise):
    """y = a / b: dy/da = 1 / b, dy/db = -a / b**2."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save(a, b)
        return a / b

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved
        need_a, need_b = self.needs_input_grad
        return (
            _unbroadcast(g / b, a.shape) if need_a else None,
            _unbroadcast(-g * a / (b * b), b.shape) if need_b else None,
        )


class Neg(Function):
    """y = -x."""

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, g: Array) -> Array:
        return -g


class Power(Function):
    """y = x**p for a constant p: dy/dx = p * x**(p - 1)."""

    def __init__(self, exponent: float) -> None:
        self.exponent = exponent

    def forward(self, x: Array) -> Array:
        self.save(x)
        return x**self.exponent

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        if self.exponent == 0:
            return self.xp.zeros_like(g)  # 0 * 0**-1 would be NaN
        return g * self.exponent * x ** (self.exponent - 1)


class MatMul(Function):
    """y = a @ b of matrices (M, K) and (K, N): dL/da = g @ b^T, dL/db = a^T @ g."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save(a, b)
        return self.backend.matmul(a, b)

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved
        need_a, need_b = self.needs_input_grad
        return (
            self.backend.matmul(g, b, transpose_b=True) if need_a else None,
            self.backend.matmul(a, g, transpose_a=True) if need_b else None,
        )


class Exp(Function):
    """y = exp(x): dy/dx = y."""

    def forward(self, x: Array) -> Array:
        y = self.xp.exp(x)
        self.save(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved
        return g * y


class Log(Function):
    """y = log(x): dy/dx = 1 / x."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.xp.log(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        return g / x


class Sqrt(Function):
    """y = sqrt(x): dy/dx = 1 / (2 y)."""

    def forward(self, x: Array) -> Array:
        y = self.xp.sqrt(x)
        self.save(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved
        return g / (2 * y)


class Sin(Function):
    """y = sin(x): dy/dx = cos(x)."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.xp.sin(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        return g * self.xp.cos(x)


class Cos(Function):
    """y = cos(x): dy/dx = -sin(x)."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.xp.cos(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        return -g * self.xp.sin(x)


def check_axes(label: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes counted from 0, all of them for None; `ShapeError` if there is no such axis."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    inside = all(-ndim <= a < ndim for a in axes)
    if not inside or len({a % ndim for a in axes}) < len(axes):
        raise ShapeError(
            f"{label} over axis {axis} of a tensor of {ndim} axes",
            cause="an axis is named twice" if inside else "there is no such axis",
            fix=f"choose from {-ndim} to {ndim - 1}" if ndim else "reshape it first",
        )
    return tuple(a % ndim for a in axes)


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

    def forward(self, x: Array) -> Array:
        y = x.max(axis=self._axes(x.ndim), keepdims=self.keepdims)
        self.save(x, y)
        return y

    def backward(self, g: Array) -> Array:
        x, y = self.saved
        hit = (x == self._expand(y, x.shape)).astype(x.dtype)
        return hit * (self._expand(g, x.shape) / hit.sum(axis=self._axes(x.ndim), keepdims=True))


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
        if sorted(a % x.ndim for a in axes) != list(range(x.ndim)):
            raise ShapeError(
                f"transpose of {x.shape} by axes {axes}",
                cause="the axes must be a permutation",
                fix=f"name each of 0 to {x.ndim - 1} once",
            )
        self.inverse = sorted(range(x.ndim), key=lambda i: axes[i] % x.ndim)
        return x.transpose(axes)

    def backward(self, g: Array) -> Array:
        return g.transpose(self.inverse)


class GetItem(Function):
    """y = x[index], by slices, integers or an integer array: g goes back to where y came from."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        try:
            return x[self.index]
        except IndexError as error:
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


def add(a: Operand, b: Operand) -> Tensor:
    """a + b, broadcast."""
    return Add()(a, b)


def sub(a: Operand, b: Operand) -> Tensor:
    """a - b, broadcast."""
    return Sub()(a, b)


def mul(a: Operand, b: Operand) -> Tensor:
    """a * b, element by element, broadcast."""
    return Mul()(a, b)


def div(a: Operand, b: Operand) -> Tensor:
    """a / b, element by element, broadcast."""
    return Div()(a, b)


def neg(x: Operand) -> Tensor:
    """-x."""
    return Neg()(x)


def power(x: Operand, exponent: float) -> Tensor:
    """x**exponent for a constant exponent."""
    return Power(exponent)(x)


def matmul(a: Operand, b: Operand) -> Tensor:
    """Matrix product (M, K) @ (K, N) -> (M, N)."""
    return MatMul()(a, b)


def exp(x: Operand) -> Tensor:
    """e**x."""
    return Exp()(x)


def log(x: Operand) -> Tensor:
    """Natural logarithm; -inf at 0 and NaN below, as NumPy has it."""
    return Log()(x)


def sqrt(x: Operand) -> Tensor:
    """Square root."""
    return Sqrt()(x)


def sin(x: Operand) -> Tensor:
    """Sine of radians."""
    return Sin()(x)


def cos(x: Operand) -> Tensor:
    """Cosine of radians."""
    return Cos()(x)


def sum(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over `axis`, an int, several, or None for all."""
    return Sum(axis, keepdims)(x)


def mean(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over `axis`, an int, several, or None for all."""
    return Mean(axis, keepdims)(x)


def max(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Maximum over `axis`; equal maxima share the gradient."""
    return Max(axis, keepdims)(x)


def reshape(x: Operand, *shape: int | Sequence[int]) -> Tensor:
    """The same elements in another shape: reshape(x, 2, -1) or reshape(x, (2, -1))."""
    return Reshape(_flat_ints(shape))(x)


def transpose(x: Operand, *axes: int | Sequence[int]) -> Tensor:
    """The axes in the order given, or reversed: transpose(x), transpose(x, 1, 0)."""
    return Transpose(_flat_ints(axes) or None)(x)


def getitem(x: Operand, index: Any) -> Tensor:
    """x[index]."""
    return GetItem(index)(x)


def _flat_ints(values: Sequence[int | Sequence[int]]) -> tuple[int, ...]:
    if len(values) == 1 and isinstance(values[0], Sequence):
        return tuple(values[0])
    return tuple(values)  # type: ignore[arg-type]
