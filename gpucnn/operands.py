"""Operands of a computation: arrays, and numbers and lists that get their dtype from the arrays.

Beside floats, a NumPy number such as `np.sqrt(2)` counts as a Python number: float32 stays float32.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from gpucnn.backend import Backend
from gpucnn.backend.contract import Array
from gpucnn.errors import DtypeError, GpucnnError, ShapeError


def is_array(value: Any) -> bool:
    """Whether a value counts as an array, with a dtype of its own; NumPy numbers do not."""
    return hasattr(value, "dtype") and not isinstance(value, np.generic)


def as_array(values: Any, fix: str = "give an array, a number or a list of numbers") -> Any:
    """A number or a (nested) list of numbers as a NumPy array of the dtype that NumPy gives it.

    Raises:
        DtypeError: they are no numbers, as text is not, or they are Tensors.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O" and all(isinstance(x, numbers.Number) for x in array.flat):
            array = array.astype(np.float64)  # fractions, and integers of more than 64 bits
        if array.dtype.kind not in "biuf":
            raise TypeError(f"NumPy makes an array of {array.dtype} of it, which holds no numbers")
    except GpucnnError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise DtypeError(
            f"a {type(values).__name__} cannot be made a Tensor",
            cause=str(error),
            fix=fix,
        ) from error
    return array


def constant(backend: Backend, values: Any, dtype: Any) -> Array:
    """A number or a list of numbers beside arrays of a dtype.

    Beside floats it gets their dtype. Beside integers and bools it gets NumPy's dtype for the
    result: a list or a NumPy number counts as an array, and a Python number has no dtype.

    Raises:
        DtypeError: they are no numbers, or beyond what the dtype can hold.
    """
    if isinstance(values, (int, float)) and not isinstance(values, np.generic):
        wanted = np.result_type(dtype, values)
    else:
        values = as_array(values)
        wanted = dtype if dtype.kind == "f" else np.result_type(dtype, values.dtype)
    try:
        return backend.asarray(values, wanted)
    except OverflowError as error:
        raise DtypeError(
            f"{values} beside an array of {dtype}",
            cause=str(error),
            fix="convert the array first, as with .astype(numpy.float32)",
        ) from error


def as_floats(arrays: list[Array]) -> list[Array]:
    """The arrays, those of integers and bools converted to floats.

    They get the dtype of the arrays that are floats already. If there are none it is float32, or
    float64 for integers of 32 bits and more, which float32 cannot hold.
    """
    if all([array.dtype.kind == "f" for array in arrays]):
        return arrays
    floats = [array.dtype for array in arrays if array.dtype.kind == "f"]
    dtype = floats[0] if floats else np.result_type(np.float32, *(a.dtype for a in arrays))
    return [array if array.dtype.kind == "f" else array.astype(dtype) for array in arrays]


def number(value: Any, call: str, name: str, instead: str) -> float:
    """An option that is one number, as a Python number.

    Args:
        call: the function, for the message: "power".
        name: the option, for the message: "the exponent".
        instead: the fix, for an option that varies from element to element.

    Raises:
        DtypeError: it is an array, a Tensor, or no number.
    """
    if isinstance(value, np.generic) or (type(value) is np.ndarray and not value.ndim):
        value = value.item()
    if isinstance(value, numbers.Real):
        return value  # type: ignore[return-value]
    raise DtypeError(
        f"{call}: {name} is a {type(value).__name__}",
        cause="it must be a number, the same for all elements, and without a gradient",
        fix=instead,
    )


def unscalar(array: Array) -> Array:
    """The array; NumPy turns a result without axes into a number, which this undoes."""
    return np.asarray(array) if isinstance(array, np.generic) else array


def check_gradient(where: str, grad: Array, array: Array) -> None:
    """The gradient by an array must have its shape and dtype."""
    if not hasattr(grad, "dtype") or grad.dtype != array.dtype:
        raise DtypeError(
            f"{where}: a gradient of type {getattr(grad, 'dtype', type(grad).__name__)}",
            cause=f"the array that it is the gradient by is of type {array.dtype}",
            fix="give an array of the same type",
        )
    if grad.shape != array.shape:
        raise ShapeError(
            f"{where}: a gradient of shape {grad.shape}",
            cause=f"the array that it is the gradient by has shape {array.shape}",
            fix=f"give a gradient of shape {array.shape}",
        )
