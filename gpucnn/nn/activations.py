"""Activations, by name or as layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from gpucnn import functions as F
from gpucnn.autograd import Tensor
from gpucnn.errors import choose
from gpucnn.nn import arguments
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

    def __init__(
        self,
        activation: str,
        *,
        input_shape: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name, input_shape)
        self.activation = check(activation)

    @property
    def kind(self) -> str:
        return self.activation

    def forward(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation](x)


class _Fixed(Activation):
    """An activation that its class names."""

    function: ClassVar[str]

    def __init__(
        self, *, input_shape: Sequence[int] | None = None, name: str | None = None
    ) -> None:
        super().__init__(self.function, input_shape=input_shape, name=name)


class ReLU(_Fixed):
    """max(x, 0)."""

    function = "relu"


class GELU(_Fixed):
    """The Gaussian error linear unit, in its tanh form."""

    function = "gelu"


class Tanh(_Fixed):
    """The hyperbolic tangent."""

    function = "tanh"


class Sigmoid(_Fixed):
    """1 / (1 + exp(-x))."""

    function = "sigmoid"


class Softmax(_Fixed):
    """exp(x) / sum(exp(x)) over the last axis."""

    function = "softmax"


class LogSoftmax(_Fixed):
    """log(softmax(x)) over the last axis."""

    function = "log_softmax"


class LeakyReLU(Activation):
    """x where it is positive, else slope * x; the slope is a finite number."""

    def __init__(
        self,
        slope: float = 0.01,
        *,
        input_shape: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__("leaky_relu", input_shape=input_shape, name=name)
        self.slope = arguments.number(slope, "slope", "a finite number", 0.01)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)
