"""Batch normalization."""

from __future__ import annotations

from gpucnn.backend.contract import Array
from gpucnn.ops.dispatch import backend_of, primitive


@primitive
def batch_norm_forward(
    x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, by channel (Ioffe and Szegedy 2015).

    Args:
        x: (N, C) or (N, C, ...), with at least one element a channel.
        gamma, beta: (C,).
        eps: added to the variance.

    Returns:
        y: shape of x; mean: (C,); var: (C,), biased (divided by the count).
    """
    backend = backend_of("batch_norm_forward", x=x, gamma=gamma, beta=beta)
    return backend.batch_norm_forward(x, gamma, beta, eps=eps)


@primitive
def batch_norm_backward(
    grad_y: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Gradients of batch norm: xhat = (x - mean) / sqrt(var + eps), M elements a channel.

        grad_beta  = sum grad_y
        grad_gamma = sum grad_y * xhat
        grad_x     = gamma / sqrt(var + eps) * (grad_y - grad_beta / M - xhat * grad_gamma / M)

    Args:
        grad_y: shape of x.
        x, gamma, eps: of the forward call.
        mean, var: (C,), results of the forward call.

    Returns:
        grad_x: shape of x; grad_gamma: (C,); grad_beta: (C,).
    """
    backend = backend_of("batch_norm_backward", grad_y=grad_y, x=x, gamma=gamma, mean=mean, var=var)
    return backend.batch_norm_backward(grad_y, x, gamma, mean, var, eps=eps)
