"""Kernel launches: specialize a kernel, check and convert every argument, launch.

`Launcher` does what does not depend on where the kernel runs. `cupy_launcher` compiles with NVRTC
and launches on a GPU; the simulator's launcher compiles with a C++ compiler and runs on the CPU.
Nothing else in the project touches a raw kernel, which checks neither the number, nor the type,
nor the layout of what it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import numpy as np

from gpucnn.backend.cuda import sources
from gpucnn.backend.cuda.sources import Kernel, Parameter
from gpucnn.errors import DtypeError, GpucnnError, KernelError, ShapeError, UsageError

Array = Any  # of the launcher's device
Dim3 = tuple[int, int, int]
Size = int | tuple[int, ...]

# From here on offsets have 64 bits. Half of what 32 bits can hold, so that rounding up to a whole
# block, or adding the stride of a loop, cannot overflow.
_WIDE_FROM = 1 << 30
_MAX_GRID = (2**31 - 1, 65535, 65535)


class Launcher(ABC):
    """Compiles kernels once and launches them on the arrays of one device.

    Attributes:
        name: of the device, for messages: "cuda:0", "sim".
        multiprocessors: how many blocks run at once, which decides how far a reduction is split.
        wide: whether to use 64-bit offsets for arrays of every size.
        algorithm: of convolution and matrix product, one of `ALGORITHMS`, see `force_algorithm`;
            None chooses by the sizes.
    """

    name: str
    multiprocessors: int
    wide = False
    algorithm: str | None = None

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._variants: dict[Any, tuple[Any, list[Callable[[Any], Any]]]] = {}

    # ---- what a device implements ----------------------------------------------------------

    @abstractmethod
    def asarray(self, array: Any, dtype: Any = None) -> Array:
        """An array of this device from what NumPy makes an array of, or one of this device."""

    @abstractmethod
    def to_numpy(self, array: Array) -> np.ndarray:
        """A copy on the host; waits for the device."""

    @abstractmethod
    def owns(self, array: Any) -> bool:
        """Whether `array` lies on this device."""

    @abstractmethod
    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """Uninitialized memory, C-contiguous."""

    @abstractmethod
    def address(self, array: Array) -> int:
        """Where the first element lies, in bytes."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """All that the bits of a result depend on: device, driver, versions."""

    @abstractmethod
    def quiet_device(self) -> AbstractContextManager[Any]:
        """A context for a stretch of computation on this device."""

    @abstractmethod
    def _compile(self, kernel: Kernel) -> Any:
        """A handle for `_run`."""

    @abstractmethod
    def _run(self, handle: Any, grid: Dim3, block: Dim3, values: list[Any], shared: int) -> None:
        """Launches; values are arrays of this device, NumPy scalars, or None for a null pointer."""

    # ---- launching -------------------------------------------------------------------------

    def launch(
        self,
        source: str,
        kernel: str,
        grid: Size,
        block: Size,
        *args: Any,
        shared: int = 0,
        **constants: Any,
    ) -> None:
        """Launches one kernel; a grid with a zero in it launches nothing.

        `real` in the source becomes the type of the arrays that are given for it, `index_t` has
        64 bits if an array needs them.

        Args:
            source: the file kernels/SOURCE.cu.
            kernel: the name of the function.
            grid: number of blocks, up to three axes.
            block: threads of a block, up to three axes.
            args: arrays of this device, None for a null pointer, numbers, and for a struct a tuple
                of the numbers in its fields.
            shared: bytes of dynamic shared memory a block.
            constants: what the source is specialized by: NAME=value becomes -DNAME=value.

        Raises:
            DtypeError, ShapeError: an argument is not what the source declares.
            KernelError: it does not compile or cannot be launched.
        """
        handle, converters = self._variant(source, kernel, args, constants)
        values = [convert(arg) for convert, arg in zip(converters, args, strict=True)]
        grid, block = _dim3(grid), _dim3(block)
        if 0 in grid:
            return
        if any(not 0 < size <= limit for size, limit in zip(grid, _MAX_GRID, strict=True)):
            raise KernelError(
                f"{kernel}: a grid of {grid} blocks",
                cause=f"a GPU takes 1 to {_MAX_GRID}; the arrays are "
                + ", ".join(_shape(arg) for arg in args if _is_array(arg)),
                fix="use smaller arrays, or a smaller batch",
            )
        try:
            self._run(handle, grid, block, values, shared)
        except GpucnnError as error:
            raise self._named(error, kernel, args) from None

    def choose_algorithm(self, possible: Sequence[str], what: str) -> str:
        """The algorithm that `algorithm` asks for, else the first of those that take the arguments.

        Raises:
            UsageError: what is asked for does not take them.
        """
        if self.algorithm is None:
            return possible[0]
        if self.algorithm in possible:
            return self.algorithm
        raise UsageError(
            f"the {self.algorithm} kernel does not compute a {what}",
            cause=f"there is only: {', '.join(possible)}",
            fix="leave the algorithm to the backend (None)",
        )

    def add_source(self, source: str, text: str) -> None:
        """Makes a text known under a name, as if it stood in kernels/."""
        self._texts[source] = sources.expand(text, source)
        self._variants.clear()

    def text(self, source: str) -> str:
        """The text of kernels/SOURCE.cu with its includes put in."""
        return self._texts.get(source) or sources.read(source)

    def _variant(
        self, source: str, kernel: str, args: Sequence[Any], constants: Mapping[str, Any]
    ) -> tuple[Any, list[Callable[[Any], Any]]]:
        real, wide = self._chosen(source, kernel, args)
        key = (source, kernel, real, wide, *constants.items())
        found = self._variants.get(key)
        if found is None:
            text = self.text(source)
            variant = sources.specialize(text, source, kernel, real, wide, constants)
            converters = [self._converter(kernel, p) for p in variant.parameters]
            found = self._variants[key] = self._compile(variant), converters
        return found

    def _chosen(
        self, source: str, kernel: str, args: Sequence[Any]
    ) -> tuple[np.dtype | None, bool]:
        """The dtype that `real` stands for (None: no such argument), and whether to go wide."""
        parameters = sources.signature(self.text(source), source, kernel)
        if len(args) != len(parameters):
            raise KernelError(
                f"{kernel} takes {len(parameters)} arguments, {len(args)} were given",
                cause="it is declared with " + ", ".join(p.name for p in parameters),
                fix="give one for each",
            )
        real, wide = None, self.wide
        for parameter, arg in zip(parameters, args, strict=True):
            if parameter.is_pointer and _is_array(arg):
                wide = wide or arg.size >= _WIDE_FROM
                if parameter.type == "real" and real is None:
                    real = arg.dtype
        if real is not None and real not in sources.REAL:
            raise DtypeError(
                f"{kernel} on arrays of {real}",
                cause="kernels compute in float32 or float64",
                fix="convert with .astype(numpy.float32)",
            )
        return real, wide

    def _converter(self, kernel: str, parameter: Parameter) -> Callable[[Any], Any]:
        """Checks one argument and returns the value that is passed to the kernel."""
        where, dtype = f"{kernel}: {parameter.name}", parameter.dtype
        if not parameter.is_pointer:
            return _number_or_struct(where, dtype)
        owns = self.owns

        def array(value: Any) -> Any:
            if value is None:
                return None
            if not owns(value):
                raise DtypeError(
                    f"{where} is a {type(value).__module__}.{type(value).__name__}",
                    cause=f"it must be an array of {self.name}",
                    fix=f'convert it: gpucnn.backend.get("{self.name}").asarray(...)',
                )
            if value.dtype != dtype:
                raise DtypeError(
                    f"{where} is {value.dtype}",
                    cause=f"the kernel reads it as {dtype}",
                    fix=f"convert it with .astype({dtype})",
                )
            if not value.flags.c_contiguous:
                raise ShapeError(
                    f"{where} of shape {value.shape} is not C-contiguous",
                    cause="a kernel takes no strides",
                    fix="convert it with xp.ascontiguousarray",
                )
            return value

        return array

    def _named(self, error: GpucnnError, kernel: str, args: Sequence[Any]) -> GpucnnError:
        arrays = ", ".join(_shape(arg) for arg in args if _is_array(arg))
        error.message = f"{kernel} on {arrays}: {error.message}"
        error.args = (error.message,)
        return error


# ---- numbers and structs, by value -----------------------------------------------------------


def _number_or_struct(where: str, dtype: np.dtype) -> Callable[[Any], Any]:
    """Converts what a kernel takes by value to a NumPy scalar of a dtype."""
    if dtype.names is not None:
        return _struct(where, dtype)
    scalar = dtype.type
    if dtype.kind == "f":
        return lambda value: scalar(value)
    limits: Any = np.iinfo(dtype)

    def integer(value: Any) -> Any:
        number = int(value)
        if number != value or not limits.min <= number <= limits.max:
            raise ShapeError(
                f"{where} is {value}",
                cause=f"the kernel takes it as {dtype}, at most {limits.max}",
                fix="use smaller arrays",
            )
        return scalar(number)

    return integer


def _struct(where: str, dtype: np.dtype) -> Callable[[Any], Any]:
    names = dtype.names or ()
    converters = [_number_or_struct(f"{where}.{name}", dtype[name]) for name in names]

    @lru_cache(maxsize=256)  # a training passes the same few structs in every step
    def struct(values: tuple[Any, ...]) -> Any:
        if len(values) != len(names):
            raise KernelError(
                f"{where} has {len(names)} fields, {len(values)} numbers were given",
                cause="it is declared with " + ", ".join(names),
                fix="give one for each, in this order",
            )
        numbers = (convert(v) for convert, v in zip(converters, values, strict=True))
        return np.array(tuple(numbers), dtype)[()]

    return struct


# ---- small helpers -------------------------------------------------------------------------


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "flags")


def _shape(array: Any) -> str:
    return f"{tuple(array.shape)} {array.dtype}"


def _dim3(size: Size) -> Dim3:
    x, y, z, *_ = (*((size,) if isinstance(size, int) else size), 1, 1, 1)
    return x, y, z
