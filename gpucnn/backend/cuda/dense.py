"""The matrix product as kernel launches. See kernels/matmul.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cuda.launches import THREADS, Launches, grid
from gpucnn.backend.cuda.tiles import (
    SHARED_TILE,
    add_parts,
    is_aligned,
    plan,
    stored_at_once,
    workspace,
)


class Dense(Launches, contract.Dense):
    def _matmul(self, a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
        bias = self._contiguous(bias)
        (M, K), N = a.shape, b.shape[1]
        with self.quiet_device():  # a copy of what has strides is made on this device
            a, transpose_a = _stored(self.xp, a)
            b, transpose_b = _stored(self.xp, b)
        transposes = {"TRANSPOSE_A": int(transpose_a), "TRANSPOSE_B": int(transpose_b)}
        relu = int(activation == "relu")
        possible = ("naive", "shared") if a.dtype == np.float64 else ("tiled", "naive", "shared")
        algorithm = self.launcher.choose_algorithm(possible, "matrix product", a.dtype)
        if algorithm != "tiled":
            c = self.launcher.empty((M, N), a.dtype)
            blocks, threads = grid(c.size), (THREADS, 1)
            if algorithm == "shared":
                blocks = -(-M // SHARED_TILE) * -(-N // SHARED_TILE)
                threads = SHARED_TILE, SHARED_TILE
            self.launcher.launch(
                "matmul", f"matmul_{algorithm}", blocks, threads,
                a, b, bias, c, M, N, K, relu, **transposes,
            )  # fmt: skip
            return c
        p = plan(M, N, K, 1, self.launcher.multiprocessors)
        vector = all(m.shape[1] % 4 == 0 and is_aligned(self.launcher, m) for m in (a, b))
        partial = workspace(self.launcher, p.parts, (M, N), a.dtype)
        whole = p.parts == 1
        self.launcher.launch(
            "matmul", "matmul_tiled", (-(-M // p.BM) * -(-N // p.BN), 1, p.parts), p.threads,
            a, b, bias if whole else None, partial, M, N, K, relu * whole, p.depth,
            **p.constants, **transposes, VECTOR=int(vector),
            VECTOR_OUT=stored_at_once(self.launcher, partial, N),
        )  # fmt: skip
        return add_parts(self.launcher, partial, p.parts, (M, N), bias=bias, activation=activation)


def _stored(xp: Any, matrix: Array) -> tuple[Array, bool]:
    """The matrix as it lies in memory, and whether that is its transpose."""
    if not matrix.flags.c_contiguous and matrix.T.flags.c_contiguous:
        return matrix.T, True
    return xp.ascontiguousarray(matrix), False
