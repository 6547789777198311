"""Batch norm."""

from __future__ import annotations

import math
from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_channels, check_shape
from gpucnn.errors import ShapeError


class Normalization(Checks):
    """Activations are (N, C) or (N, C, ...)."""

    def batch_norm_forward(
        self, x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5
    ) -> tuple[Array, Array, Array]:
        """y = gamma * (x - mean) / sqrt(var + eps) + beta, by channel (Ioffe and Szegedy 2015).

        Args:
            x: (N, C) or (N, C, ...), with at least one element a channel.
            gamma, beta: (C,).
            eps: added to the variance.

        Returns:
            y: shape of x; mean: (C,); var: (C,), biased (divided by the count).
        """
        self._check_floats(x=x, gamma=gamma, beta=beta)
        self._check_batch_norm(x, gamma=gamma, beta=beta)
        return self._batch_norm_forward(x, gamma, beta, eps)

    @abstractmethod
    def _batch_norm_forward(
        self, x: Array, gamma: Array, beta: Array, eps: float
    ) -> tuple[Array, Array, Array]: ...

    def batch_norm_backward(
        self,
        grad_y: Array,
        x: Array,
        gamma: Array,
        mean: Array,
        var: Array,
        *,
        eps: float = 1e-5,
    ) -> tuple[Array, Array, Array]:
        """Gradients of batch norm: xhat = (x - mean) / sqrt(var + eps), M elements a channel.

            grad_beta  = sum grad_y
            grad_gamma = sum grad_y * xhat
            grad_x     = gamma / sqrt(var + eps) * (grad_y - grad_beta / M - xhat * grad_gamma / M)

        Args:
            grad_y: shape of x.
            x, gamma: as they were.
            mean, var: (C,), which the forward call returned.
            eps: as it was.

        Returns:
            grad_x: shape of x; grad_gamma: (C,); grad_beta: (C,).
        """
        self._check_floats(grad_y=grad_y, x=x, gamma=gamma, mean=mean, var=var)
        self._check_batch_norm(x, gamma=gamma, mean=mean, var=var)
        check_shape("grad_y", grad_y, x.shape)
        return self._batch_norm_backward(grad_y, x, gamma, mean, var, eps)

    @abstractmethod
    def _batch_norm_backward(
        self, grad_y: Array, x: Array, gamma: Array, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]: ...

    def _check_batch_norm(self, x: Array, **per_channel: Array) -> None:
        check_channels("x", x)
        for name, array in per_channel.items():
            check_shape(name, array, (x.shape[1],))
        if math.prod(x.shape) == 0:
            raise ShapeError(
                f"batch norm of an input of shape {x.shape}",
                cause="the mean of no elements is undefined",
                fix="give at least one image, or use the running statistics (evaluation mode)",
            )
