"""A lesson as text of 80 columns; in color where the terminal shows it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from rich.console import Console as Terminal
from rich.text import Text

from gpucnn.explain import TOPICS, topic_module
from gpucnn.explain.inputs import Input
from gpucnn.explain.lesson import PARTS, Cell, Element, Lesson, Step, Values, shown

WIDTH = 80
_STYLES = dict(zip(PARTS, ("bold cyan", "bold yellow", "bold green", "bold cyan"), strict=True))


def text(lesson: Lesson) -> str:
    """The whole lesson."""
    return _printed(_lines(lesson))


def listing() -> str:
    """The topics and their inputs, and what to type next."""
    return _printed(_listing())


def _printed(lines: Iterable[Text]) -> str:
    """The text of lines for stdout: Rich looks there, and at NO_COLOR and FORCE_COLOR."""
    terminal = Terminal(width=WIDTH, highlight=False, markup=False, emoji=False)
    with terminal.capture() as captured:
        terminal.print(Text("\n").join(lines), soft_wrap=True)
    return captured.get().rstrip()


def _listing() -> Iterator[Text]:
    width = max(map(len, TOPICS)) + 2
    yield Text("Topics, from the first to read to the last:")
    for topic, about in TOPICS.items():
        yield Text.assemble("  ", (topic.ljust(width), "bold"), about)
    yield Text()
    for what, example in (
        ("Begin", "gpucnn explain chain-rule"),
        ("Your numbers", 'gpucnn explain conv --input w="1 0; 0 1" --input padding=1'),
        ("In a browser", "gpucnn explain conv --serve --open"),
    ):
        yield Text.assemble("  ", what.ljust(width + 1), (example, "bold"))
    yield Text()
    yield Text("Inputs and their defaults; a semicolon ends a row, and dy may be left out:")
    for topic in TOPICS:
        yield Text()
        yield Text(topic, "bold")
        inputs = topic_module(topic).INPUTS
        texts = {name: _input_text(name, known) for name, known in inputs.items()}
        column = max(map(len, texts.values())) + 2
        for name, known in inputs.items():
            yield Text(f"  {texts[name].ljust(column)}{known.about}")


def _input_text(name: str, known: Input) -> str:
    """An input with its default as a shell reads it; without a default its name alone."""
    value = f'"{known.default}"' if " " in known.default else known.default
    return f"{name}={value}" if value else name


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
    part = None
    for number, step in enumerate(lesson.steps, 1):
        if step.part != part:
            part = step.part
            yield Text()
            yield Text(part.upper(), _STYLES[part])
        yield Text()
        yield from _step(lesson, number, step)
    yield Text()
    name, known = next(iter(topic_module(lesson.topic).INPUTS.items()))
    yield Text("Put your own numbers in place of these:")
    yield Text(f"  gpucnn explain {lesson.topic} --input {_input_text(name, known)}", "bold")


def _step(lesson: Lesson, number: int, step: Step) -> Iterator[Text]:
    style = _STYLES[step.part]
    head = f"{number}. "
    yield Text.assemble(head, (step.rule, style))
    indent = " " * len(head)
    yield from _wrapped(step.text, indent)
    if step.formula:
        for line in _wrapped(step.formula, indent + "    "):
            line.stylize("italic")
            yield line
    if step.result is None:
        return
    values = lesson.arrays[step.result]
    for element in step.elements:
        yield from _element(step.result, element, indent)
    if values.array.ndim or not step.elements:
        yield from _grid(values, indent)


def _element(name: str, element: Element, indent: str) -> Iterator[Text]:
    """The calculation of one number, broken between terms where it is too long for a line."""
    line = f"{indent}{Cell(name, element.index).place} = "
    further = " " * len(line)
    for part in element.equation:
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
        for wrapped in _wrapped(f"{values.name}, {values.about}:", indent):
            wrapped.stylize("dim")
            yield wrapped
        head, about = f"{indent}    ", ""
    for place, line in enumerate(lines):
        parts = (head if place == 0 else " " * len(head), (line, "bold"))
        yield Text.assemble(*parts, (about if place == 0 else "", "dim"))


def _wrapped(paragraph: str, indent: str) -> Iterator[Text]:
    for line in textwrap.wrap(
        paragraph, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    ):
        yield Text(line)
