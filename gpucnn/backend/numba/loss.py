"""Softmax cross-entropy, compiled; float32."""

from __future__ import annotations

import math

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu import loss as cpu
from gpucnn.backend.numba.jit import entry, flat


class Loss(cpu.Loss):
    """Softmax cross-entropy of a batch, by one thread: it has few elements."""

    def _softmax_cross_entropy_forward(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        if logits.dtype != np.float32:
            return super()._softmax_cross_entropy_forward(logits, labels)
        losses = np.empty(len(logits), np.float32)
        probabilities = np.empty(logits.shape, np.float32)
        rows = flat(logits).reshape(logits.shape)
        _cross_entropy(rows, flat(labels, np.int64), losses, probabilities)
        return losses, probabilities

    def _softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array:
        if probabilities.dtype != np.float32:
            return super()._softmax_cross_entropy_backward(probabilities, labels, grad)
        grad_logits = np.empty(probabilities.shape, np.float32)
        rows = flat(probabilities).reshape(probabilities.shape)
        _cross_entropy_backward(rows, flat(labels, np.int64), flat(grad), grad_logits)
        return grad_logits


@entry
def _cross_entropy(logits, labels, losses, probabilities):
    N, classes = logits.shape
    for n in range(N):
        row, out = logits[n], probabilities[n]
        largest = np.float32(-np.inf)
        for value in row:
            largest = value if value > largest else largest
        total = np.float32(0)
        for c in range(classes):
            out[c] = math.exp(row[c] - largest)
            total += out[c]
        for c in range(classes):
            out[c] /= total
        label = labels[n]
        if 0 <= label < classes:
            losses[n] = np.float32(math.log(total)) - (row[label] - largest)
        else:
            losses[n] = np.nan


@entry
def _cross_entropy_backward(probabilities, labels, grad, grad_logits):
    N, classes = probabilities.shape
    for n in range(N):
        label = labels[n]
        for c in range(classes):
            grad_logits[n, c] = probabilities[n, c] * grad[n]
        if 0 <= label < classes:
            grad_logits[n, label] = (probabilities[n, label] - np.float32(1)) * grad[n]
        else:
            grad_logits[n, :] = np.nan
