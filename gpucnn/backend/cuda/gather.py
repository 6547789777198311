"""A batch gathered from a data set by a kernel launch. See kernels/gather.cu."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cuda.launches import PACK, THREADS, Launches, grid

_WORD = 4  # bytes


class Gather(Launches, contract.Gather):
    def _gather(self, dataset: Array, indices: Array, scale: float, offset: float) -> Array:
        M, *row = dataset.shape
        B, P = len(indices), math.prod(row)
        batch = self.launcher.empty((B, *row), np.float32)
        self.launcher.launch(
            "gather", "gather", grid(B * -(-P // PACK)), THREADS,
            self._contiguous(dataset), self._int32(indices, M), batch, M, B, P, scale, offset,
        )  # fmt: skip
        return batch

    def _gather_rows(self, rows: Array, indices: Array) -> Array:
        M, *row = rows.shape
        B, P = len(indices), math.prod(row) * rows.dtype.itemsize // _WORD
        batch = self.launcher.empty((B, *row), rows.dtype)
        words, out = self._contiguous(rows).view(np.uint32), batch.view(np.uint32)
        self.launcher.launch(
            "gather", "gather_rows", grid(B * P), THREADS,
            words, self._int32(indices, M), out, M, B, P,
        )  # fmt: skip
        return batch
