"""Memory of the simulated device, and the array module over it.

They behave as CuPy's do where NumPy's would differ. Every result is an array of the device, also a
0-d one. Host arrays are refused; Python's and NumPy's numbers are taken. Infinities and NaN raise
no warning. Only the functions listed here exist, so that the simulator has nothing that CuPy lacks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpucnn.errors import DtypeError

Shape = int | Sequence[int]

# Names that NumPy and CuPy have with one meaning. All take and return arrays of the device.
_UFUNCS = """
    abs absolute add ceil cos divide equal exp expm1 floor floor_divide greater greater_equal
    invert isfinite isinf isnan less less_equal log log1p logaddexp logical_and logical_not
    logical_or maximum minimum mod multiply negative not_equal positive power reciprocal
    remainder rint sign sin sqrt square subtract tanh true_divide bitwise_and bitwise_or
    bitwise_xor left_shift right_shift
"""
_FUNCTIONS = """
    all any arange argmax argmin array_equal broadcast_to clip concatenate copyto count_nonzero
    cumsum expand_dims eye full full_like max may_share_memory mean min moveaxis ndim ones ones_like
    pad prod ravel repeat reshape result_type shape size squeeze stack sum swapaxes take
    take_along_axis transpose var where zeros zeros_like
"""
_CONSTANTS = """
    bool_ dtype float16 float32 float64 inf int8 int16 int32 int64 nan newaxis pi
    uint8 uint16 uint32 uint64
"""
# Methods that would give a number, or use a function of NumPy that is not listed.
_METHODS = "all any argmax argmin clip cumsum max mean min prod round sum take var"
_LISTED_UFUNCS = frozenset(_UFUNCS.split())


class DeviceArray(np.ndarray):
    """An array in the memory of the simulated device."""

    # Whether it alone holds its memory, which NumPy shows as a view of the array it was made from.
    _owns_memory = False

    @property
    def base(self) -> Any:
        """The array that this is a view of, or None."""
        return None if self._owns_memory else super().base

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple[Any, ...] = (), **options: Any
    ) -> Any:
        if ufunc.__name__ not in _LISTED_UFUNCS:
            raise _missing(ufunc.__name__)
        given = [_operand(value) for value in inputs]
        for name, value in options.items():
            options[name] = _plain(value)
        if out:
            options["out"] = tuple(_plain(array) for array in out)
        with np.errstate(all="ignore"):
            result = getattr(ufunc, method)(*given, **options)
        if not out:
            return _device(result)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return getattr(xp, func.__name__)(*args, **kwargs)

    def __getitem__(self, index: Any) -> Any:
        # With an ellipsis, what would be a number is a view of it.
        parts = index if isinstance(index, tuple) else (index,)
        if not any(part is ... for part in parts):
            parts = (*parts, ...)
        return super().__getitem__(parts)

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, _operand(value))

    def fill(self, value: Any) -> None:
        """Sets every element to a number."""
        super().fill(_operand(value))

    def __repr__(self) -> str:
        return repr(_plain(self)).replace("array", type(self).__name__, 1)

    def __str__(self) -> str:
        return str(_plain(self))


def device_array(array: Any, dtype: Any = None) -> Any:
    """An array of the device with the values of what NumPy makes an array of; a copy of those.

    One of the device is given back as it is, unless its dtype is to change.
    """
    if isinstance(array, DeviceArray):
        return array if dtype is None else array.astype(dtype, copy=False)
    return _device(np.array(array, dtype=dtype, order="C"))


def empty(shape: Shape, dtype: Any = float) -> DeviceArray:
    """Uninitialized memory: all bits are set, which is NaN for floats and -1 for integers."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8).fill(0xFF)
    return _device(array)


class Module:
    """The array module `xp` of the simulated device."""

    ndarray = DeviceArray
    asarray = staticmethod(device_array)
    empty = staticmethod(empty)

    def empty_like(self, array: DeviceArray, dtype: Any = None) -> DeviceArray:
        """Uninitialized memory of the shape of an array."""
        return empty(array.shape, _operand(array).dtype if dtype is None else dtype)

    def ascontiguousarray(self, array: DeviceArray, dtype: Any = None) -> Any:
        """The array itself if it is C-contiguous, else a copy that is."""
        _operand(array)
        return array.astype(array.dtype if dtype is None else dtype, order="C", copy=False)

    def asnumpy(self, array: DeviceArray) -> np.ndarray:
        """A copy on the host."""
        return np.array(array, subok=False)

    def __getattr__(self, name: str) -> Any:
        raise _missing(name)


def _operand(value: Any) -> Any:
    """An array of the device, or a number, as NumPy takes it; refuses all else."""
    if isinstance(value, (DeviceArray, bool, int, float, complex, np.generic)):
        return _plain(value)
    raise DtypeError(
        f"an array of the simulator together with a {type(value).__module__}."
        f"{type(value).__name__}",
        cause="the memory of a device and that of the host do not mix, as in CuPy",
        fix='convert it first: gpucnn.backend.get("sim").asarray(...)',
    )


def _plain(value: Any) -> Any:
    """Arrays of the device as NumPy's, also in lists; other arrays are refused."""
    if isinstance(value, np.ndarray):
        if not isinstance(value, DeviceArray):
            return _operand(value)
        return value.view(np.ndarray)
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value


def _device(value: Any) -> Any:
    """NumPy's arrays and numbers as arrays of the device."""
    if isinstance(value, (np.ndarray, np.generic)):
        plain = np.asarray(value)
        array = plain.view(DeviceArray)
        array._owns_memory = plain.base is None
        return array
    if isinstance(value, (list, tuple)):
        return type(value)(_device(item) for item in value)
    return value


def _on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy's as one of the device's."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        given = {name: _plain(value) for name, value in options.items()}
        with np.errstate(all="ignore"):
            return _device(function(*_plain(args), **given))

    return call


def _missing(name: str) -> AttributeError:
    return AttributeError(
        f"the simulator's array module has no {name}: it has only what gpucnn uses of CuPy "
        "without cuBLAS and cuRAND, the lists in gpucnn/backend/simulator/arrays.py"
    )


for _name in _METHODS.split():
    setattr(DeviceArray, _name, _on_device(getattr(np.ndarray, _name)))
for _name in (_UFUNCS + _FUNCTIONS).split():
    setattr(Module, _name, staticmethod(_on_device(getattr(np, _name))))
for _name in _CONSTANTS.split():
    setattr(Module, _name, getattr(np, _name))

xp = Module()
