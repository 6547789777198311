"""A lesson's calculations run as programs: by their terms, with the numbers of their cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpucnn.explain.lesson import Element, Lesson, Term, shown

Arrays = Mapping[str, np.ndarray[Any, Any]]
_NAMES: dict[str, Any] = {
    "__builtins__": {},
    "exp": np.exp,
    "log": np.log,
    "max": lambda *numbers: max(numbers),
}


def computed(source: str) -> float:
    """The value of a calculation."""
    with np.errstate(over="ignore"):  # 1 / (1 + exp(-x)) of a large negative x is 0
        return float(eval(source, _NAMES))


def term_value(term: Term, shown_arrays: Arrays, arrays: Arrays) -> float:
    """A term, computed with the numbers of its cells in place of those that its text shows.

    Args:
        shown_arrays: the arrays whose numbers the text shows.
        arrays: those to compute with.
    """
    source, place = "", 0
    for cell in term.cells:
        text = shown(float(shown_arrays[cell.array][cell.index]))
        at = term.text.index(text, place)
        source += f"{term.text[place:at]}({float(arrays[cell.array][cell.index])!r})"
        place = at + len(text)
    return computed(source + term.text[place:])


def element_value(element: Element, values: list[float]) -> float:
    """A calculation with the values of its terms."""
    if not values:
        return 0.0
    terms = element.joiner.join(f"({value!r})" for value in values)
    return computed(element.opening + terms + element.closing)


def run(lesson: Lesson, name: str, change: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of the forward part, computed by its terms after a change of one array."""
    before = {n: values.array for n, values in lesson.arrays.items()}
    arrays = {n: array.copy() for n, array in before.items()}
    arrays[name] += change
    for step in lesson.steps:
        if step.part != "forward" or step.result is None or step.result == name:
            continue
        for element in step.elements:
            values = [term_value(term, before, arrays) for term in element.terms]
            arrays[step.result][element.index] = element_value(element, values)
    return arrays
