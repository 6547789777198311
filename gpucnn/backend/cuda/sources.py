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


class Parameter(NamedTuple):
    """A parameter of one variant of a kernel."""

    name: str
    dtype: np.dtype  # of a number, a struct, or the elements behind a pointer
    is_pointer: bool
    is_const: bool  # as in `Declaration`
    is_restrict: bool


class Kernel(NamedTuple):
    """One variant of a kernel: its text and options, ready to be compiled."""

    source: str
    name: str
    text: str  # of the source, without its other kernels
    options: tuple[str, ...]  # -DNAME=VALUE
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
        constants: what the source is specialized by: NAME=value becomes -DNAME=value.

    Raises:
        KernelError: there is no such kernel, or it has a parameter that cannot be passed.
    """
    defined = {name: str(value) for name, value in constants.items()}
    if real is not None:
        defined["REAL"] = REAL[real]
    options = [f"-D{name}={value}" for name, value in defined.items()]
    if wide:
        options.append("-DWIDE")
    aliases = {"REAL": "float"} | _aliases(text) | defined
    aliases["index_t"] = "long long" if wide else "int"

    def dtype(declared: Declaration) -> np.dtype:
        type_ = declared.type
        while type_ not in _TYPES and type_ in aliases:
            type_ = aliases[type_]
        if type_ in _TYPES:
            return np.dtype(_TYPES[type_])
        fields = _structs(text).get(type_)
        if fields is None:
            raise KernelError(
                f"kernels/{source}.cu: {kernel} has a parameter {declared.name} of type "
                f"{declared.type}",
                cause=f"a launch passes {', '.join(_TYPES)}, and structs of them",
                fix="declare it as one of them, or as a typedef of one",
            )
        return np.dtype([(field.name, dtype(field)) for field in fields], align=True)

    parameters = tuple(
        Parameter(declared.name, dtype(declared), *declared[2:])
        for declared in signature(text, source, kernel)
    )
    return Kernel(source, kernel, _alone(text, kernel), tuple(options), parameters)


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
        _without_comments(text),
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
    """The fields of every struct whose declaration is like: int N, C; float scale;"""
    bodies = re.findall(r"struct\s+(\w+)\s*\{([^{}]*)\}\s*;", _without_comments(text))
    found = {}
    for name, body in bodies:
        lines = [line for line in map(str.strip, body.split(";")) if line]
        declared = [re.fullmatch(r"([\w\s]+)\s(\w+(?:\s*,\s*\w+)*)", line) for line in lines]
        if all(declared):
            found[name] = [
                Declaration(field.strip(), " ".join(line[1].split()))
                for line in declared
                if line is not None
                for field in line[2].split(",")
            ]
    return found


@cache
def _aliases(text: str) -> dict[str, str]:
    return {name: type_ for type_, name in re.findall(r"typedef\s+([\w ]+?)\s+(\w+)\s*;", text)}


@cache
def _without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
