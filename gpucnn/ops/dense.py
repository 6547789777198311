"""The product of two matrices, for dense layers."""

from __future__ import annotations

from gpucnn.backend.contract import Array
from gpucnn.ops.dispatch import backend_of, primitive


@primitive
def matmul(
    a: Array,
    b: Array,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    bias: Array | None = None,
    activation: str | None = None,
) -> Array:
    """c = activation(op(a) @ op(b) + bias), where op transposes if the option says so.

    Args:
        a: (M, K), or (K, M) with transpose_a.
        b: (K, N), or (N, K) with transpose_b.
        bias: (N,) or None, added to every row.
        activation: None, or "relu" for max(c, 0).

    Returns:
        c: (M, N).
    """
    backend = backend_of("matmul", bias, a=a, b=b)
    return backend.matmul(
        a, b, transpose_a=transpose_a, transpose_b=transpose_b, bias=bias, activation=activation
    )
