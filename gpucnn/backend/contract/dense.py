"""The matrix product of a dense layer."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_activation, check_shape
from gpucnn.errors import ShapeError


class Dense(Checks):
    """Weights are (in, out)."""

    def matmul(
        self,
        a: Array,
        b: Array,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
        bias: Array | None = None,
        activation: str | None = None,
    ) -> Array:
        """A product of two matrices plus bias, then the activation: see `gpucnn.ops.matmul`."""
        self._check_floats(a=a, b=b, bias=bias)
        check_activation(activation)
        if a.ndim != 2 or b.ndim != 2:
            raise ShapeError(
                f"matmul of {a.shape} and {b.shape}",
                cause="both must be matrices",
                fix="flatten images to (N, C*H*W) first, or reshape",
            )
        rows, inner_a = a.shape[::-1] if transpose_a else a.shape
        inner_b, columns = b.shape[::-1] if transpose_b else b.shape
        if inner_a != inner_b:
            raise ShapeError(
                f"matmul of {(rows, inner_a)} and {(inner_b, columns)}",
                cause=f"the inner sizes differ: {inner_a} and {inner_b}",
                fix=f"give a second matrix with {inner_a} rows, or an input of {inner_b} features",
            )
        if bias is not None:
            check_shape("bias", bias, (columns,))
        return self._matmul(a.T if transpose_a else a, b.T if transpose_b else b, bias, activation)

    @abstractmethod
    def _matmul(self, a: Array, b: Array, bias: Array | None, activation: str | None) -> Array: ...
