"""A lesson: one small computation, forward and backward, as numbers that a page can show.

The library computes every number of an array. A lesson adds how each number came about: the rule,
and the terms that were added, multiplied or compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = tuple[int, ...]


def shown(number: float) -> str:
    """A number in at most four digits: "2", "-0.5", "0.7311", "1.2e+05"."""
    return f"{number + 0.0:.4g}" if abs(number) > 1e-12 else "0"


def factor(number: float) -> str:
    """A number inside of a product or a sum, where a negative one has parentheses."""
    text = shown(number)
    return f"({text})" if text.startswith("-") else text


@dataclass(frozen=True)
class Cell:
    """One number of an array, by the array's name and the number's index."""

    array: str
    index: Index = ()


@dataclass(frozen=True)
class Term:
    """One part of a sum, or one argument of a maximum.

    Attributes:
        text: the numbers that go into it, as in "2 * (-1)".
        value: their result.
        cells: where these numbers stand.
    """

    text: str
    value: float
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Element:
    """How one number of a result came about: opening, the terms with the joiner between, closing.

    Attributes:
        index: its place in the result.
        value: the number, as the library computed it.
    """

    index: Index
    value: float
    terms: tuple[Term, ...]
    opening: str = ""
    joiner: str = " + "
    closing: str = ""

    @property
    def text(self) -> str:
        """The whole calculation without its result, as in "1 * 2 + 0 * 3"."""
        return self.opening + (self.joiner.join(t.text for t in self.terms) or "0") + self.closing


def product(arrays: Mapping[str, NDArray[np.float64]], cells: Sequence[Cell]) -> Term:
    """The product of some numbers; of one number, the number itself."""
    numbers = [float(arrays[cell.array][cell.index]) for cell in cells]
    return Term(" * ".join(map(factor, numbers)), float(np.prod(numbers)), tuple(cells))


def elements(
    array: Any, terms: Mapping[Index, Sequence[Term]], **form: str
) -> tuple[Element, ...]:
    """An `Element` for each number of an array; one without terms is a sum of none.

    Args:
        terms: by the index of the number.
        form: opening, joiner and closing of an `Element`.
    """
    return tuple(
        Element(index, float(array[index]), tuple(terms.get(index, ())), **form)
        for index in np.ndindex(array.shape)
    )


@dataclass(frozen=True)
class Step:
    """One rule, and the numbers that it gives.

    Attributes:
        rule: the name of the rule, as in "chain rule through a product".
        formula: the rule in symbols; "" if the text says all.
        text: what happens and why, in plain words.
        result: the name of the array that it gives, or None.
        backward: whether it belongs to the backward pass.
        elements: how each number of the result came about.
    """

    rule: str
    formula: str
    text: str
    result: str | None = None
    backward: bool = False
    elements: tuple[Element, ...] = ()

    def sources(self) -> set[str]:
        """The names of the arrays whose numbers go into the result."""
        return {cell.array for e in self.elements for term in e.terms for cell in term.cells}


@dataclass(frozen=True)
class Values:
    """An array with its place in the lesson.

    Attributes:
        about: what it is, in a few words.
        gradient_of: the name of the array whose gradient it is, or None.
    """

    name: str
    array: NDArray[np.float64]
    about: str
    gradient_of: str | None = None


@dataclass
class Lesson:
    """A computation with its numbers.

    Attributes:
        topic: its name on the command line.
        introduction: paragraphs for a reader who knows none of it.
        inputs: the text of each input, in the form that `--input` takes.
        arrays: in the order in which they come up.
        steps: forward, then backward.
    """

    topic: str
    title: str
    introduction: Sequence[str]
    inputs: dict[str, str]
    arrays: dict[str, Values] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def add(self, name: str, array: Any, about: str, gradient_of: str | None = None) -> None:
        """Add an array that is given, not computed by a step."""
        values = np.asarray(array, dtype=np.float64)
        self.arrays[name] = Values(name, values, about, gradient_of)

    def step(
        self,
        rule: str,
        formula: str,
        text: str,
        *,
        name: str | None = None,
        array: Any = None,
        about: str = "",
        elements: Iterable[Element] = (),
        gradient_of: str | None = None,
        backward: bool = False,
    ) -> None:
        """Add a step, with the array that it gives if it gives one."""
        if name is not None:
            self.add(name, array, about, gradient_of)
        self.steps.append(Step(rule, formula, text, name, backward, tuple(elements)))

    def columns(self) -> dict[str, int]:
        """For each array that is no gradient, its place from left to right; inputs are at 0."""
        places = {n: 0 for n, values in self.arrays.items() if values.gradient_of is None}
        for step in self.steps:
            if step.result in places:
                used = [places[name] for name in step.sources() if name in places]
                places[step.result] = 1 + max(used, default=-1)
        return places

    def as_dict(self) -> dict[str, Any]:
        """The lesson as JSON for a page; each number comes with the text that shows it."""
        columns = self.columns()
        return {
            "topic": self.topic,
            "title": self.title,
            "introduction": list(self.introduction),
            "inputs": self.inputs,
            "arrays": [
                {
                    "name": values.name,
                    "about": values.about,
                    "shape": list(values.array.shape),
                    "values": values.array.tolist(),
                    "shown": [shown(number) for number in values.array.ravel()],
                    "gradient_of": values.gradient_of,
                    "column": columns.get(values.name),
                }
                for values in self.arrays.values()
            ],
            "steps": [
                {
                    "rule": step.rule,
                    "formula": step.formula,
                    "text": step.text,
                    "result": step.result,
                    "backward": step.backward,
                    "elements": [_element(element) for element in step.elements],
                }
                for step in self.steps
            ],
        }


def _element(element: Element) -> dict[str, Any]:
    return {
        "index": list(element.index),
        "value": element.value,
        "shown": shown(element.value),
        "text": element.text,
        "opening": element.opening,
        "joiner": element.joiner,
        "closing": element.closing,
        "terms": [
            {
                "text": term.text,
                "value": term.value,
                "shown": shown(term.value),
                "cells": [[cell.array, list(cell.index)] for cell in term.cells],
            }
            for term in element.terms
        ],
    }
