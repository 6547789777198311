"""Batch norm as kernel launches. See kernels/batch_norm.cu."""

from __future__ import annotations

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cuda.launches import THREADS, WARP, Launches, flat_grid, grid


class Normalization(Launches, contract.Normalization):
    def _batch_norm_forward(
        self, x: Array, gamma: Array, beta: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        launch, empty = self.launcher.launch, self.launcher.empty
        r, x = self._reduction(x), self._contiguous(x)
        y = empty(x.shape, x.dtype)
        mean, var = (empty((r.C,), x.dtype) for _ in range(2))
        partial = empty((3, r.C, r.parts), x.dtype)
        launch(
            "batch_norm", "batch_norm_forward_partial", r.grid, THREADS, x, partial, *r.sizes
        )  # fmt: skip
        launch(
            "batch_norm", "batch_norm_forward_channels", grid(WARP * r.C), THREADS,
            partial, mean, var, r.C, r.parts,
        )  # fmt: skip
        launch(
            "batch_norm", "batch_norm_forward_output", flat_grid(x.size), THREADS,
            x, self._contiguous(gamma), self._contiguous(beta), mean, var, y,
            x.size, r.C, r.P, eps,
        )  # fmt: skip
        return y, mean, var

    def _batch_norm_backward(
        self, grad_y: Array, x: Array, gamma: Array, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        launch, empty = self.launcher.launch, self.launcher.empty
        r, grad_y, x = self._reduction(x), self._contiguous(grad_y), self._contiguous(x)
        gamma, mean, var = (self._contiguous(array) for array in (gamma, mean, var))
        grad_x = empty(x.shape, x.dtype)
        grad_gamma, grad_beta = (empty((r.C,), x.dtype) for _ in range(2))
        partial = empty((2, r.C, r.parts), x.dtype)
        launch(
            "batch_norm", "batch_norm_backward_partial", r.grid, THREADS,
            grad_y, x, mean, partial, *r.sizes,
        )  # fmt: skip
        launch(
            "batch_norm", "batch_norm_backward_channels", grid(WARP * r.C), THREADS,
            partial, var, grad_gamma, grad_beta, r.C, r.parts, eps,
        )  # fmt: skip
        launch(
            "batch_norm", "batch_norm_backward_output", flat_grid(x.size), THREADS,
            grad_y, x, gamma, mean, var, grad_gamma, grad_beta, grad_x,
            x.size, r.C, r.P, r.N * r.P, eps,
        )  # fmt: skip
        return grad_x, grad_gamma, grad_beta
