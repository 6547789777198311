"""Reads PTX: the text that NVRTC makes of one kernel, as parameters, variables and statements.

It reads what NVRTC writes (PTX ISA, "Syntax" and "State Spaces"), not all that one may write.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from gpucnn.errors import KernelError


class Parameter(NamedTuple):
    """A parameter of the kernel: a number, a pointer, or the bytes of a struct."""

    name: str
    type: str  # of PTX: u64, f32; b8 for a struct
    align: int | None = None  # of a struct, in bytes
    size: int | None = None  # of a struct, in bytes


class Shared(NamedTuple):
    """A variable in shared memory."""

    name: str
    align: int
    size: int


class Registers(NamedTuple):
    """A declaration of registers."""

    type: str
    names: tuple[str, ...]  # %r0, %r1


class Location(NamedTuple):
    """The place in the kernel's source that the statements behind it come from."""

    file: str
    line: int


class Label(NamedTuple):
    """The target of branches."""

    name: str


class Brace(NamedTuple):
    """The beginning or the end of a scope with registers of its own."""

    text: str


class Instruction(NamedTuple):
    """One instruction: @%p1 fma.rn.f32 %f1, %f2, %f3, %f4;"""

    guard: str  # the predicate it depends on: "", "%p1" or "!%p1"
    opcode: str
    operands: tuple[str, ...]  # as they are written; {%r1,%r2} is one

    def __str__(self) -> str:
        guard = f"@{self.guard} " if self.guard else ""
        return f"{guard}{self.opcode} {', '.join(self.operands)}".rstrip()


Statement = Registers | Shared | Location | Label | Brace | Instruction


class Entry(NamedTuple):
    """A kernel."""

    name: str
    parameters: tuple[Parameter, ...]
    most_threads: int  # of a block
    dynamic: tuple[str, ...]  # names of the shared memory whose size the launch gives
    body: tuple[Statement, ...]


# Behind the kernel: the names of the source files, and of functions that were inlined.
_DEBUGGING = r"(?:\s*\.file[^\n]*|\s*\.section\s+\S+\s*\{[^}]*\})*\s*"


def read(text: str) -> Entry:
    """The only kernel of a text.

    Raises:
        KernelError: there is none, there are several, or the text has something unknown.
    """
    files = {
        int(number): "/".join(PurePosixPath(path).parts[-2:])  # NVRTC writes it as absolute
        for number, path in re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', text, re.MULTILINE)
    }
    text = re.sub(r"//[^\n]*", "", text)
    found = re.fullmatch(
        r"(?P<head>.*?)\.visible\s+\.entry\s+(?P<name>\w+)\s*\((?P<parameters>[^)]*)\)"
        r"(?P<directives>[^{]*)\{(?P<body>.*?)\n\}(?P<tail>.*)",
        text,
        re.DOTALL,
    )
    if found is None:
        raise unreadable("a text without a kernel")
    dynamic = tuple(_dynamic(found["head"]))
    if found["tail"] and not re.fullmatch(_DEBUGGING, found["tail"]):
        raise unreadable(f"what stands behind the kernel: {found['tail'].strip()}")
    parameters = tuple(map(_parameter, _split(found["parameters"])))
    bounds = re.search(r"\.maxntid\s+(\d+),\s*(\d+),\s*(\d+)", found["directives"])
    most_threads = math.prod(map(int, bounds.groups())) if bounds else 1024
    body = tuple(_statements(found["body"], files))
    return Entry(found["name"], parameters, most_threads, dynamic, body)


def unreadable(what: str) -> KernelError:
    """The error for a piece of PTX that has no translation."""
    return KernelError(
        f"its PTX has no translation to C++: {what}",
        cause="the simulator knows the PTX that the kernels have used so far",
        fix="unset GPUCNN_SIM_FROM; or add it to gpucnn/backend/simulator/opcodes.py, with a test",
    )


def _dynamic(head: str) -> Iterator[str]:
    """The names of dynamic shared memory among the directives before the kernel."""
    for line in filter(None, map(str.strip, head.splitlines())):
        if found := re.fullmatch(r"\.extern \.shared \.align \d+ \.b8 (\w+)\[\];", line):
            yield found[1]
        elif not re.match(r"\.(version|target|address_size)\b", line):
            raise unreadable(line)


def _parameter(text: str) -> Parameter:
    """.param .u64 x, .param .u64 .ptr .align 1 x, or .param .align 8 .b8 x[40]"""
    if found := re.fullmatch(r"\.param \.align (\d+) \.b8 (\w+)\[(\d+)\]", text):
        return Parameter(found[2], "b8", int(found[1]), int(found[3]))
    found = re.fullmatch(r"\.param \.(\w+) (?:\.ptr (?:\.global )?\.align \d+ )?(\w+)", text)
    if found is None:
        raise unreadable(text)
    return Parameter(found[2], found[1])


_STATEMENT = re.compile(
    r"""\s*(?:
        \.loc\s+(?P<file>\d+)\s+(?P<line>\d+)[^\n]*
        | (?P<label>\$\w+):
        | (?P<brace>[{}])
        | \.pragma[^;]*;
        | \.reg\s+\.(?P<type>\w+)\s+(?P<register>%?\w+)(?:<(?P<count>\d+)>)?\s*;
        | \.shared\s+\.align\s+(?P<align>\d+)\s+\.b8\s+(?P<shared>\w+)\[(?P<size>\d+)\];
        | (?:@(?P<guard>!?%\w+)\s+)?(?P<opcode>[a-z][\w.:]*)\s*(?P<operands>[^;]*);
    )""",
    re.VERBOSE,
)


def _statements(body: str, files: dict[int, str]) -> Iterator[Statement]:
    place, end = 0, len(body.rstrip())
    while place < end:
        found = _STATEMENT.match(body, place)
        if found is None:
            raise unreadable(body[place:].strip().partition("\n")[0])
        place = found.end()
        if found["file"]:
            if found["line"] != "0":  # code that comes from no line
                yield Location(files[int(found["file"])], int(found["line"]))
        elif found["label"]:
            yield Label(found["label"])
        elif found["brace"]:
            yield Brace(found["brace"])
        elif found["register"]:
            numbers = range(int(found["count"])) if found["count"] else [""]
            yield Registers(found["type"], tuple(f"{found['register']}{n}" for n in numbers))
        elif found["shared"]:
            yield Shared(found["shared"], int(found["align"]), int(found["size"]))
        elif found["opcode"]:
            yield Instruction(found["guard"] or "", found["opcode"], _split(found["operands"]))


def _split(text: str) -> tuple[str, ...]:
    """The parts between commas, of which those in braces and brackets do not count."""
    parts = re.findall(r"(?:\{[^}]*\}|\[[^\]]*\]|[^,{[])+", text)
    return tuple(" ".join(part.split()) for part in parts if part.strip())
