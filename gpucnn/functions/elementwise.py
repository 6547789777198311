"""Functions of one array, element by element; the activations are in `activation`.

Below each forward stands its backward. `g` is the gradient of the loss by the result.
"""

from __future__ import annotations

from gpucnn.autograd import Function, Operand, Tensor
from gpucnn.backend.contract import Array
from gpucnn.errors import UsageError
from gpucnn.operands import number


class Neg(Function):
    """y = -x."""

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, g: Array) -> Array:
        return -g


class Abs(Function):
    """y = |x|: dy/dx = sign(x), which is 0 at 0."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.xp.abs(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        return g * self.xp.sign(x)


class Clip(Function):
    """y = min(max(x, low), high): dy/dx = 1 where low <= x <= high, else 0."""

    def __init__(self, low: float | None, high: float | None) -> None:
        if low is None and high is None:
            raise UsageError("clip without a bound", fix="give low, high or both")
        instead = "for bounds that are arrays or Tensors use maximum and minimum"
        low = None if low is None else number(low, "clip", "a bound", instead)
        high = None if high is None else number(high, "clip", "a bound", instead)
        if low is not None and high is not None and not low <= high:
            raise UsageError(
                f"clip from {low} to {high}",
                cause="the lower bound is above the upper one",
                fix="swap them",
            )
        self.low = low
        self.high = high

    def forward(self, x: Array) -> Array:
        y = x if self.low is None else self.xp.maximum(x, self.low)
        y = y if self.high is None else self.xp.minimum(y, self.high)
        self.save(x == y)
        return y

    def backward(self, g: Array) -> Array:
        (inside,) = self.saved
        return g * inside


class Power(Function):
    """y = x**p for a constant p: dy/dx = p * x**(p - 1)."""

    def __init__(self, exponent: float) -> None:
        self.exponent = number(
            exponent, "power", "the exponent", "write (exponent * x.log()).exp() for x > 0"
        )
        self.of_reals = self.exponent < 0  # 2**-1 is no integer

    def forward(self, x: Array) -> Array:
        self.save(x)
        return x**self.exponent

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        if self.exponent == 0:
            return self.xp.zeros_like(g)  # 0 * 0**-1 would be NaN
        return g * self.exponent * x ** (self.exponent - 1)


class Exp(Function):
    """y = exp(x): dy/dx = y."""

    of_reals = True

    def forward(self, x: Array) -> Array:
        y = self.xp.exp(x)
        self.save(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved
        return g * y


class Log(Function):
    """y = log(x): dy/dx = 1 / x."""

    of_reals = True

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.xp.log(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        return g / x


class Sqrt(Function):
    """y = sqrt(x): dy/dx = 1 / (2 y)."""

    of_reals = True

    def forward(self, x: Array) -> Array:
        y = self.xp.sqrt(x)
        self.save(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved
        return g / (2 * y)


class Sin(Function):
    """y = sin(x): dy/dx = cos(x)."""

    of_reals = True

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.xp.sin(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        return g * self.xp.cos(x)


class Cos(Function):
    """y = cos(x): dy/dx = -sin(x)."""

    of_reals = True

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.xp.cos(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved
        return -g * self.xp.sin(x)


def neg(x: Operand) -> Tensor:
    """-x."""
    return Neg()(x)


def abs(x: Operand) -> Tensor:
    """|x|; the gradient at 0 is 0."""
    return Abs()(x)


def clip(x: Operand, low: float | None = None, high: float | None = None) -> Tensor:
    """x where it is in [low, high], elsewhere the nearer bound; None is no bound.

    The gradient passes where x is in [low, high].

    Raises:
        UsageError: there is no bound, or low is above high.
    """
    return Clip(low, high)(x)


def power(x: Operand, exponent: float) -> Tensor:
    """x**exponent for a constant exponent."""
    return Power(exponent)(x)


def exp(x: Operand) -> Tensor:
    """e**x."""
    return Exp()(x)


def log(x: Operand) -> Tensor:
    """Natural logarithm; -inf at 0 and NaN below, as NumPy has it."""
    return Log()(x)


def sqrt(x: Operand) -> Tensor:
    """Square root."""
    return Sqrt()(x)


def sin(x: Operand) -> Tensor:
    """Sine of radians."""
    return Sin()(x)


def cos(x: Operand) -> Tensor:
    """Cosine of radians."""
    return Cos()(x)
