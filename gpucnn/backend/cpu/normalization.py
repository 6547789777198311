"""Batch norm in NumPy, a few channels at a time."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.arrays import by_channel
from gpucnn.backend.cpu.chunks import CHUNK, blocks
from gpucnn.backend.cpu.parallel import parallel


class Normalization(contract.Normalization):
    def _batch_norm_forward(
        self, x: Array, gamma: Array, beta: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        y = np.empty(x.shape, x.dtype)
        mean, var = np.empty_like(gamma), np.empty_like(gamma)
        xs, ys = by_channel(x), by_channel(y)
        count = xs.shape[0] * xs.shape[2]

        def task(channels: slice) -> None:
            values, out = xs[:, channels], ys[:, channels]
            mean[channels] = _channel_sum(values) / count
            np.subtract(values, mean[channels, None], out=out)
            var[channels] = _channel_sum(np.square(out)) / count
            out *= (gamma[channels] / np.sqrt(var[channels] + eps))[:, None]
            out += beta[channels, None]

        parallel(task, _channel_chunks(xs))
        return y, mean, var

    def _batch_norm_backward(
        self, grad_y: Array, x: Array, gamma: Array, mean: Array, var: Array, eps: float
    ) -> tuple[Array, Array, Array]:
        grad_x = np.empty(x.shape, x.dtype)
        grad_gamma, grad_beta = np.empty_like(gamma), np.empty_like(gamma)
        grads, xs, out = by_channel(grad_y), by_channel(x), by_channel(grad_x)
        count = xs.shape[0] * xs.shape[2]

        def task(channels: slice) -> None:
            grad = grads[:, channels]
            scale = (1 / np.sqrt(var[channels] + eps))[:, None]
            xhat = (xs[:, channels] - mean[channels, None]) * scale
            grad_beta[channels] = _channel_sum(grad)
            grad_gamma[channels] = _channel_sum(grad * xhat)
            xhat *= grad_gamma[channels, None] / count
            xhat += grad_beta[channels, None] / count
            np.subtract(grad, xhat, out=out[:, channels])
            out[:, channels] *= gamma[channels, None] * scale

        parallel(task, _channel_chunks(xs))
        return grad_x, grad_gamma, grad_beta


def _channel_chunks(xs: Array) -> list[slice]:
    N, C, pixels = xs.shape
    return blocks(C, max(1, 2 * CHUNK // (N * pixels)))


def _channel_sum(xs: Array) -> Array:
    # Row sums are pairwise; the rows, one an image, are then added in double precision.
    return xs.sum(axis=2).sum(axis=0, dtype=np.float64)
