"""The gradient of the ReLU as a kernel launch. See kernels/relu.cu."""

from __future__ import annotations

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cuda.launches import THREADS, Launches, flat_grid


class Activation(Launches, contract.Activation):
    def _relu_backward(self, grad_y: Array, y: Array) -> Array:
        grad_x = self.launcher.empty(y.shape, y.dtype)
        self.launcher.launch(
            "relu", "relu_backward", flat_grid(y.size), THREADS,
            self._contiguous(grad_y), self._contiguous(y), grad_x, y.size,
        )  # fmt: skip
        return grad_x
