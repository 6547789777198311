"""What a computation takes: arrays, and numbers and lists that get their dtype from the arrays.

A number of NumPy's, such as `np.sqrt(2)` gives, counts as a number of Python beside floats: it does
not make float32 float64.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from gpucnn.backend import Backend
from gpucnn.backend.contract import Array
from gpucnn.errors import DtypeError, GpucnnError, ShapeError


def is_array(value: Any) -> bool:
    """Whether a value has a dtype of its own: arrays have one, and numbers of NumPy's do not."""
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

    Beside floats it gets their dtype. Beside integers and bools it gets the dtype that NumPy gives
    the result: a list, or a number of NumPy's, counts as an array, and a number of Python's has no
    dtype of its own.

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
    """Arrays of which those of integers or bools are made floats.

    They get the dtype of the arrays that are floats already. Without such it is float32, or float64
    for integers of 32 bits and more, whose values float32 does not have.
    """
    if all([array.dtype.kind == "f" for array in arrays]):
        return arrays
    floats = [array.dtype for array in arrays if array.dtype.kind == "f"]
    dtype = floats[0] if floats else np.result_type(np.float32, *(a.dtype for a in arrays))
    return [array if array.dtype.kind == "f" else array.astype(dtype) for array in arrays]


def number(value: Any, call: str, name: str, instead: str) -> float:
    """An option of a function that is one number, as a number of Python.

    Args:
        call: the function, for the message: "power".
        name: the option, for the message: "the exponent".
        instead: what to write where it varies from element to element.

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
    """An array, also where NumPy makes a number of a result without axes."""
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
