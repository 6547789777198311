"""A lesson as text of 80 columns; in color where the terminal shows it."""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Iterator

from rich.console import Console as Terminal
from rich.text import Text

from gpucnn.explain.lesson import Element, Lesson, Step, Values, shown

WIDTH = 80
_FORWARD, _BACKWARD = "bold cyan", "bold yellow"


def text(lesson: Lesson) -> str:
    """The whole lesson."""
    color = sys.stdout is not None and sys.stdout.isatty()
    terminal = Terminal(
        file=io.StringIO(), width=WIDTH, force_terminal=color, highlight=False, markup=False,
        emoji=False, soft_wrap=False,
    )  # fmt: skip
    for line in _lines(lesson):
        terminal.print(line)
    printed: str = terminal.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in printed.rstrip().splitlines())


def _lines(lesson: Lesson) -> Iterator[Text]:
    yield Text(lesson.title, "bold")
    for paragraph in lesson.introduction:
        yield Text()
        yield from _wrapped(paragraph, "")
    yield Text()
    results = {step.result for step in lesson.steps}
    for values in lesson.arrays.values():
        if values.name not in results:
            yield from _grid(values, "")
    backward = None
    for number, step in enumerate(lesson.steps, 1):
        if step.backward != backward:
            backward = step.backward
            name = "BACKWARD" if backward else "FORWARD"
            yield Text()
            yield Text(name, _BACKWARD if backward else _FORWARD)
        yield Text()
        yield from _step(lesson, number, step)


def _step(lesson: Lesson, number: int, step: Step) -> Iterator[Text]:
    style = _BACKWARD if step.backward else _FORWARD
    head = f"{number}. "
    yield Text.assemble(head, (step.rule, style))
    indent = " " * len(head)
    if step.formula:
        for line in _wrapped(step.formula, indent + "    "):
            line.stylize("italic")
            yield line
    yield from _wrapped(step.text, indent)
    if step.result is None:
        return
    values = lesson.arrays[step.result]
    for element in step.elements:
        yield from _element(values, element, indent)
    if values.array.ndim or not step.elements:
        yield from _grid(values, indent)


def _element(values: Values, element: Element, indent: str) -> Iterator[Text]:
    """The calculation of one number, broken between terms where it is too long for a line."""
    name = values.name + (f"[{','.join(map(str, element.index))}]" if element.index else "")
    parts = [term.text + element.joiner for term in element.terms] or ["0"]
    if element.terms:
        parts[-1] = element.terms[-1].text
    parts[0] = element.opening + parts[0]
    parts[-1] += element.closing
    if element.text.strip("()") != shown(element.value):
        parts.append(f" = {shown(element.value)}")
    line = f"{indent}{name} = "
    further = " " * len(line)
    for part in parts:
        if len(line) + len(part.rstrip()) > WIDTH and line.strip():
            yield Text(line.rstrip())
            line = further
            part = part.lstrip()
        line += part
    yield Text(line)


def _grid(values: Values, indent: str) -> Iterator[Text]:
    """The numbers of an array in rows, after its name."""
    array = values.array
    rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    cells = [[shown(number) for number in row] for row in rows]
    width = max(len(cell) for row in cells for cell in row)
    lines = ["  ".join(cell.rjust(width) for cell in row) for row in cells]
    head = f"{indent}{values.name} = "
    about = f"    {values.about}"
    if len(head + lines[0] + about) > WIDTH:
        yield Text(f"{indent}{values.about}:", "dim")
        about = ""
    for place, line in enumerate(lines):
        parts = (head if place == 0 else " " * len(head), (line, "bold"))
        yield Text.assemble(*parts, (about if place == 0 else "", "dim"))


def _wrapped(paragraph: str, indent: str) -> Iterator[Text]:
    for line in textwrap.wrap(
        paragraph, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    ):
        yield Text(line)
