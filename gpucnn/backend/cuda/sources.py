"""Reading the kernels' sources: their text, their signatures, and one variant of a kernel.

This module works on text alone; a launcher compiles what it returns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from gpucnn.errors import KernelError

# The types of numbers in a signature, and the dtypes of the arguments.
_TYPES = {
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "unsigned int": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "unsigned char": np.uint8,
}
REAL = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


class Declaration(NamedTuple):
    """A parameter of a kernel, or a field of a struct, as the source declares it."""

    name: str
    type: str  # without const, __restrict__ and the star
    is_pointer: bool = False
    is_const: bool = False  # what a pointer points to
    is_restrict: bool = False
    length: str = ""  # of a field that is an array: a number, or a constant


class Parameter(NamedTuple):
    """A parameter of one variant of a kernel, or a field of a struct that is one."""

    name: str
    dtype: np.dtype  # of a number, a struct, or the elements behind a pointer
    is_pointer: bool
    is_const: bool = False  # as in `Declaration`
    is_restrict: bool = False
    fields: tuple[Parameter, ...] = ()  # of a struct
    length: int | None = None  # of a field that is an array

    @property
    def element(self) -> np.dtype:
        """What lies in memory: a pointer is an address."""
        return np.dtype(np.uintp) if self.is_pointer else self.dtype

    @property
    def has_pointers(self) -> bool:
        """Whether it is a pointer, or a struct that holds one."""
        return self.is_pointer or any(field.has_pointers for field in self.fields)


class Kernel(NamedTuple):
    """One variant of a kernel: its text, ready to be compiled."""

    source: str
    name: str
    constants: str  # that it is specialized by, for messages: "BM=64 REAL=float"
    text: str  # #define lines for the constants, then the source without its other kernels
    parameters: tuple[Parameter, ...]


@cache
def read(source: str) -> str:
    """The text of kernels/SOURCE.cu with its includes put in."""
    return expand(_file(f"{source}.cu"), source)


def expand(text: str, source: str) -> str:
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
                out += lines(_file(include[1]), include[1])
                out.append(f'#line {number + 1} "kernels/{name}"')
        return out

    return "\n".join(lines(text, f"{source}.cu")) + "\n"


def signature(text: str, source: str, kernel: str) -> tuple[Declaration, ...]:
    """The parameters of a kernel as its source declares them.

    Raises:
        KernelError: the source has no such kernel.
    """
    found = _signatures(text).get(kernel)
    if found is None:
        raise KernelError(
            f"kernels/{source}.cu has no kernel {kernel}",
            cause='it must be declared as: extern "C" __global__ void NAME(...)',
            fix=f"choose one of {', '.join(_signatures(text))}",
        )
    return found


def specialize(
    text: str,
    source: str,
    kernel: str,
    real: np.dtype | None,
    wide: bool,
    constants: Mapping[str, Any],
) -> Kernel:
    """One variant of a kernel.

    Args:
        text: of the source, with its includes put in.
        real: what `real` stands for, a key of `REAL`; None leaves it at float.
        wide: whether `index_t` has 64 bits.
        constants: what the source is specialized by: NAME=value becomes #define NAME value. They
            are no options of the compiler, as CuPy runs NVRTC once more for each set of options.

    Raises:
        KernelError: there is no such kernel, or it has a parameter that cannot be passed.
    """
    defined = {name: str(value) for name, value in constants.items()}
    if real is not None:
        defined["REAL"] = REAL[real]
    if wide:
        defined["WIDE"] = "1"
    aliases = {"REAL": "float"} | _aliases(text) | defined
    aliases["index_t"] = "long long" if wide else "int"

    def parameter(declared: Declaration) -> Parameter:
        name, type_ = declared.name, declared.type
        pointer = declared.is_pointer, declared.is_const, declared.is_restrict
        while type_ not in _TYPES and type_ in aliases:
            type_ = aliases[type_]
        number = aliases.get(declared.length, declared.length)
        length = int(number) if number.isdecimal() else None
        is_known = length is not None or not number
        if type_ in _TYPES and is_known:
            dtype = np.dtype(_TYPES[type_])
            return Parameter(name, dtype, *pointer, length=length)
        if type_ not in structs or not is_known:
            raise KernelError(
                f"kernels/{source}.cu: {kernel} has a parameter {name} of type {declared.type}"
                + f"[{number}]" * bool(number),
                cause=f"a launch passes {', '.join(_TYPES)}, and structs of them",
                fix="declare it as one of them, or as a typedef of one",
            )
        fields = tuple(map(parameter, structs[type_]))
        memory: list[Any] = [
            (f.name, f.element) if f.length is None else (f.name, f.element, f.length)
            for f in fields
        ]
        dtype = np.dtype(memory, align=True)
        return Parameter(name, dtype, *pointer, fields=fields, length=length)

    structs = _structs(text)
    parameters = tuple(map(parameter, signature(text, source, kernel)))
    written = " ".join(f"{name}={value}" for name, value in defined.items())
    macros = "".join(f"#define {name} {value}\n" for name, value in defined.items())
    return Kernel(source, kernel, written, macros + _alone(text, kernel), parameters)


def _file(name: str) -> str:
    return (resources.files("gpucnn.kernels") / name).read_text()


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
def _signatures(text: str) -> dict[str, tuple[Declaration, ...]]:
    """The parameters of every kernel of a text."""
    declared = re.findall(
        r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?'
        r"(\w+)\s*\(([^)]*)\)",
        without_comments(text),
    )
    return {
        name: tuple(_declaration(part) for part in inside.split(",") if part.strip())
        for name, inside in declared
    }


def _declaration(text: str) -> Declaration:
    words = re.sub(r"\b(const|__restrict__)\b|\*", " ", text).split()
    target, star, pointer = text.partition("*")
    return Declaration(
        words[-1],
        " ".join(words[:-1]),
        is_pointer=bool(star),
        is_const=bool(star) and "const" in target.split(),
        is_restrict="__restrict__" in pointer.split(),
    )


@cache
def _structs(text: str) -> dict[str, list[Declaration]]:
    """The fields of every struct whose declaration is like: int N, C; real *param, *slot[2];"""
    bodies = re.findall(r"struct\s+(\w+)\s*\{([^{}]*)\}\s*;", without_comments(text))
    name = r"\*?\s*\w+\s*(?:\[\w+\])?"
    found = {}
    for struct, body in bodies:
        lines = [line for line in map(str.strip, body.split(";")) if line]
        declared = [
            re.fullmatch(rf"([\w\s]+)(?<!\w)({name}(?:\s*,\s*{name})*)", line) for line in lines
        ]
        if all(declared):
            found[struct] = [
                _field(line[1], field)
                for line in declared
                if line is not None
                for field in line[2].split(",")
            ]
    return found


@cache
def structs_of_pointers(text: str) -> dict[str, list[Declaration]]:
    """The fields of every struct that holds a pointer, itself or in a struct within."""
    structs, found = _structs(text), dict[str, list[Declaration]]()
    for name, fields in structs.items():  # a struct is declared before it is used
        if any(field.is_pointer or field.type in found for field in fields):
            found[name] = fields
    return found


def _field(type_: str, text: str) -> Declaration:
    declared = _declaration(f"{type_} {text.partition('[')[0]}")
    return declared._replace(length=text.partition("[")[2].strip(" ]"))


@cache
def _aliases(text: str) -> dict[str, str]:
    return {name: type_ for type_, name in re.findall(r"typedef\s+([\w ]+?)\s+(\w+)\s*;", text)}


@cache
def without_comments(text: str) -> str:
    """The text with a space in place of each comment."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
