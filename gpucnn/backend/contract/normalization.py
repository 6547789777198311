"""Batch norm."""

from __future__ import annotations

import math
from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_channels, check_number, check_shape
from gpucnn.errors import ShapeError


class Normalization(Checks):
    """Activations are (N, C) or (N, C, ...)."""

    def batch_norm_forward(
        self, x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5
    ) -> tuple[Array, Array, Array]:
        """Batch norm, and the statistics of the batch: see `gpucnn.ops.batch_norm_forward`."""
        self._check_floats(x=x, gamma=gamma, beta=beta)
        self._check_batch_norm(x, gamma=gamma, beta=beta)
        check_number("eps", eps)
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
        """The gradients of batch norm: see `gpucnn.ops.batch_norm_backward`."""
        self._check_floats(grad_y=grad_y, x=x, gamma=gamma, mean=mean, var=var)
        self._check_batch_norm(x, gamma=gamma, mean=mean, var=var)
        check_shape("grad_y", grad_y, x.shape)
        check_number("eps", eps)
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
