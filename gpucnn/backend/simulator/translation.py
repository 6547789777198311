"""Translates PTX to C++ that the simulator's runtime executes."""

from __future__ import annotations

from gpucnn.backend.simulator.ptx import (
    Brace,
    Entry,
    Instruction,
    Label,
    Location,
    Parameter,
    Registers,
    Shared,
    read,
)
from gpucnn.backend.simulator.statements import Writer, cpp_register, cpp_type


def translate(text: str) -> str:
    """The only kernel of a text of PTX as C++, to be compiled like a kernel's source.

    Its lines are those of the source if the PTX was made with -lineinfo.

    Raises:
        KernelError: there is something in it that has no translation; the message names it.
    """
    entry = read(text)
    parameters = ", ".join(map(_parameter, entry.parameters))
    return "\n".join(
        [
            '#include "ptx.h"',
            "namespace ptx {",
            f'extern "C" __global__ void {entry.name}({parameters}) {{',
            *(f"SHARED_DYNAMIC(u8, {name});" for name in entry.dynamic),
            *_body(entry),
            "}",
            "}  // namespace ptx",
            f"using ptx::{entry.name};",
            f"GPUCNN_MOST_THREADS({entry.most_threads})",
        ]
    )


def _parameter(parameter: Parameter) -> str:
    if parameter.size is None:
        return f"{cpp_type(parameter.type)} {parameter.name}"
    return f"Struct<{parameter.size}, {parameter.align}> {parameter.name}"


def _body(entry: Entry) -> list[str]:
    """The statements; those that come from one line of the source are one line."""
    lines: list[list[str]] = [[]]
    types: dict[str, str] = {}
    writer = Writer(types)
    place = None
    for statement in entry.body:
        match statement:
            case Location() if statement != place:
                place = statement
                lines += [[f'#line {place.line} "{place.file}"'], []]
            case Registers(type_, names):
                types.update(dict.fromkeys(names, type_))
                declared = ", ".join(f"{cpp_register(name)} = Unwritten()" for name in names)
                lines[-1].append(f"{cpp_type(type_)} {declared};")
            case Shared(name, align, size):
                lines[-1].append(f"__shared__ __align__({align}) u8 {name}[{size}];")
            case Label(name):
                lines[-1].append(f"{name}:;")
            case Brace(text):
                lines[-1].append(text)
            case Instruction():
                lines[-1].append(writer.statement(statement))
    return [" ".join(line) for line in lines]
