"""Activations, by name or as layers."""

from __future__ import annotations

from collections.abc import Callable

from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.errors import choose
from gpucnn.nn.module import Module

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,  # Keras's name for none at all
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "gelu": F.gelu,
    "tanh": F.tanh,
    "sigmoid": F.sigmoid,
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
}


def check(name: str) -> str:
    """The name itself.

    Raises:
        UsageError: no activation has this name; it lists those that there are.
    """
    choose(ACTIVATIONS, name, "activation")
    return name


class Activation(Module):
    """An activation by its name, as in `Activation("relu")`; the input may have any shape.

    Softmax and log-softmax are taken over the last axis.
    """

    def __init__(self, activation: str, name: str | None = None) -> None:
        super().__init__(name)
        self.activation = check(activation)

    @property
    def kind(self) -> str:
        return self.activation

    def forward(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation](x)


class ReLU(Activation):
    """max(x, 0)."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("relu", name)


class LeakyReLU(Activation):
    """x where it is positive, else slope * x."""

    def __init__(self, slope: float = 0.01, name: str | None = None) -> None:
        super().__init__("leaky_relu", name)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)


class GELU(Activation):
    """The Gaussian error linear unit, in its tanh form."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("gelu", name)


class Tanh(Activation):
    """The hyperbolic tangent."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("tanh", name)


class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("sigmoid", name)


class Softmax(Activation):
    """exp(x) / sum(exp(x)) over the last axis."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("softmax", name)


class LogSoftmax(Activation):
    """log(softmax(x)) over the last axis."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("log_softmax", name)
