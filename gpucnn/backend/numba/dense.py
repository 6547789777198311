"""The product of one row and a matrix, compiled: a dense layer for one image; float32.

Reading the matrix takes all the time. It is prefetched, which BLAS leaves to the CPU: the 4.7 MB of
a layer of `cnn` take 39 us instead of 53, and two threads would take longer.
"""

from __future__ import annotations

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu import dense as cpu
from gpucnn.backend.numba.jit import entry, flat
from gpucnn.backend.numba.llvm.register_tiles import row_by_columns
from gpucnn.backend.numba.llvm.vectors import LANES

_BYTES = 8 << 20  # several threads read a larger matrix faster


class Dense(cpu.Dense):
    """A product with one row; NumPy computes the others."""

    def _matmul(self, a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
        if a.dtype != np.float32 or not is_row_by_matrix(a, b):
            return super()._matmul(a, b, bias, activation)
        c = np.empty((1, b.shape[1]), np.float32)
        start = np.zeros(b.shape[1], np.float32) if bias is None else flat(bias)
        _row_by_matrix(
            flat(a), flat(b), start, np.float32(0 if activation else -np.inf), c.reshape(-1)
        )
        return c


def is_row_by_matrix(a: Array, b: Array) -> bool:
    """Whether this file computes the product."""
    return len(a) == 1 and b.nbytes <= _BYTES and b.flags.c_contiguous


@entry
def _row_by_matrix(a, b, start, least, out):
    K, N = a.size, out.size
    n = 0
    while N - n >= 8 * LANES:
        row_by_columns(8, a, b, n, N, K, start, least, out)
        n += 8 * LANES
    while N - n >= LANES:
        row_by_columns(1, a, b, n, N, K, start, least, out)
        n += LANES
    if n < N and N >= LANES:  # the last vector overlaps the one before: same results again
        row_by_columns(1, a, b, N - LANES, N, K, start, least, out)
    elif n < N:
        for i in range(N):
            out[i] = start[i]
        for k in range(K):
            for i in range(N):
                out[i] += a[k] * b[k * N + i]
        for i in range(N):
            out[i] = least if out[i] < least else out[i]
