"""One row by a matrix, as a dense layer does it for one image; float32.

Reading the matrix is all the work. It is asked for ahead of its use, which BLAS leaves to the CPU:
the 4.7 MB of `cnn`'s layer take 39 us and not 53, and two threads would take longer.
"""

from __future__ import annotations

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.numba.jit import entry, flat
from gpucnn.backend.numba.tile import row_by_columns
from gpucnn.backend.numba.vectors import LANES

_BYTES = 8 << 20  # of a larger matrix several threads are better readers


def can_multiply(a: Array, b: Array) -> bool:
    """Whether it is the product of this file."""
    return len(a) == 1 and b.nbytes <= _BYTES and b.flags.c_contiguous


def row_times_matrix(a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
    """See `Backend.matmul`; float32, what `can_multiply`."""
    c = np.empty((1, b.shape[1]), np.float32)
    start = np.zeros(b.shape[1], np.float32) if bias is None else flat(bias)
    _multiply(flat(a), flat(b), start, np.float32(0 if activation else -np.inf), c.reshape(-1))
    return c


@entry
def _multiply(a, b, start, least, out):
    K, N = a.size, out.size
    n = 0
    while N - n >= 8 * LANES:
        row_by_columns(8, a, b, n, N, K, start, least, out)
        n += 8 * LANES
    while N - n >= LANES:
        row_by_columns(1, a, b, n, N, K, start, least, out)
        n += LANES
    if n < N and N >= LANES:  # the last columns once more: each of them gives the same again
        row_by_columns(1, a, b, N - LANES, N, K, start, least, out)
    elif n < N:
        for i in range(N):
            out[i] = start[i]
        for k in range(K):
            for i in range(N):
                out[i] += a[k] * b[k * N + i]
        for i in range(N):
            out[i] = least if out[i] < least else out[i]
