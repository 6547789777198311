"""Comparisons of Tensors, `any`, `all` and `argmax`: functions without a gradient."""

from __future__ import annotations

from types import NotImplementedType
from typing import Any

import numpy as np

from gpucnn import backend as backends
from gpucnn import recording
from gpucnn.array_methods import Axis
from gpucnn.autograd import Tensor
from gpucnn.errors import DtypeError
from gpucnn.functions.arithmetic import check_broadcast
from gpucnn.functions.reduction import check_axes, check_axis, check_filled
from gpucnn.interchange import native
from gpucnn.operands import constant, is_array


def compare(name: str, a: Tensor, b: Any) -> Tensor | NotImplementedType:
    """Element by element, broadcast: a Tensor of bools, for which nothing is recorded.

    Args:
        name: of the function of the array module, such as "less_equal".
        b: a Tensor, an array, a number or a list of numbers, of any dtype.

    Returns:
        NotImplemented, by which Python decides, for equality with a b that is none of these.

    Raises:
        ShapeError: the shapes do not broadcast.
        DtypeError: b is none of these and the comparison is for order; or b is on another device.
    """
    other = b.data if isinstance(b, Tensor) else native(b)
    backend = a.backend
    try:
        if not is_array(other):
            if isinstance(other, np.generic) or not isinstance(other, (int, float)):
                other = constant(backend, other, a.dtype)
        elif getattr(other.dtype, "kind", "f") not in "biuf":  # names, objects
            raise DtypeError(
                f"{name} of a Tensor and an array of {other.dtype}",
                cause="only numbers can be compared with it",
                fix="give an array of numbers",
            )
    except DtypeError:
        if name in ("equal", "not_equal"):
            return NotImplemented
        raise
    if is_array(other):
        backend = backends.of(a.data, other)
        check_broadcast(name, a.shape, other.shape)
    with backend.quiet_device():
        return recording.unrecorded(Tensor(getattr(backend.xp, name)(a.data, other)), a, b)


def any(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any element over `axis` is true, or not zero; bools."""
    axes = check_axes("any", axis, x.ndim)
    with x.backend.quiet_device():
        return recording.unrecorded(Tensor(x.data.any(axis=axes, keepdims=keepdims)), x)


def all(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements over `axis` are true, or not zero; bools."""
    axes = check_axes("all", axis, x.ndim)
    with x.backend.quiet_device():
        return recording.unrecorded(Tensor(x.data.all(axis=axes, keepdims=keepdims)), x)


def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the first maximum along `axis`, or in the flattened tensor; integers.

    Raises:
        ShapeError: there is no such axis, or it is empty.
    """
    if axis is not None:
        axis = check_axis("argmax", axis, x.ndim)
    check_filled("argmax", tuple(range(x.ndim)) if axis is None else (axis,), x.shape)
    with x.backend.quiet_device():
        return recording.unrecorded(Tensor(x.data.argmax(axis=axis, keepdims=keepdims)), x)
