"""The gradient of the ReLU. The ReLU itself is fused into the primitive before it."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backend.contract.arrays import Array
from gpucnn.backend.contract.checks import Checks, check_shape


class Activation(Checks):
    """Arrays of any shape."""

    def relu_backward(self, grad_y: Array, y: Array) -> Array:
        """The gradient of a ReLU: see `gpucnn.ops.relu_backward`."""
        self._check_floats(grad_y=grad_y, y=y)
        check_shape("grad_y", grad_y, y.shape)
        return self._relu_backward(grad_y, y)

    @abstractmethod
    def _relu_backward(self, grad_y: Array, y: Array) -> Array: ...
