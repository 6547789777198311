"""The formulas of Keras's losses of targets y and outputs p, Tensors (N, K), with their gradients.

Each gives (N, K) or (N,), whose mean is the loss of the batch.
"""

from __future__ import annotations

import math
from typing import Any

from gpucnn import functions as F
from gpucnn.autograd import Tensor

_EPSILON = 1e-7  # Keras's


def absolute_error(y: Tensor, p: Tensor) -> Tensor:
    """abs(y - p)."""
    return abs(y - p)


def huber(y: Tensor, p: Tensor, delta: float) -> Tensor:
    """e^2 / 2 for e = abs(y - p) up to delta, then the line delta * (e - delta / 2)."""
    error = abs(y - p)
    near: Any = F.minimum(error, delta)
    return near * (error - 0.5 * near)


def log_cosh(y: Tensor, p: Tensor) -> Tensor:
    """log(cosh(e)) = e + log(1 + exp(-2 e)) - log(2) for e = abs(y - p), which cannot overflow."""
    error = abs(y - p)
    return error + F.log(1 + F.exp(-2 * error)) - math.log(2)


def kl_divergence(y: Tensor, p: Tensor) -> Tensor:
    """The sum of y * log(y / p) over the classes."""
    y, p = F.clip(y, _EPSILON, 1), F.clip(p, _EPSILON, 1)
    return F.sum(y * (F.log(y) - F.log(p)), axis=-1)


def poisson(y: Tensor, p: Tensor) -> Tensor:
    """p - y * log(p), which is NaN for an output p below 0."""
    return p - y * F.log(p + _EPSILON)


def cosine_similarity(y: Tensor, p: Tensor) -> Tensor:
    """The cosine of the angle between y and p, times -1."""
    return -F.sum(_normalized(y) * _normalized(p), axis=-1)


def _normalized(x: Tensor) -> Tensor:
    return x / F.sqrt(F.maximum(F.sum(x * x, axis=-1, keepdims=True), 1e-12))
