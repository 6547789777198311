"""Dropout as kernel launches. See kernels/dropout.cu."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.cuda.launches import THREADS, Launches, flat_grid
from gpucnn.random import keep_threshold


class Dropout(Launches, contract.Dropout):
    def _dropout_forward(
        self, x: Array, rate: float, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]:
        y = self.launcher.empty(x.shape, x.dtype)
        mask = self.launcher.empty(x.shape, np.uint8)
        self.launcher.launch(
            "dropout", "dropout_forward", flat_grid(x.size), THREADS,
            self._contiguous(x), y, mask, x.size, *key, self._count("step", step),
            keep_threshold(rate), 1 / (1 - rate),
        )  # fmt: skip
        return y, mask

    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        grad_x = self.launcher.empty(grad_y.shape, grad_y.dtype)
        self.launcher.launch(
            "dropout", "dropout_backward", flat_grid(grad_y.size), THREADS,
            self._contiguous(grad_y), self._contiguous(mask), grad_x, grad_y.size, 1 / (1 - rate),
        )  # fmt: skip
        return grad_x
