"""Normalization, dropout and flattening."""

from __future__ import annotations

import math

from gpucnn.autograd import Function, Operand, Tensor
from gpucnn.backend.contract import Array, Scalar, check_input
from gpucnn.errors import ShapeError
from gpucnn.functions.shaping import Reshape


class BatchNorm(Function):
    """y = gamma * xhat + beta, xhat = (x - mean) / sqrt(var + eps) by channel of the batch.

    Ioffe and Szegedy 2015; gradients in `Backend.batch_norm_backward`. After the call `mean` and
    `var` (C,) hold the batch's statistics.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        self.eps = eps

    def forward(self, x: Array, gamma: Array, beta: Array) -> Array:
        y, self.mean, self.var = self.backend.batch_norm_forward(x, gamma, beta, eps=self.eps)
        self.save(x, gamma)
        return y

    def backward(self, g: Array) -> tuple[Array, Array, Array]:
        x, gamma = self.saved
        return self.backend.batch_norm_backward(g, x, gamma, self.mean, self.var, eps=self.eps)


class LayerNorm(Function):
    """y = gamma * xhat + beta, xhat = (x - mean) / sqrt(var + eps) over the last axis.

    Ba, Kiros and Hinton 2016. With d = g * gamma and means over the last axis of size n:

        dL/dx = (d - mean(d) - xhat * mean(d * xhat)) / sqrt(var + eps)
    """

    def __init__(self, eps: float = 1e-5) -> None:
        self.eps = eps

    def forward(self, x: Array, gamma: Array, beta: Array) -> Array:
        check_input(x.dtype, gamma.dtype)
        for name, array in (("gamma", gamma), ("beta", beta)):
            if array.shape != x.shape[-1:]:
                raise ShapeError(
                    f"layer norm of {x.shape} with a {name} of shape {array.shape}",
                    cause="it must have one number for each element of the last axis",
                    fix=f"give a {name} of shape {x.shape[-1:]}",
                )
        centered = x - x.mean(axis=-1, keepdims=True)
        inverse_std = 1 / self.xp.sqrt(
            (centered * centered).mean(axis=-1, keepdims=True) + self.eps
        )
        xhat = centered * inverse_std
        self.save(xhat, inverse_std, gamma)
        return gamma * xhat + beta

    def backward(self, g: Array) -> tuple[Array | None, Array | None, Array | None]:
        xhat, inverse_std, gamma = self.saved
        need_x, need_gamma, need_beta = self.needs_input_grad
        rows = tuple(range(g.ndim - 1))
        grad_x = None
        if need_x:
            d = g * gamma
            means = d.mean(axis=-1, keepdims=True), (d * xhat).mean(axis=-1, keepdims=True)
            grad_x = (d - means[0] - xhat * means[1]) * inverse_std
        return (
            grad_x,
            (g * xhat).sum(axis=rows) if need_gamma else None,
            g.sum(axis=rows) if need_beta else None,
        )


class Dropout(Function):
    """y = x * mask / (1 - rate), and the gradient likewise (Srivastava et al. 2014)."""

    def __init__(self, rate: float, key: tuple[int, int], step: Scalar) -> None:
        self.rate = rate
        self.key = key
        self.step = step

    def forward(self, x: Array) -> Array:
        y, mask = self.backend.dropout_forward(x, self.rate, key=self.key, step=self.step)
        self.save(mask)
        return y

    def backward(self, g: Array) -> Array:
        (mask,) = self.saved
        return self.backend.dropout_backward(g, mask, self.rate)


def batch_norm(
    x: Operand, gamma: Operand, beta: Operand, *, eps: float = 1e-5
) -> tuple[Tensor, Array, Array]:
    """Normalizes x (N, C, ...) by the statistics of the batch.

    Returns:
        y of the shape of x; and the batch's mean and biased variance, arrays (C,).
    """
    function = BatchNorm(eps)
    y = function(x, gamma, beta)
    return y, function.mean, function.var


def batch_norm_inference(
    x: Operand, gamma: Operand, beta: Operand, mean: Array, var: Array, *, eps: float = 1e-5
) -> Tensor:
    """gamma * (x - mean) / sqrt(var + eps) + beta of x (N, C, ...), by given statistics (C,)."""
    x, gamma, beta = (v if isinstance(v, Tensor) else Tensor(v) for v in (x, gamma, beta))
    channels = (1, -1) + (1,) * (x.ndim - 2)
    with x.backend.quiet_device():
        inverse_std = 1 / (var + eps) ** 0.5
    scale = gamma * inverse_std
    return x * scale.reshape(channels) + (beta - scale * mean).reshape(channels)


def layer_norm(x: Operand, gamma: Operand, beta: Operand, *, eps: float = 1e-5) -> Tensor:
    """Normalizes each row of x (..., D) over its last axis; gamma and beta are (D,)."""
    return LayerNorm(eps)(x, gamma, beta)


def dropout(x: Operand, rate: float, *, key: tuple[int, int], step: Scalar) -> Tensor:
    """Sets a fraction `rate` of the elements to 0 and scales the others by 1 / (1 - rate).

    Args:
        key: of the random stream, `gpucnn.random.stream_key(seed, name)`.
        step: an int or a uint32 array (1,); the same key and step give the same mask.
    """
    return Dropout(rate, key, step)(x)


def flatten(x: Operand) -> Tensor:
    """(N, ...) to (N, product of the rest)."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    if not x.ndim:
        raise ShapeError(
            "flatten of a tensor without axes",
            cause="it is a single number, and has no batch axis",
            fix="give (N, ...), or use x.reshape(1, 1)",
        )
    # Not -1, which an empty batch leaves undefined.
    return Reshape((x.shape[0], math.prod(x.shape[1:])))(x)
