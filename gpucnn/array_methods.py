"""The methods, conversions and printing that a Tensor shares with NumPy's arrays.

The mathematics is in `gpucnn.functions`; the operators are in `gpucnn.array_operators`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gpucnn import backend as backends
from gpucnn import recording
from gpucnn.array_operators import ArrayOperators, functions
from gpucnn.backend import Backend
from gpucnn.backend.contract import Array
from gpucnn.errors import DtypeError, ShapeError, SignatureError, UnknownNameError
from gpucnn.spelling import Called, Spellings, explain_attribute, explained

if TYPE_CHECKING:
    from gpucnn.autograd import Tensor

Axis = int | tuple[int, ...] | None

#: Names of PyTorch and NumPy, and what to write instead.
_FOREIGN = {
    "abs": "use gpucnn.functions.abs(x)",
    "add_": "use x += value, inside no_grad() for a parameter",
    "argmin": "use (-x).argmax(axis)",
    "assign": "use x.data[...] = values, or x -= step inside no_grad()",
    "assign_add": "use x += value, inside no_grad() for a parameter",
    "assign_sub": "use x -= value, inside no_grad() for a parameter",
    "astype": "use Tensor(x.data.astype(dtype)), through which no gradient passes",
    "clamp": "use gpucnn.functions.clip(x, low, high)",
    "clip": "use gpucnn.functions.clip(x, low, high)",
    "clone": "use x + 0, or Tensor(x.data.copy()) outside of the graph",
    "copy_": "use x.data[...] = values",
    "copy": "use x + 0, or Tensor(x.data.copy()) outside of the graph",
    "cpu": "use x.numpy() for a NumPy array, or Tensor(x.numpy())",
    "cuda": 'use Tensor(gpucnn.backend.get("cuda").asarray(x.numpy()))',
    "detach_": "use x.detach()",
    "device": "use x.backend.name",
    "dim": "use x.ndim",
    "eval": "use x.numpy(), or x.item() for one number",
    "fill_": "use x.data[...] = value",
    "flatten": "use x.reshape(-1), or gpucnn.functions.flatten(x), which keeps the batch axis",
    "float": "use Tensor(x.data.astype(numpy.float32)), through which no gradient passes",
    "get_shape": "use x.shape",
    "grad_fn": "use x.creator",
    "is_leaf": "use x.creator is None",
    "long": "use Tensor(x.data.astype(numpy.int64))",
    "mm": "use x @ y",
    "mul_": "use x *= value, inside no_grad() for a parameter",
    "permute": "use x.transpose(0, 2, 3, 1)",
    "pow": "use x ** 2",
    "relu": "use gpucnn.functions.relu(x)",
    "requires_grad_": "set x.requires_grad = True",
    "sigmoid": "use gpucnn.functions.sigmoid(x)",
    "softmax": "use gpucnn.functions.softmax(x, axis)",
    "squeeze": "use x[:, 0], or x.reshape",
    "sub_": "use x -= value, inside no_grad() for a parameter",
    "tanh": "use gpucnn.functions.tanh(x)",
    "to": 'use Tensor(gpucnn.backend.get("cuda").asarray(x.numpy()))',
    "tolist": "use x.numpy().tolist()",
    "topk": "use x.numpy().argsort(axis), whose last k are the largest",
    "unsqueeze": "use x[:, None], or x.reshape",
    "view": "use x.reshape",
    "zero_": "use x.data[...] = 0, or x.zero_grad() for the gradient",
}

#: A decorator for functions of an axis.
names_of_axis = explained(Spellings(renamed={"dim": ("axis",), "keepdim": ("keepdims",)}))

_names_of_extremes = explained(
    Spellings(
        renamed={"keepdim": ("keepdims",)},
        instead={"dim": "did you mean axis? It gives the values alone, argmax(axis) the indices"},
    )
)


def extreme(function: Called) -> Called:
    """A decorator for max and min, whose axis is given by name.

    By position it is ambiguous: `x.max(1)` gives the values in NumPy, values and indices in
    PyTorch.
    """
    named, name = _names_of_extremes(function), function.__name__

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) < 2:
            return named(*args, **kwargs)
        if getattr(args[1], "ndim", 0):
            raise SignatureError(
                f"{name} of two tensors", fix=f"use {name}imum(a, b), element by element"
            )
        indices = f"{'x' if name == 'max' else '(-x)'}.argmax(axis={args[1]!r})"
        raise SignatureError(
            f"{name}({', '.join(map(repr, args[1:]))}): the axis is given by name",
            cause="by position it gives values and indices in PyTorch, and the values alone in"
            " NumPy",
            fix=f"write x.{name}(axis={args[1]!r}) for the values, {indices} for the indices",
        )

    return cast(Called, checked)


class _Count(int):
    """The number of elements; a call, as of PyTorch's method `size`, raises an error."""

    def __call__(self, *_: object) -> None:
        raise UnknownNameError(
            "size is the number of elements, not a method", fix="use x.shape, or x.shape[0]"
        )


