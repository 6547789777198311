"""Activations: element by element, and softmax along an axis."""

from __future__ import annotations

import math
from typing import Any

from gpucnn.autograd import Function, Operand, Tensor
from gpucnn.backend.contract import Array
from gpucnn.functions.reduction import check_axes
from gpucnn.operands import number


class Tanh(Function):
    """y = tanh(x): dy/dx = 1 - y**2."""

    of_reals = True

    def forward(self, x: Array) -> Array:
        y = self.xp.tanh(x)
        self.save(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved
        return g * (1 - y * y)


def stable_sigmoid(xp: Any, x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow and exact to the last bits at both ends."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, e) / (1 + e)


class Sigmoid(Function):
    """y = 1 / (1 + exp(-x)): dy/dx = y * (1 - y)."""

    of_reals = True

    def forward(self, x: Array) -> Array:
        y = stable_sigmoid(self.xp, x)
        self.save(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved
        return g * y * (1 - y)


class ReLU(Function):
    """y = max(x, 0): dy/dx = 1 where y > 0, else 0."""

    def forward(self, x: Array) -> Array:
        y = self.xp.maximum(x, 0)
        self.save(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved
        return self.backend.relu_backward(g, y)


class LeakyReLU(Function):
    """y = x where x > 0, else slope * x (Maas et al. 2013)."""

    of_reals = True

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = number(slope, "leaky_relu", "the slope", "write maximum(x, slope * x)")

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.xp.where(x > 0, x, self.slope * x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        return self.xp.where(x > 0, g, self.slope * g)


class GELU(Function):
    """y = x/2 * (1 + tanh(u)), u = sqrt(2/pi) * (x + 0.044715 x**3) (Hendrycks and Gimpel 2016).

    dy/dx = (1 + tanh(u)) / 2 + x/2 * (1 - tanh(u)**2) * du/dx.
    """

    of_reals = True
    scale = math.sqrt(2 / math.pi)
    cubic = 0.044715

    def forward(self, x: Array) -> Array:
        t = self.xp.tanh(self.scale * (x + self.cubic * x * x * x))
        self.save(x, t)
        return 0.5 * x * (1 + t)

    def backward(self, g: Array) -> Array:
        x, t = self.saved
        du = self.scale * (1 + 3 * self.cubic * x * x)
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * du)


class _AlongAxis(Function):
    """A Function along one axis."""

    of_reals = True

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis


class Softmax(_AlongAxis):
    """y_k = exp(x_k) / sum_j exp(x_j) along an axis: dL/dx = y * (g - sum_j g_j y_j)."""

    def forward(self, x: Array) -> Array:
        check_axes(self.label, self.axis, x.ndim)
        # The maximum cancels in the quotient; without it exp overflows at 89.
        e = self.xp.exp(x - x.max(axis=self.axis, keepdims=True))
        y = e / e.sum(axis=self.axis, keepdims=True)
        self.save(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved
        return y * (g - (g * y).sum(axis=self.axis, keepdims=True))


class LogSoftmax(_AlongAxis):
    """y_k = x_k - log(sum_j exp(x_j)) along an axis: dL/dx = g - softmax(x) * sum_j g_j."""

    def forward(self, x: Array) -> Array:
        check_axes(self.label, self.axis, x.ndim)
        shifted = x - x.max(axis=self.axis, keepdims=True)
        y = shifted - self.xp.log(self.xp.exp(shifted).sum(axis=self.axis, keepdims=True))
        self.save(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved
        return g - self.xp.exp(y) * g.sum(axis=self.axis, keepdims=True)


def tanh(x: Operand) -> Tensor:
    """Hyperbolic tangent."""
    return Tanh()(x)


def sigmoid(x: Operand) -> Tensor:
    """1 / (1 + exp(-x))."""
    return Sigmoid()(x)


def relu(x: Operand) -> Tensor:
    """max(x, 0)."""
    return ReLU()(x)


def leaky_relu(x: Operand, slope: float = 0.01) -> Tensor:
    """x where x > 0, else slope * x."""
    return LeakyReLU(slope)(x)


def gelu(x: Operand) -> Tensor:
    """Gaussian error linear unit, in the tanh form."""
    return GELU()(x)


def softmax(x: Operand, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`; stable for scores of any size."""
    return Softmax(axis)(x)


def log_softmax(x: Operand, axis: int = -1) -> Tensor:
    """log(softmax(x)) along `axis`; stable for scores of any size."""
    return LogSoftmax(axis)(x)
