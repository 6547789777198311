"""Arithmetic of two arrays: element by element, and the matrix product.

Below each forward stands its backward. `g` is the gradient of the loss by the result.
"""

from __future__ import annotations

from gpucnn.autograd import Function, Operand, Tensor, as_tensors
from gpucnn.backend.contract import Array
from gpucnn.errors import DtypeError, ShapeError
from gpucnn.interchange import native
from gpucnn.operands import is_array


def _unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sums a gradient over the axes along which an operand of `shape` was repeated."""
    if grad.shape == shape:
        return grad
    leading = grad.ndim - len(shape)
    repeated = tuple(i + leading for i, n in enumerate(shape) if n == 1 != grad.shape[i + leading])
    return grad.sum(axis=(*range(leading), *repeated), keepdims=True).reshape(shape)


class _Elementwise(Function):
    """A Function of two operands, broadcast by NumPy's rules."""

    def __call__(self, *inputs: Operand) -> Tensor:
        given = [native(value) for value in inputs]
        tensors = as_tensors(given)
        dtypes = [value.dtype for value in given if is_array(value)]
        if len(set(dtypes)) > 1:
            raise DtypeError(
                f"{self.label} of {dtypes[0]} and {dtypes[1]}",
                cause="the gradient of each operand must have its dtype, so both must have one",
                fix="convert one of the arrays with .astype(numpy.float32)",
            )
        check_broadcast(self.label, *[tensor.shape for tensor in tensors])
        return super().__call__(*tensors)


def check_broadcast(label: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """`ShapeError` if two shapes do not broadcast against each other."""
    if not all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False)):
        raise ShapeError(
            f"{label} of shapes {a} and {b}",
            cause="they cannot be broadcast: sizes must agree from the last axis on, or be 1",
            fix="reshape one of them",
        )


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
        need_a, need_b = self.needs_input_grad
        self.shapes = a.shape, b.shape
        self.save(a if need_b else None, b if need_a else None)
        return a * b

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved
        return (
            None if b is None else _unbroadcast(g * b, self.shapes[0]),
            None if a is None else _unbroadcast(g * a, self.shapes[1]),
        )


class Div(_Elementwise):
    """y = a / b: dy/da = 1 / b, dy/db = -a / b**2."""

    def forward(self, a: Array, b: Array) -> Array:
        self.shapes = a.shape, b.shape
        self.save(a if self.needs_input_grad[1] else None, b)
        return a / b

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved
        return (
            _unbroadcast(g / b, self.shapes[0]) if self.needs_input_grad[0] else None,
            None if a is None else _unbroadcast(-g * a / (b * b), self.shapes[1]),
        )


class Maximum(_Elementwise):
    """y = max(a, b): g goes to the larger of the two; equal ones share it evenly."""

    function = "maximum"

    def forward(self, a: Array, b: Array) -> Array:
        y = getattr(self.xp, self.function)(a, b)
        self.save(a, b, y)
        return y

    def backward(self, g: Array) -> tuple[Array | None, ...]:
        *operands, y = self.saved
        where, tie = self.xp.where, operands[0] == operands[1]
        return tuple(
            _unbroadcast(where(tie, g / 2, where(x == y, g, 0)), x.shape) if needed else None
            for x, needed in zip(operands, self.needs_input_grad, strict=True)
        )


class Minimum(Maximum):
    """y = min(a, b): g goes to the smaller of the two; equal ones share it evenly."""

    function = "minimum"


class MatMul(Function):
    """y = a @ b of matrices (M, K) and (K, N): dL/da = g @ b^T, dL/db = a^T @ g.

    A vector (K,) counts as one row on the left and as one column on the right; y lacks that axis.
    """

    def forward(self, a: Array, b: Array) -> Array:
        if a.dtype != b.dtype or a.dtype.kind != "f":
            raise DtypeError(
                f"matmul of {a.dtype} and {b.dtype}",
                cause="both must be float32, or both float64",
                fix="convert the arrays with .astype(numpy.float32); a list gets their dtype",
            )
        self.shapes = a.shape, b.shape
        vectors = a.ndim < 2 or b.ndim < 2
        if vectors:
            a, b = _matrices(a, b)
        need_a, need_b = self.needs_input_grad
        self.save(a if need_b else None, b if need_a else None)
        y = self.backend.matmul(a, b)
        self.product_shape = y.shape
        return y.reshape(self.shapes[0][:-1] + self.shapes[1][1:]) if vectors else y

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved
        g = g.reshape(self.product_shape)
        grad_a = None if b is None else self.backend.matmul(g, b, transpose_b=True)
        grad_b = None if a is None else self.backend.matmul(a, g, transpose_a=True)
        return _shaped(grad_a, self.shapes[0]), _shaped(grad_b, self.shapes[1])


def _matrices(a: Array, b: Array) -> tuple[Array, Array]:
    """Two factors with a vector as a row on the left, as a column on the right."""
    if 0 in (a.ndim, b.ndim) or a.shape[-1] != b.shape[0]:
        raise ShapeError(
            f"matmul of {a.shape} and {b.shape}",
            cause="the last axis of the first must be as long as the first axis of the second",
            fix="transpose or reshape one of them; a number is multiplied with *",
        )
    return a.reshape(1, -1) if a.ndim == 1 else a, b.reshape(-1, 1) if b.ndim == 1 else b


def _shaped(grad: Array | None, shape: tuple[int, ...]) -> Array | None:
    return grad if grad is None or grad.shape == shape else grad.reshape(shape)


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


def maximum(a: Operand, b: Operand) -> Tensor:
    """The larger of a and b, element by element, broadcast; equal ones share the gradient.

    A NaN in one of them gives NaN, and passes no gradient on.
    """
    return Maximum()(a, b)


def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller of a and b, element by element, broadcast; equal ones share the gradient.

    A NaN in one of them gives NaN, and passes no gradient on.
    """
    return Minimum()(a, b)


def matmul(a: Operand, b: Operand) -> Tensor:
    """Matrix product (M, K) @ (K, N) -> (M, N).

    Either may be a vector: (M, K) @ (K,) -> (M,), (K,) @ (K, N) -> (N,), (K,) @ (K,) -> ().
    """
    return MatMul()(a, b)
