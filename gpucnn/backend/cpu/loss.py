"""The cross-entropy of a softmax in NumPy."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.arrays import valid_indices


class Loss(contract.Loss):
    def _softmax_cross_entropy_forward(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        with self.quiet_device():
            shifted = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
            exponentials = np.exp(shifted)
            total = exponentials.sum(axis=1, keepdims=True)
            valid, index = valid_indices(labels, logits.shape[1])
            picked = np.take_along_axis(shifted, index[:, None], axis=1)[:, 0]
            losses = np.where(valid, np.log(total[:, 0]) - picked, np.nan)
            return losses.astype(logits.dtype, copy=False), exponentials / total

    def _softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array:
        with self.quiet_device():
            valid, index = valid_indices(labels, probabilities.shape[1])
            grad_logits = np.array(probabilities)
            grad_logits[np.arange(index.size), index] -= 1
            grad_logits *= grad[:, None]
            grad_logits[~valid] = np.nan
            return grad_logits
