"""ReLU, compiled; float32."""

from __future__ import annotations

import numpy as np

from gpucnn.backend.contract import Array
from gpucnn.backend.cpu import activation as cpu
from gpucnn.backend.numba.elementwise import each, mask_positive
from gpucnn.backend.numba.jit import entry, flat


class Activation(cpu.Activation):
    """The gradient of a ReLU in one pass."""

    def _relu_backward(self, grad_y: Array, y: Array) -> Array:
        if y.dtype != np.float32:
            return super()._relu_backward(grad_y, y)
        grad_x = np.empty(y.shape, np.float32)
        each(_mask_positive, [flat(grad_y), flat(y), grad_x.reshape(-1)])
        return grad_x


@entry
def _mask_positive(grad_y, y, grad_x):
    mask_positive(grad_y, y, 0, grad_x, 0, y.size)
