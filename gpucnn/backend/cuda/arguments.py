"""The arguments of a launch: each is checked and converted to what the kernel declares."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn.backend.cuda.sources import Declaration, Kernel, Parameter, structs_of_pointers
from gpucnn.errors import DtypeError, KernelError, ShapeError

if TYPE_CHECKING:
    from gpucnn.backend.cuda.launcher import Launcher

# The formats of `struct` for the numbers and addresses that lie in a struct of a kernel.
_FORMATS = {
    np.dtype(type_): np.dtype(type_).char
    for type_ in (np.float32, np.float64, np.int32, np.uint32, np.uint8)
} | {np.dtype(np.int64): "q", np.dtype(np.uint64): "Q"}

Convert = Callable[[Any], Any]
Append = Callable[[Any, list[Any]], None]
Find = Callable[[Sequence[Any]], list[tuple[str, Any]]]


def finder(text: str, declared: Sequence[Declaration]) -> Find:
    """A function that finds the arrays among some arguments, each after its declared type.

    Also those in structs. It finds nothing where the number of arguments is wrong.

    Args:
        text: of the source, with its includes put in.
        declared: the parameters, or the fields of a struct.
    """
    structs = structs_of_pointers(text)
    single = [(i, d.type) for i, d in enumerate(declared) if d.is_pointer and not d.length]
    several = [(i, d.type) for i, d in enumerate(declared) if d.is_pointer and d.length]
    nested = [
        (i, bool(d.length), finder(text, structs[d.type]))
        for i, d in enumerate(declared)
        if not d.is_pointer and d.type in structs
    ]

    def find(args: Sequence[Any]) -> list[tuple[str, Any]]:
        if len(args) != len(declared):
            return []
        found = [(type_, args[i]) for i, type_ in single if hasattr(args[i], "dtype")]
        for i, type_ in several:
            found += [(type_, value) for value in args[i] if hasattr(value, "dtype")]
        for i, has_length, find_within in nested:
            for value in args[i] if has_length else [args[i]]:
                found += find_within(value)
        return found

    return find


def is_array(value: Any) -> bool:
    """Whether it is an array of any device."""
    return hasattr(value, "dtype") and hasattr(value, "flags")


def converters(launcher: Launcher, kernel: Kernel) -> list[Convert]:
    """For each parameter: checks an argument and returns the value that `Launcher._run` takes."""
    return [_converter(launcher, f"{kernel.name}: {p.name}", p) for p in kernel.parameters]


def _converter(launcher: Launcher, where: str, parameter: Parameter) -> Convert:
    if parameter.is_pointer:
        return _array(launcher, where, parameter.dtype)
    if not parameter.fields:
        return _number(where, parameter.dtype)
    convert = _struct(launcher, where, parameter)
    # A training passes the same few structs in every step, unless they hold arrays.
    return convert if parameter.has_pointers else lru_cache(maxsize=256)(convert)


def _array(launcher: Launcher, where: str, dtype: np.dtype) -> Convert:
    owns, null = launcher.owns, launcher.null

    def array(value: Any) -> Any:
        if value is None:
            return null
        if not owns(value):
            raise DtypeError(
                f"{where} is a {type(value).__module__}.{type(value).__name__}",
                cause=f"it must be an array of {launcher.name}",
                fix=f'convert it: gpucnn.backend.get("{launcher.name}").asarray(...)',
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


def _number(where: str, dtype: np.dtype) -> Convert:
    scalar = dtype.type
    if dtype.kind == "f":
        return lambda value: scalar(value)
    limits: Any = np.iinfo(dtype)
    least, most = limits.min, limits.max

    @lru_cache(maxsize=1024)  # a training passes the same few numbers in every step
    def integer(value: Any) -> Any:
        number = int(value)
        if number != value or not least <= number <= most:
            raise ShapeError(
                f"{where} is {value}",
                cause=f"the kernel takes it as {dtype}, at most {most}",
                fix="use smaller arrays",
            )
        return scalar(number)

    return integer


def _struct(launcher: Launcher, where: str, parameter: Parameter) -> Convert:
    dtype = parameter.dtype
    pack = struct.Struct("=" + _layout(dtype)).pack
    append = _fields(launcher, where, parameter)

    def convert(values: tuple[Any, ...]) -> Any:
        numbers: list[Any] = []
        append(values, numbers)
        return np.frombuffer(pack(*numbers), dtype)[0]

    return convert


def _layout(dtype: np.dtype) -> str:
    """The format of a type for `struct`; padding is written out, as that knows no structs in it."""
    if dtype.subdtype is not None:
        element, (length,) = dtype.subdtype
        return _layout(element) * length
    if dtype.fields is None:
        return _FORMATS[dtype]
    parts, end = [], 0
    for field, offset, *_ in dtype.fields.values():
        parts.append("x" * (offset - end) + _layout(field))
        end = offset + field.itemsize
    return "".join(parts) + "x" * (dtype.itemsize - end)


def _fields(launcher: Launcher, where: str, parameter: Parameter) -> Append:
    """For the fields of a struct: checks them and appends the numbers that lie in memory."""
    fields = parameter.fields
    appends = [_field(launcher, f"{where}.{field.name}", field) for field in fields]

    def append(values: tuple[Any, ...], numbers: list[Any]) -> None:
        if len(values) != len(appends):
            raise KernelError(
                f"{where} has {len(appends)} fields, {len(values)} numbers were given",
                cause="it is declared with " + ", ".join(field.name for field in fields),
                fix="give one for each, in this order",
            )
        for append_field, value in zip(appends, values, strict=True):
            append_field(value, numbers)

    return append


def _field(launcher: Launcher, where: str, field: Parameter) -> Append:
    """A field of a struct: an array becomes its address, and a list the elements of an array."""
    if field.fields:
        append = _fields(launcher, where, field)
    else:
        check = _converter(launcher, where, field)

        def append(value: Any, numbers: list[Any]) -> None:
            if not field.is_pointer:
                numbers.append(check(value))
            elif value is None:
                numbers.append(0)
            else:
                numbers.append(launcher.address(check(value)))

    length = field.length
    if length is None:
        return append
    zeros = [0] * (len(_layout(field.element).replace("x", "")))

    def append_elements(values: Sequence[Any], numbers: list[Any]) -> None:
        if len(values) > length:
            raise KernelError(
                f"{where} has {length} elements, {len(values)} were given",
                cause="it is declared with this length",
                fix="launch the kernel several times",
            )
        for value in values:
            append(value, numbers)
        numbers += zeros * (length - len(values))

    return append_elements
