"""The arguments of a launch: each is checked and converted to what the kernel declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gpucnn.backend.cuda.sources import Declaration, Kernel, Parameter, structs_of_pointers
from gpucnn.errors import DtypeError, KernelError, ShapeError

if TYPE_CHECKING:
    from gpucnn.backend.cuda.launcher import Launcher

Convert = Callable[[Any], Any]


def arrays(
    text: str, declared: Sequence[Declaration], args: Sequence[Any]
) -> list[tuple[str, Any]]:
    """The arrays among some arguments and in their structs, each after its declared type.

    Args:
        text: of the source, with its includes put in.
        declared: the parameters, or the fields of a struct.
    """
    found = [  # the number of arguments is checked by the converters
        (one.type, arg)
        for one, arg in zip(declared, args, strict=False)
        if one.is_pointer and hasattr(arg, "dtype")
    ]
    if structs := structs_of_pointers(text):
        for one, arg in zip(declared, args, strict=False):
            if one.length and one.is_pointer:
                found += [(one.type, value) for value in arg if hasattr(value, "dtype")]
            elif not one.is_pointer and one.type in structs:
                for value in arg if one.length else [arg]:
                    found += arrays(text, structs[one.type], value)
    return found


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
    struct = _struct(launcher, where, parameter)
    # A training passes the same few structs in every step, unless they hold arrays.
    return struct if parameter.has_pointers else lru_cache(maxsize=256)(struct)


def _array(launcher: Launcher, where: str, dtype: np.dtype) -> Convert:
    owns = launcher.owns

    def array(value: Any) -> Any:
        if value is None:
            return None
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
    names = [field.name for field in parameter.fields]
    fields = [_field(launcher, f"{where}.{field.name}", field) for field in parameter.fields]

    def struct(values: tuple[Any, ...]) -> Any:
        if len(values) != len(names):
            raise KernelError(
                f"{where} has {len(names)} fields, {len(values)} numbers were given",
                cause="it is declared with " + ", ".join(names),
                fix="give one for each, in this order",
            )
        numbers = (convert(v) for convert, v in zip(fields, values, strict=True))
        return np.array(tuple(numbers), parameter.dtype)[()]

    return struct


def _field(launcher: Launcher, where: str, field: Parameter) -> Convert:
    """A field of a struct: an array becomes its address, and a list the elements of an array."""
    check, length = _converter(launcher, where, field), field.length

    def address(value: Any) -> int:
        return 0 if value is None else launcher.address(check(value))

    convert = address if field.is_pointer else check
    if length is None:
        return convert

    def elements(values: Sequence[Any]) -> Any:
        if len(values) > length:
            raise KernelError(
                f"{where} has {length} elements, {len(values)} were given",
                cause="it is declared with this length",
                fix="launch the kernel several times",
            )
        array = np.zeros(length, field.element)
        array[: len(values)] = [convert(value) for value in values]
        return array

    return elements
