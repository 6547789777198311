"""The gradient of the ReLU in NumPy."""

from __future__ import annotations

import numpy as np

from gpucnn.backend import contract
from gpucnn.backend.contract import Array
from gpucnn.backend.cpu.arrays import flat
from gpucnn.backend.cpu.chunks import CHUNK, blocks, keep
from gpucnn.backend.cpu.parallel import parallel


class Activation(contract.Activation):
    def _relu_backward(self, grad_y: Array, y: Array) -> Array:
        grad_x = np.empty(y.shape, y.dtype)
        flat_x, flat_grad, flat_y = flat(grad_x), flat(grad_y), flat(y)

        def task(chunk: slice) -> None:
            keep(flat_grad[chunk], flat_y[chunk] > 0, flat_x[chunk])

        parallel(task, blocks(y.size, 4 * CHUNK))
        return grad_x
