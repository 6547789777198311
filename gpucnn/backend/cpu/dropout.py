"""Dropout in NumPy."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.cpu.arrays import count_value, flat
from gpucnn.backend.cpu.chunks import CHUNK, blocks, keep, scratch
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.random import fill_bits, keep_threshold


class Dropout(contract.Dropout):
    def _dropout_forward(
        self, x: Array, rate: float, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]:
        y, mask = np.empty(x.shape, x.dtype), np.empty(x.shape, np.uint8)
        flat_x, flat_y, flat_mask = flat(x), flat(y), flat(mask)
        threshold, at = keep_threshold(rate), count_value("step", step)

        def task(chunk: slice) -> None:
            draw = scratch("draw", (chunk.stop - chunk.start,), np.uint32)
            fill_bits(draw, key, at, chunk.start)
            np.less(draw, np.uint64(threshold), out=flat_mask[chunk].view(np.bool_))
            keep(flat_x[chunk], flat_mask[chunk], flat_y[chunk])
            flat_y[chunk] *= 1 / (1 - rate)

        parallel(task, blocks(x.size, CHUNK, multiple=4))  # a counter gives four elements
        return y, mask

    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        grad_x = np.empty(grad_y.shape, grad_y.dtype)
        flat_grad, flat_mask, flat_x = flat(grad_y), flat(mask), flat(grad_x)

        def task(chunk: slice) -> None:
            keep(flat_grad[chunk], flat_mask[chunk], flat_x[chunk])
            flat_x[chunk] *= 1 / (1 - rate)

        parallel(task, blocks(grad_y.size, CHUNK))
        return grad_x
