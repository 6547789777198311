"""The operators of a Tensor: comparisons, arithmetic, changes in place, and errors for others."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from gpucnn.errors import DtypeError, GraphError, ShapeError, UsageError
from gpucnn.recording import count_change

if TYPE_CHECKING:
    from gpucnn.autograd import Operand, Tensor

#: Operators that a Tensor does not have: method -> (symbol, what to write instead).
_LACKING = {
    "__and__": ("&", "of bools write the product: (x > 0) * (x < 1)"),
    "__or__": ("|", "of bools write gpucnn.functions.maximum(a, b)"),
    "__xor__": ("^", "of bools write a != b"),
    "__invert__": ("~", "write the opposite comparison, or mask == False"),
    "__mod__": ("%", "use x.data % y, through which no gradient passes"),
    "__lshift__": ("<<", "use x.data << n, through which no gradient passes"),
    "__rshift__": (">>", "use x.data >> n, through which no gradient passes"),
    "__divmod__": ("divmod", "use divmod(x.data, y), through which no gradient passes"),
    "__floordiv__": ("//", "use x / y, or x.data // y, through which no gradient passes"),
}


def _lacking(symbol: str, fix: str) -> Callable[..., NoReturn]:
    def operator(self: Any, *_: Any) -> NoReturn:
        raise DtypeError(f"{symbol} of a Tensor", cause="a Tensor has no such operator", fix=fix)

    return operator


class ArrayOperators:
    """The operators of `gpucnn.autograd.Tensor`."""

    # NumPy defers to the reflected operators here instead of looping over a Tensor's elements.
    __array_ufunc__: ClassVar[None] = None

    # ---- comparisons: element by element, without a gradient -----------------------------------

    # Two Tensors are the same key of a dict if they are the same object.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return functions().comparison.compare("equal", self, other)

    def __ne__(self, other: object) -> Any:
        return functions().comparison.compare("not_equal", self, other)

    def __lt__(self, other: Operand) -> Tensor:
        return functions().comparison.compare("less", self, other)

    def __le__(self, other: Operand) -> Tensor:
        return functions().comparison.compare("less_equal", self, other)

    def __gt__(self, other: Operand) -> Tensor:
        return functions().comparison.compare("greater", self, other)

    def __ge__(self, other: Operand) -> Tensor:
        return functions().comparison.compare("greater_equal", self, other)

    # ---- arithmetic ------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Tensor:
        return functions().add(self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return functions().add(other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return functions().sub(self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return functions().sub(other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return functions().mul(self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return functions().mul(other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return functions().div(self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return functions().div(other, self)

    def __pow__(self, exponent: float) -> Tensor:
        return functions().power(self, exponent)

    def __neg__(self) -> Tensor:
        return functions().neg(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Tensor:
        return functions().abs(self)

    def __matmul__(self, other: Operand) -> Tensor:
        return functions().matmul(self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return functions().matmul(other, self)

    def __getitem__(self, index: Any) -> Tensor:
        return functions().getitem(self, index)

    def __rpow__(self, base: Any) -> NoReturn:
        raise DtypeError(
            f"{base!r} ** Tensor",
            cause="the exponent of a power is a number here",
            fix=f"write (x * math.log({base!r})).exp()"
            if isinstance(base, (int, float))
            else "write (gpucnn.functions.log(base) * x).exp() for a base > 0",
        )

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise DtypeError(
            "an element of a Tensor is set",
            cause="a gradient could not be followed through it",
            fix="write x.data[index] = value, through which no gradient passes",
        )

    # ---- in place -----------------------------------------------------------------------------

    def __iadd__(self, other: Operand) -> Tensor:
        return self._updated(self + other)

    def __isub__(self, other: Operand) -> Tensor:
        return self._updated(self - other)

    def __imul__(self, other: Operand) -> Tensor:
        return self._updated(self * other)

    def __itruediv__(self, other: Operand) -> Tensor:
        return self._updated(self / other)

    def __ipow__(self, other: float) -> Tensor:
        return self._updated(self**other)

    def __imatmul__(self, other: Operand) -> Tensor:
        return self._updated(self @ other)

    def _updated(self: Any, result: Tensor) -> Tensor:
        """The value of x after `x -= y`, where `result` is x - y.

        A parameter copies the values into its own array, as an optimizer does, so that every holder
        of the array sees them. Any other tensor is replaced by the result, as a number is.

        Raises:
            GraphError: the change of a parameter would be recorded.
            ShapeError, DtypeError: the result does not fit into the parameter.
            UsageError: its array is read-only.
        """
        if not self.is_parameter:
            return result
        if result.requires_grad:
            raise GraphError(
                f"{self.name or 'a tensor that requires a gradient'} is changed in place",
                cause="outside of no_grad() that would be recorded, and its gradient be lost",
                fix="update parameters inside `with no_grad():`; for a new tensor write y = x + 1",
            )
        if result.shape != self.shape:
            raise ShapeError(
                f"a tensor of shape {self.shape} is to take values of shape {result.shape}",
                cause="a change in place keeps the shape",
                fix="reshape the other operand, or write y = x + other",
            )
        if result.dtype != self.dtype:
            raise DtypeError(
                f"a tensor of {self.dtype} is to take values of {result.dtype}",
                cause="a change in place keeps the dtype",
                fix="convert the other operand, or write y = x + other",
            )
        if not getattr(self.data.flags, "writeable", True):  # CuPy's arrays always are
            raise UsageError(
                f"{self.name or 'a tensor'} is read-only",
                cause="a parameter is changed in its own array",
                fix="make it of an array that can be written to, such as array.copy()",
            )
        with self.backend.quiet_device():
            self.data[...] = result.data
        self.changed_at = count_change()
        return self


for _name, _about in _LACKING.items():
    setattr(ArrayOperators, _name, _lacking(*_about))
    if _name != "__invert__":
        setattr(ArrayOperators, _name.replace("__", "__r", 1), _lacking(*_about))


@functools.cache
def functions() -> Any:
    """`gpucnn.functions`, imported late because it imports Tensors."""
    return importlib.import_module("gpucnn.functions")
