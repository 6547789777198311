"""Dropout in NumPy."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.cpu.arrays import flat, scalar_value
from gpucnn.backend.cpu.chunks import BLOCK, blocks, keep, scratch
from gpucnn.backend.cpu.parallel import parallel
from gpucnn.random import fill_bits, keep_threshold


class Dropout(contract.Dropout):
    def _dropout_forward(
        self, x: Array, rate: float, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]:
        y, mask = np.empty(x.shape, x.dtype), np.empty(x.shape, np.uint8)
        flat_x, flat_y, flat_mask = flat(x), flat(y), flat(mask)
        threshold, at = keep_threshold(rate), int(scalar_value(step))

        def task(part: slice) -> None:
            draw = scratch("draw", (part.stop - part.start,), np.uint32)
            fill_bits(draw, key, at, part.start)
            np.less(draw, np.uint64(threshold), out=flat_mask[part].view(np.bool_))
            keep(flat_x[part], flat_mask[part], flat_y[part])
            flat_y[part] *= 1 / (1 - rate)

        parallel(task, blocks(x.size, BLOCK, multiple=4))  # a counter gives four elements
        return y, mask

    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        grad_x = np.empty(grad_y.shape, grad_y.dtype)
        flat_grad, flat_mask, flat_x = flat(grad_y), flat(mask), flat(grad_x)

        def task(part: slice) -> None:
            keep(flat_grad[part], flat_mask[part], flat_x[part])
            flat_x[part] *= 1 / (1 - rate)

        parallel(task, blocks(grad_y.size, BLOCK))
        return grad_x
