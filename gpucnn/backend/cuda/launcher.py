"""Kernel launches: read a source, specialise it, check every argument, launch.

`Launcher` does what does not depend on where the kernel runs. `cupy_launcher` compiles with NVRTC
and launches on a GPU; the simulator's launcher compiles with a C++ compiler and runs on the CPU.
Nothing else in the project touches a raw kernel, which checks neither the number, nor the type,
nor the layout of what it is given.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from gpucnn.errors import DtypeError, GpucnnError, KernelError, ShapeError, UsageError

Array = Any  # of the launcher's device
Dim3 = tuple[int, int, int]
Size = int | tuple[int, ...]

# What a parameter may be declared as, and the dtype that an argument then has.
_TYPES = {
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "unsigned int": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "unsigned char": np.uint8,
}
_REAL = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
# From here on offsets have 64 bits. Half of what 32 bits can hold, so that rounding up to a whole
# block, or adding the stride of a loop, cannot overflow.
_WIDE_FROM = 1 << 30
_MAX_GRID = (2**31 - 1, 65535, 65535)


class Parameter(NamedTuple):
    """One parameter as the source declares it."""

    name: str
    type: str  # without const, __restrict__ and the star
    is_pointer: bool


class Kernel(NamedTuple):
    """One variant of a kernel: its text and options, ready to be compiled."""

    source: str
    name: str
    text: str  # of the source, without its other kernels
    options: tuple[str, ...]  # -DNAME=VALUE
    parameters: tuple[Parameter, ...]  # types resolved to those of C


class Launcher(ABC):
    """Compiles kernels once and launches them on the arrays of one device.

    Attributes:
        name: of the device, for messages: "cuda:0", "sim".
        multiprocessors: how many blocks run at once, which decides how far a reduction is split.
        wide: whether to use 64-bit offsets for arrays of every size.
        algorithm: the convolution kernels to use, "naive", "tiled" or "direct"; None chooses.
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
        """Uninitialised memory, C-contiguous."""

    @abstractmethod
    def address(self, array: Array) -> int:
        """Where the first element lies, in bytes."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What the bits of a result depend on: device, driver, versions."""

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
            args: arrays of this device, numbers, or None for a null pointer.
            shared: bytes of dynamic shared memory a block.
            constants: what the source is specialised by: NAME=value becomes -DNAME=value.

        Raises:
            DtypeError, ShapeError: an argument is not what the source declares.
            KernelError: it does not compile or cannot be launched.
        """
        handle, converters = self._variant(source, kernel, args, constants)
        values = [convert(arg) for convert, arg in zip(converters, args, strict=True)]
        grid, block = _dim3(grid), _dim3(block)
        if 0 in grid:
            return
        if any(size > limit for size, limit in zip(grid, _MAX_GRID, strict=True)):
            raise KernelError(
                f"{kernel}: a grid of {grid} blocks",
                cause=f"a GPU takes at most {_MAX_GRID}; the arrays are "
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
        self._texts[source] = _expand(text, source)
        self._variants.clear()

    def text(self, source: str) -> str:
        """The text of kernels/SOURCE.cu with its includes put in."""
        return self._texts.get(source) or _text(source)

    def _variant(
        self, source: str, kernel: str, args: Sequence[Any], constants: Mapping[str, Any]
    ) -> tuple[Any, list[Callable[[Any], Any]]]:
        real, wide = self._chosen(source, kernel, args)
        key = (source, kernel, real, wide, *constants.items())
        found = self._variants.get(key)
        if found is None:
            variant = self._resolve(source, kernel, real, wide, constants)
            converters = [self._converter(variant, p) for p in variant.parameters]
            found = self._variants[key] = self._compile(variant), converters
        return found

    def _chosen(
        self, source: str, kernel: str, args: Sequence[Any]
    ) -> tuple[np.dtype | None, bool]:
        """The dtype that `real` stands for (None: no such argument), and whether to go wide."""
        parameters = self._parameters(source, kernel)
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
        if real is not None and real not in _REAL:
            raise DtypeError(
                f"{kernel} on arrays of {real}",
                cause="kernels compute in float32 or float64",
                fix="convert with .astype(numpy.float32)",
            )
        return real, wide

    def _parameters(self, source: str, kernel: str) -> tuple[Parameter, ...]:
        parameters = _signatures(self.text(source)).get(kernel)
        if parameters is None:
            raise KernelError(
                f"kernels/{source}.cu has no kernel {kernel}",
                cause='it must be declared as: extern "C" __global__ void NAME(...)',
                fix=f"choose one of {', '.join(_signatures(self.text(source)))}",
            )
        return parameters

    def _resolve(
        self,
        source: str,
        kernel: str,
        real: np.dtype | None,
        wide: bool,
        constants: Mapping[str, Any],
    ) -> Kernel:
        text = self.text(source)
        defined = {name: str(value) for name, value in constants.items()}
        if real is not None:
            defined["REAL"] = _REAL[real]
        options = [f"-D{name}={value}" for name, value in defined.items()]
        if wide:
            options.append("-DWIDE")
        aliases = _aliases(text) | defined
        aliases["index_t"] = "long long" if wide else "int"
        aliases.setdefault("REAL", "float")
        parameters = []
        for parameter in self._parameters(source, kernel):
            type_ = parameter.type
            while type_ not in _TYPES and type_ in aliases:
                type_ = aliases[type_]
            if type_ not in _TYPES:
                raise KernelError(
                    f"kernels/{source}.cu: {kernel} has a parameter {parameter.name} of type "
                    f"{parameter.type}",
                    cause=f"a launch knows {', '.join(_TYPES)}",
                    fix="declare it as one of them, or as a typedef of one",
                )
            parameters.append(parameter._replace(type=type_))
        return Kernel(source, kernel, _alone(text, kernel), tuple(options), tuple(parameters))

    def _converter(self, kernel: Kernel, parameter: Parameter) -> Callable[[Any], Any]:
        """What checks one argument and gives the value that is passed to the kernel."""
        dtype = np.dtype(_TYPES[parameter.type])
        where = f"{kernel.name}: {parameter.name}"
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
                    cause="a kernel knows no strides",
                    fix="convert it with xp.ascontiguousarray",
                )
            return value

        if parameter.is_pointer:
            return array
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

    def _named(self, error: GpucnnError, kernel: str, args: Sequence[Any]) -> GpucnnError:
        arrays = ", ".join(_shape(arg) for arg in args if _is_array(arg))
        error.message = f"{kernel} on {arrays}: {error.message}"
        error.args = (error.message,)
        return error


# ---- reading sources -----------------------------------------------------------------------


@cache
def _text(source: str) -> str:
    return _expand(_read(f"{source}.cu"), source)


def _read(name: str) -> str:
    return (resources.files("gpucnn.kernels") / name).read_text()


def _expand(text: str, source: str) -> str:
    """Puts included files in, once each, as text: a cache of compilations knows the text alone."""
    included: set[str] = set()

    def lines(text: str, name: str) -> list[str]:
        out = [f'#line 1 "kernels/{name}"']
        for number, line in enumerate(text.splitlines(), 1):
            include = re.fullmatch(r'\s*#include "(\w+\.cuh)".*', line)
            if include is None:
                out.append("" if line.strip() == "#pragma once" else line)
            elif include[1] in included:
                out.append("")
            else:
                included.add(include[1])
                out += lines(_read(include[1]), include[1])
                out.append(f'#line {number + 1} "kernels/{name}"')
        return out

    return "\n".join(lines(text, f"{source}.cu")) + "\n"


@cache
def _alone(text: str, kernel: str) -> str:
    """The text without the other kernels, whose compilation would take as long as this one's."""

    def without(found: re.Match[str]) -> str:
        # Lines keep their numbers.
        return found[0] if kernel in _signatures(found[0]) else "\n" * found[0].count("\n")

    # A kernel ends with its line, or with a brace at the beginning of one.
    whole = r'^extern "C" __global__(?:[^\n]*\}$|.*?^\}$)'
    return re.sub(whole, without, text, flags=re.MULTILINE | re.DOTALL)


@cache
def _signatures(text: str) -> dict[str, tuple[Parameter, ...]]:
    """The parameters of every kernel of a text."""
    bare = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    declared = re.findall(
        r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?'
        r"(\w+)\s*\(([^)]*)\)",
        bare,
    )
    return {
        name: tuple(_parameter(part) for part in inside.split(",") if part.strip())
        for name, inside in declared
    }


def _parameter(declaration: str) -> Parameter:
    words = re.sub(r"\b(const|__restrict__)\b|\*", " ", declaration).split()
    return Parameter(words[-1], " ".join(words[:-1]), "*" in declaration)


@cache
def _aliases(text: str) -> dict[str, str]:
    return {name: type_ for type_, name in re.findall(r"typedef\s+([\w ]+?)\s+(\w+)\s*;", text)}


# ---- small helpers -------------------------------------------------------------------------


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "flags")


def _shape(array: Any) -> str:
    return f"{tuple(array.shape)} {array.dtype}"


def _dim3(size: Size) -> Dim3:
    x, y, z, *_ = (*((size,) if isinstance(size, int) else size), 1, 1, 1)
    return x, y, z
