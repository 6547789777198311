"""The matrix product by BLAS, cut into chunks along the longer side of the result."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.chunks import PARTS, blocks, sum_in_order
from gpucnn.backend.cpu.parallel import parallel

_FLOPS = 1 << 23  # of a chunk of a matrix product: less is not worth another thread
_ROW_BYTES = 1 << 21  # of a chunk of the matrix that one row is multiplied with


class Dense(contract.Dense):
    def _matmul(self, a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
        rows, columns = a.shape[0], b.shape[1]
        if rows == 1 and b.nbytes >= 2 * _ROW_BYTES and b.flags.c_contiguous:
            return _row_times_matrix(a, b, bias, activation)
        c = np.empty((rows, columns), a.dtype)
        # BLAS packs the other operand anew for each chunk, which costs as much of its time as a
        # chunk is narrow.
        by_rows = rows > columns
        size = max(rows, columns)
        chunks = min(2 * PARTS, 2 * rows * columns * a.shape[1] // _FLOPS, size // 64)
        chunks = min(chunks, max(4, size // 128)) or 1

        def task(chunk: slice) -> None:
            if by_rows:
                out = np.matmul(a[chunk], b, out=c[chunk])
            else:
                out = np.matmul(a, b[:, chunk], out=c[:, chunk])
            if bias is not None:
                out += bias if by_rows else bias[chunk]
            if activation == "relu":
                np.maximum(out, 0, out=out)

        parallel(task, blocks(size, -(-size // chunks) or 1))
        return c


def _row_times_matrix(a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
    """For one image reading the matrix is all the work: each chunk reads some of its rows."""
    chunks = blocks(len(b), -(-len(b) // min(PARTS, b.nbytes // _ROW_BYTES)))
    # `matmul` would hold the interpreter's lock for one row; `dot` does not.
    partials = parallel(lambda chunk: np.dot(a[:, chunk], b[chunk]), chunks)
    c = sum_in_order(partials, (1, b.shape[1]), a.dtype)
    if bias is not None:
        c += bias
    return np.maximum(c, 0, out=c) if activation == "relu" else c