class ArrayMethods(ArrayOperators):
    """The part of `gpucnn.autograd.Tensor` that behaves like an array."""

    data: Array
    name: str | None
    creator: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return _Count(self.data.size)

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def backend(self) -> Backend:
        return backends.of(self.data)

    if not TYPE_CHECKING:  # type checkers would then accept every name

        def __getattr__(self, name: str) -> Any:
            return explain_attribute(self, name, _FOREIGN)

    # ---- conversions -----------------------------------------------------------------------

    def numpy(self) -> Any:
        """The values as a NumPy array. Waits for the device."""
        recording.reads(self, "numpy")
        return self.backend.to_numpy(self.data)

    def item(self) -> float:
        """The value of a Tensor of one element as a Python number. Waits for the device."""
        return self._only("item", "reduce it first, for example with .mean()")

    def _only(self, what: str, fix: str) -> Any:
        """The only element as a Python number; `ShapeError` if there are more, or none."""
        if self.size != 1:
            raise ShapeError(
                f"{what} of a tensor of shape {self.shape}",
                cause="it has not exactly one element",
                fix=fix,
            )
        recording.reads(self, what)
        return self.numpy().reshape(-1)[0].item()

    def __bool__(self) -> bool:
        return bool(
            self._only("the truth value", "use .any() or .all(), or .item() of one element")
        )

    def __float__(self) -> float:
        return float(self._only("float", "reduce it first, for example with .mean()"))

    def __int__(self) -> int:
        return int(self._only("int", "reduce it first, for example with .sum()"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.ndim:
            raise DtypeError(
                f"a tensor of {self.dtype} and shape {self.shape} where an integer is needed",
                cause="only an integer without axes is one",
                fix="use int(x), or index an array: x.numpy()",
            )
        return self.numpy().item()

    def __round__(self, digits: int | None = None) -> float:
        return round(self._only("round", "round x.numpy() instead"), digits)

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        return format(self._only(f"format {spec!r}", "reduce it first, or print it as it is"), spec)

    def __len__(self) -> int:
        if not self.ndim:
            raise DtypeError(
                "a tensor without axes has no length, and cannot be iterated over",
                cause="it is a single number",
                fix="use .item() for the number",
            )
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: object) -> bool:
        found = self == value
        return found is not False and bool(found.any())

    def __array__(self, *_: Any, **__: Any) -> Any:
        # NumPy would make an array of objects, element by element.
        raise DtypeError(
            "a Tensor is not an array",
            fix="use tensor.numpy(), or tensor.data; join Tensors with gpucnn.functions.stack",
        )

    def __array_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.shape, np.ndim, np.size):
            return function(self.data, *args[1:], **kwargs)
        raise DtypeError(
            f"numpy.{function.__name__} of a Tensor",
            cause="a Tensor is not an array",
            fix="use tensor.numpy(); for a result with a gradient, a method of the tensor or "
            "gpucnn.functions",
        )

    def __repr__(self) -> str:
        values = self.backend.to_numpy(self.data)
        parts = [np.array2string(values, separator=", ", prefix="Tensor(", suffix=", ")]
        if not values.size or values.size > np.get_printoptions()["threshold"]:
            parts.append(f"shape={self.shape}")  # which the values do not show
        parts.append(f"dtype={self.dtype}")
        if self.name:
            parts.append(f"name={self.name!r}")
        if self.creator:
            parts.append(f"creator={self.creator.label}")
        return f"Tensor({', '.join(parts)})"

    # ---- methods of mathematics ---------------------------------------------------------------

    @names_of_axis
    def any(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions().comparison.any(self, axis, keepdims)

    @names_of_axis
    def all(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions().comparison.all(self, axis, keepdims)

    @names_of_axis
    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return functions().comparison.argmax(self, axis, keepdims)

    @names_of_axis
    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions().sum(self, axis, keepdims)

    @names_of_axis
    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions().mean(self, axis, keepdims)

    @extreme
    def max(self, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions().max(self, axis=axis, keepdims=keepdims)

    @extreme
    def min(self, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return functions().min(self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        return functions().reshape(self, *shape)

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        return functions().transpose(self, *axes)

    @property
    def T(self) -> Tensor:
        return self.transpose()

    def exp(self) -> Tensor:
        return functions().exp(self)

    def log(self) -> Tensor:
        return functions().log(self)

    def sqrt(self) -> Tensor:
        return functions().sqrt(self)
