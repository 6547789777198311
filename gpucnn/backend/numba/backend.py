"""The CPU backend with its float32 primitives compiled by Numba, where that pays."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from gpucnn.backend.contract import Array, Scalar
from gpucnn.backend.cpu.arrays import scalar_value
from gpucnn.backend.cpu.backend import CpuBackend
from gpucnn.backend.numba import convolution, dense, elementwise, pooling
from gpucnn.backend.numba.jit import is_compiled
from gpucnn.backend.numba.vectors import LANES
from gpucnn.random import keep_threshold
from gpucnn.shapes import Conv2dGeometry, Pool2dGeometry


class CompiledBackend(CpuBackend):
    """As `CpuBackend`, and faster: float64, and what is not named here, is computed by NumPy."""

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"kernels": f"numba {numba.__version__}, {LANES} lanes"}

    def preparation(self) -> str | None:
        if is_compiled():
            return None
        return "compiling the kernels for this CPU: 10 seconds to a minute, the first time only"

    def _conv2d_forward(
        self, x: Array, w: Array, b: Array | None, g: Conv2dGeometry, activation: str | None
    ) -> Array:
        if x.dtype != np.float32:
            return super()._conv2d_forward(x, w, b, g, activation)
        return convolution.forward(x, w, b, g, activation)[0]

    def _conv2d_backward_input(self, grad_y: Array, w: Array, g: Conv2dGeometry) -> Array:
        if w.dtype != np.float32:
            return super()._conv2d_backward_input(grad_y, w, g)
        return convolution.backward(grad_y, None, w, None, None, g, (True, False, False))[0]

    def _conv2d_backward_weight(self, grad_y: Array, x: Array, g: Conv2dGeometry) -> Array:
        if x.dtype != np.float32:
            return super()._conv2d_backward_weight(grad_y, x, g)
        return convolution.backward(grad_y, x, None, None, None, g, (False, True, False))[1]

    def _conv2d_relu_pool_forward(
        self,
        x: Array,
        w: Array,
        b: Array | None,
        g: Conv2dGeometry,
        activation: str | None,
        pool: Pool2dGeometry | None,
    ) -> tuple[Array, Array | None]:
        if x.dtype != np.float32 or not convolution.can_fuse(g, pool):
            return super()._conv2d_relu_pool_forward(x, w, b, g, activation, pool)
        return convolution.forward(x, w, b, g, activation, pool)

    def _conv2d_relu_pool_backward(
        self,
        grad_y: Array,
        x: Array,
        w: Array,
        y: Array | None,
        argmax: Array | None,
        g: Conv2dGeometry,
        pool: Pool2dGeometry | None,
        needs: tuple[bool, bool, bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        if x.dtype != np.float32 or not convolution.can_fuse(g, pool):
            return super()._conv2d_relu_pool_backward(grad_y, x, w, y, argmax, g, pool, needs)
        return convolution.backward(grad_y, x, w, y, argmax, g, needs)

    def _bias_grad(self, grad_y: Array) -> Array:
        if grad_y.dtype != np.float32:
            return super()._bias_grad(grad_y)
        return elementwise.bias_grad(grad_y)

    def _max_pool2d_forward(self, x: Array, g: Pool2dGeometry) -> tuple[Array, Array]:
        if x.dtype != np.float32 or not pooling.is_pairs(g):
            return super()._max_pool2d_forward(x, g)
        return pooling.max_forward(x, g)

    def _max_pool2d_backward(self, grad_y: Array, argmax: Array, g: Pool2dGeometry) -> Array:
        if grad_y.dtype != np.float32 or not pooling.is_pairs(g):
            return super()._max_pool2d_backward(grad_y, argmax, g)
        return pooling.max_backward(grad_y, argmax, g)

    def _matmul(self, a: Array, b: Array, bias: Array | None, activation: str | None) -> Array:
        if a.dtype != np.float32 or not dense.can_multiply(a, b):
            return super()._matmul(a, b, bias, activation)
        return dense.row_times_matrix(a, b, bias, activation)

    def _relu_backward(self, grad_y: Array, y: Array) -> Array:
        if y.dtype != np.float32:
            return super()._relu_backward(grad_y, y)
        return elementwise.relu_backward(grad_y, y)

    def _dropout_forward(
        self, x: Array, rate: float, key: tuple[int, int], step: Scalar
    ) -> tuple[Array, Array]:
        if x.dtype != np.float32:
            return super()._dropout_forward(x, rate, key, step)
        at = int(scalar_value(step))
        return elementwise.dropout_forward(x, keep_threshold(rate), 1 / (1 - rate), key, at)

    def _dropout_backward(self, grad_y: Array, mask: Array, rate: float) -> Array:
        if grad_y.dtype != np.float32:
            return super()._dropout_backward(grad_y, mask, rate)
        return elementwise.dropout_backward(grad_y, mask, 1 / (1 - rate))

    def _softmax_cross_entropy_forward(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        if logits.dtype != np.float32:
            return super()._softmax_cross_entropy_forward(logits, labels)
        return elementwise.softmax_cross_entropy_forward(logits, labels)

    def _softmax_cross_entropy_backward(
        self, probabilities: Array, labels: Array, grad: Array
    ) -> Array:
        if probabilities.dtype != np.float32:
            return super()._softmax_cross_entropy_backward(probabilities, labels, grad)
        return elementwise.softmax_cross_entropy_backward(probabilities, labels, grad)

    def _apply(self, rule: str, arrays: list[Array], numbers: tuple[float, ...]) -> None:
        if arrays[0].dtype != np.float32:
            return super()._apply(rule, arrays, numbers)
        return elementwise.update(rule, arrays, numbers)
