"""Checks of arguments that several families share."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from gpucnn.backend.contract.arrays import Array, Arrays, Scalar
from gpucnn.errors import DtypeError, ShapeError, UsageError

_FLOATS = "<f4", "<f8"  # one of them in a call; "<": native, which byte-swapped arrays are not


class Checks(Arrays):
    """Checks that need to know which arrays are of this backend."""

    def _check_owned(self, **arrays: Array | None) -> None:
        for name, array in arrays.items():
            if array is not None and not self.owns(array):
                raise DtypeError(
                    f"{name} is a {type(array).__module__}.{type(array).__name__}",
                    cause=f"the backend {self.name} computes on its own arrays only",
                    fix=f'convert it first: gpucnn.backend.get("{self.name}").asarray({name})',
                )

    def _check_floats(self, **arrays: Array | None) -> None:
        dtype = None
        for array in arrays.values():
            if array is None:
                continue
            if not self.owns(array) or (dtype is not None and array.dtype != dtype):
                break
            dtype = array.dtype
        else:
            if dtype is not None and dtype.str in _FLOATS:
                return
        self._check_owned(**arrays)
        dtypes = {name: array.dtype for name, array in arrays.items() if array is not None}
        (name, first), *others = dtypes.items()
        weights = {dtype for _, dtype in others if dtype.str in _FLOATS}
        if name in ("x", "a") and len(weights) == 1:
            check_input(first, weights.pop())
        raise DtypeError(
            "dtypes do not fit: " + ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items()),
            cause="all must be float32, or all float64",
            fix="convert with .astype(numpy.float32)",
        )

    def _check_integers(self, **arrays: Array) -> None:
        self._check_owned(**arrays)
        for name, array in arrays.items():
            if array.dtype.kind not in "iu":
                raise DtypeError(
                    f"{name} is {array.dtype}",
                    cause="it must hold integers",
                    fix="convert with .astype(numpy.int32)",
                )

    def _check_scalar(self, name: str, value: Scalar) -> None:
        if self.owns(value):
            if value.size != 1:
                raise ShapeError(
                    f"{name} has shape {value.shape}", cause="it is one number", fix="pass (1,)"
                )
            if value.dtype.kind not in "biuf":
                raise DtypeError(
                    f"{name} is {value.dtype}", cause="it must be real", fix="convert it to float32"
                )
        else:
            check_number(name, value, f"a number, or an array (1,) of {self.name}")


def check_number(name: str, value: Any, wanted: str = "a number") -> None:
    """`DtypeError` if an option is no real number; a bool counts as one."""
    if not isinstance(value, (float, int, numbers.Real, np.bool)):
        raise DtypeError(
            f"{name} is a {type(value).__module__}.{type(value).__name__}",
            cause=f"it must be {wanted}",
            fix=f"pass {name} as a number",
        )


def check_numbers(**options: Any) -> None:
    """`DtypeError` if one of the options is no real number."""
    for name, value in options.items():
        if type(value) is not float:  # of most options, in each update of each parameter
            check_number(name, value)


def check_count(name: str, value: float, first: int = 0) -> None:
    """`UsageError` if a number is not a whole one of 32 bits, from `first` on."""
    if not (first <= value < 2**32 and value == int(value)):
        raise UsageError(
            f"{name} is {value:.12g}",
            cause=f"it is counted from {first}, in whole numbers of 32 bits",
            fix=f"pass {name}={first}",
        )


def check_input(given: Any, expected: Any) -> None:
    """`DtypeError` if the dtype of an input is not that of the weights."""
    if given != expected:
        scaling = " / 255" if given == "uint8" else ""
        raise DtypeError(
            f"the input is {given}, the weights are {expected}",
            cause="both must be float32, or both float64",
            fix=f"convert the input, as in x.astype(numpy.{expected}){scaling}",
        )


def check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """`ShapeError` if an array does not have the shape that the other arguments ask for."""
    if array.shape != shape:
        raise ShapeError(
            f"{name} has shape {array.shape}",
            cause=f"the other arguments ask for {shape}",
            fix=f"pass a {name} of shape {shape}",
        )


def check_in_place(name: str, array: Array) -> None:
    """An array that a primitive changes: it can be written to, and is C-contiguous."""
    flags = array.flags
    if not getattr(flags, "writeable", True):  # CuPy's arrays always are
        raise UsageError(
            f"{name} is read-only",
            cause="an update works in place",
            fix="make it of an array that can be written to, such as array.copy()",
        )
    if not flags.c_contiguous:
        raise ShapeError(
            f"{name} is not C-contiguous",
            cause="an update in place works on the memory of the array itself",
            fix="keep it as numpy.ascontiguousarray gives it",
        )


def check_state(name: str, array: Array, shape: tuple[int, ...], dtype: str) -> None:
    """An array that is changed in place."""
    if array.shape != shape or array.dtype != dtype:
        error = ShapeError if array.dtype == dtype else DtypeError
        raise error(
            f"{name} is {array.dtype} of shape {tuple(array.shape)}",
            cause="it is changed in place",
            fix=f"pass a {dtype} array of shape {shape}",
        )
    check_in_place(name, array)


def check_channels(name: str, array: Array) -> None:
    """`ShapeError` if an array has no batch and channel axis."""
    if array.ndim < 2:
        raise ShapeError(
            f"{name} has shape {tuple(array.shape)}",
            cause="it must have a batch and a channel axis: (N, C) or (N, C, ...)",
            fix="reshape it",
        )


def check_activation(activation: str | None) -> None:
    """`UsageError` if an activation is none that a primitive can fuse."""
    if activation not in (None, "relu"):
        raise UsageError(
            f"activation {activation!r} cannot be fused",
            cause='a primitive takes None or "relu"',
            fix="apply the function of gpucnn.functions to the result",
        )
