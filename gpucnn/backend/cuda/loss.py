"""The cross-entropy of a softmax as kernel launches. See kernels/softmax_cross_entropy.cu."""

from __future__ import annotations

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cuda.launches import THREADS, WARP, Launches, grid


class Loss(Launches, contract.Loss):
    def _softmax_cross_entropy_forward(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        N, K = logits.shape
        losses = self.launcher.empty((N,), logits.dtype)
        probabilities = self.launcher.empty((N, K), logits.dtype)
        self.launcher.launch(
            "softmax_cross_entropy", "softmax_cross_entropy_forward", grid(WARP * N), THREADS,
            self._contiguous(logits), self._int32(labels, K), losses, probabilities, N, K,
        )  # fmt: skip
        return losses, probabilities

    def _softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array:
        N, K = probabilities.shape
        grad_logits = self.launcher.empty((N, K), probabilities.dtype)
        self.launcher.launch(
            "softmax_cross_entropy", "softmax_cross_entropy_backward", grid(N * K), THREADS,
            self._contiguous(probabilities), self._int32(labels, K), self._contiguous(grad),
            grad_logits, N, K,
        )  # fmt: skip
        return grad_logits
