"""Comparisons of Tensors, and what is asked of their results: functions without a gradient."""

from __future__ import annotations

from types import NotImplementedType
from typing import Any

from gpucnn import backend as backends
from gpucnn.array_methods import Axis
from gpucnn.autograd import Tensor
from gpucnn.functions.arithmetic import check_broadcast
from gpucnn.functions.reduction import check_axes, check_axis, check_filled


def compare(name: str, a: Tensor, b: Any) -> Tensor | NotImplementedType:
    """Element by element, broadcast: a Tensor of bools, for which nothing is recorded.

    Args:
        name: of the function of the array module, such as "less_equal".
        b: a Tensor, an array, a number or a list of numbers, of any dtype.

    Returns:
        NotImplemented, which leaves the answer to Python, if b is none of these.

    Raises:
        ShapeError: the shapes do not broadcast.
        DtypeError: the arrays lie on different devices.
    """
    other = b.data if isinstance(b, Tensor) else b
    if isinstance(other, (list, tuple)):
        try:
            other = a.backend.asarray(other)
        except (TypeError, ValueError):  # not of numbers alone
            return NotImplemented
    if hasattr(other, "dtype"):
        if getattr(other.dtype, "kind", "f") not in "biuf":  # names, objects
            return NotImplemented
        backend = backends.of(a.data, other)
        check_broadcast(name, a.shape, other.shape)
    elif isinstance(other, (int, float)):
        backend = a.backend
    else:
        return NotImplemented
    with backend.computing():
        return Tensor(getattr(backend.xp, name)(a.data, other))


def any(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any element over `axis` is true, or not zero; bools."""
    axes = check_axes("any", axis, x.ndim)
    with x.backend.computing():
        return Tensor(x.data.any(axis=axes, keepdims=keepdims))


def all(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements over `axis` are true, or not zero; bools."""
    axes = check_axes("all", axis, x.ndim)
    with x.backend.computing():
        return Tensor(x.data.all(axis=axes, keepdims=keepdims))


def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the first maximum along `axis`, or in the flattened tensor; integers.

    Raises:
        ShapeError: there is no such axis, or it is empty.
    """
    if axis is not None:
        axis = check_axis("argmax", axis, x.ndim)
    check_filled("argmax", tuple(range(x.ndim)) if axis is None else (axis,), x.shape)
    with x.backend.computing():
        return Tensor(x.data.argmax(axis=axis, keepdims=keepdims))
