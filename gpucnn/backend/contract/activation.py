"""The gradient of the ReLU. The ReLU itself is part of the primitive before it."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_shape


class Activation(Checks):
    """Arrays of any shape."""

    def relu_backward(self, grad_y: Array, y: Array) -> Array:
        """grad_x = grad_y where y > 0, else 0. `y` is the output of the ReLU, of any shape."""
        self._check_floats(grad_y=grad_y, y=y)
        check_shape("grad_y", grad_y, y.shape)
        return self._relu_backward(grad_y, y)

    @abstractmethod
    def _relu_backward(self, grad_y: Array, y: Array) -> Array: ...
