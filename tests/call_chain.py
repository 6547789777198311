"""The calls of docs/call-chain.md, from `gpucnn train` to the launch of a kernel.

python tests/call_chain.py            prints them
python tests/call_chain.py --write    puts them into docs/call-chain.md

They are those of the first convolution of a training step of LeNet on the simulator. Nothing is
compiled or computed: a launch only looks at the stack. Frames of click are left out.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from unittest.mock import patch

from gpucnn.backend.simulator import SimulatorLauncher
from gpucnn.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "call-chain.md"
BEGIN, END = "<!-- calls: written by tests/call_chain.py -->", "<!-- end of calls -->"
COMMAND = shlex.split("train --device sim --data digits --model lenet --dry-run --quiet")


class Call(NamedTuple):
    """A function that stands on the stack."""

    file: str  # from the root of the checkout
    function: str  # with its class
    summary: str  # the first paragraph of its docstring, see `_summaries`


class Launched(BaseException):
    """The kernel is launched, so the command need not go on."""


def find() -> list[Call]:
    """The calls from `main` to `launch`.

    Raises:
        DeviceError: the simulator cannot be used here: there is no C++ compiler.
    """
    calls: list[Call] = []
    launched: set[str] = set()

    def launch(launcher: Any, source: str, *_: Any, **__: Any) -> None:
        launched.add(source)
        if source == "conv2d_forward" and "gather" in launched:  # after the first batch is gathered
            calls.extend(map(_call, _stack(inspect.currentframe())))
            raise Launched

    last = SimulatorLauncher.launch
    with (
        patch.object(SimulatorLauncher, "launch", launch),
        patch.object(SimulatorLauncher, "compile_ahead"),  # it has calls of its own
        contextlib.suppress(Launched),
    ):
        main(COMMAND)
    code = last.__code__
    return [*calls, _described(Path(code.co_filename), code.co_qualname, code.co_firstlineno)]


def _stack(frame: FrameType | None) -> list[FrameType]:
    """The frames of gpucnn on the stack, the outermost first; no comprehensions."""
    frames = []
    while frame is not None:
        code, path = frame.f_code, Path(frame.f_code.co_filename)
        ours = path.is_relative_to(ROOT / "gpucnn") or path.is_relative_to(ROOT / "cli")
        if ours and not code.co_name.startswith("<"):
            frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _call(frame: FrameType) -> Call:
    code = frame.f_code
    return _described(Path(code.co_filename), code.co_qualname, code.co_firstlineno)


def _described(path: Path, function: str, line: int) -> Call:
    function = function.split("<locals>.")[-1]
    return Call(path.relative_to(ROOT).as_posix(), function, _summaries(path).get(line, ""))


@cache
def _summaries(path: Path) -> dict[int, str]:
    """First line of a function, its decorators included -> the first paragraph of its docstring.

    Without one, that of the function around it, or of the class if it is `forward` or `__call__`.
    """

    def walk(node: ast.AST, outer: str) -> Iterator[tuple[int, str]]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                yield from walk(child, outer)
                continue
            is_method = isinstance(node, ast.ClassDef) and child.name not in ("forward", "__call__")
            inherited = "" if is_method else outer
            paragraph = (ast.get_docstring(child) or inherited).partition("\n\n")[0]
            yield min([child.lineno, *(d.lineno for d in child.decorator_list)]), paragraph
            yield from walk(child, paragraph)

    return dict(walk(ast.parse(path.read_text()), ""))


def text(calls: list[Call]) -> str:
    """The calls as a table in Markdown."""
    rows = [
        f"| {number} | `{call.file}`: `{call.function}` | {_in_a_cell(call.summary)} |"
        for number, call in enumerate(calls, 1)
    ]
    files = len({call.file for call in calls})
    return "\n".join(
        [
            f"There are {len(calls)} calls in {files} files, from `gpucnn train` to the kernel:",
            "",
            "| call | file: function | docstring |",
            "| ---: | --- | --- |",
            *rows,
        ]
    )


def _in_a_cell(paragraph: str) -> str:
    return paragraph.replace("\n", " ").replace("|", "\\|")


def shown() -> str:
    """The text between the markers of the page."""
    return PAGE.read_text().split(BEGIN)[1].split(END)[0].strip()


def write(calls: str) -> None:
    """Put the calls between the markers of the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{calls}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write(text(find()))
    else:
        print(text(find()))
