"""A lesson: one small computation, forward and backward, as numbers that a page can show.

The library computes every number of an array. A lesson adds how each number came about: the rule,
and the terms that were added, multiplied or compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = tuple[int, ...]

#: The parts of a lesson in their order; only a training step has the last two.
PARTS = ("forward", "backward", "update", "forward again")


def shown(number: float) -> str:
    """A number in at most four digits: "2", "-0.5", "0.7311", "1.2e+05"; below 1e-15 it is "0"."""
    return f"{number:.4g}" if abs(number) >= 1e-15 else "0"  # 0.1 * 3 - 0.3 is 5.6e-17


def factor(number: float) -> str:
    """A number inside of a product or a sum, where a negative one has parentheses."""
    text = shown(number)
    return f"({text})" if text.startswith("-") else text


@dataclass(frozen=True)
class Cell:
    """One number of an array, by the array's name and the number's index."""

    array: str
    index: Index = ()

    @property
    def place(self) -> str:
        """It as text: "x[0,1]"."""
        return f"{self.array}[{','.join(map(str, self.index))}]" if self.index else self.array


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

    Together they are Python, as in "max(" "1" ", " "2" ")"; exp and log are those of NumPy.

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
    def parts(self) -> list[str]:
        """The calculation without its result in parts, between which a line may end."""
        if not self.terms:
            return ["0"]
        parts = [term.text + self.joiner for term in self.terms[:-1]]
        parts.append(self.terms[-1].text + self.closing)
        return [self.opening + parts[0], *parts[1:]]

    @property
    def text(self) -> str:
        """The whole calculation without its result, as in "1 * 2 + 0 * 3"."""
        return "".join(self.parts)

    @property
    def equation(self) -> list[str]:
        """The calculation with its result, in parts; a number that was taken as it is by its place.

        As in "1 * 2" " + 0 * 3" " = 2", or "dy[0,0]" " = 1".
        """
        cells = [cell for term in self.terms for cell in term.cells]
        if len(cells) == 1 and self.text == factor(self.value):
            return [cells[0].place, f" = {shown(self.value)}"]
        same = self.text == shown(self.value)
        return self.parts if same else [*self.parts, f" = {shown(self.value)}"]


def _elements(
    array: NDArray[np.float64], terms: Mapping[Index, Sequence[Term]], form: Mapping[str, str]
) -> tuple[Element, ...]:
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
        part: the part of the lesson that it belongs to, one of `PARTS`.
        result: the name of the array that it gives, or None.
        elements: how each number of the result came about; () if the numbers are given.
    """

    rule: str
    formula: str
    text: str
    part: str
    result: str | None = None
    elements: tuple[Element, ...] = ()

    @property
    def backward(self) -> bool:
        """Whether it belongs to the backward pass."""
        return self.part == "backward"

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


@dataclass(repr=False)
class Lesson:
    """A computation with its numbers.

    Attributes:
        topic: its name on the command line.
        introduction: paragraphs for a reader who knows none of it.
        inputs: the text of each input, in the form that `--input` takes.
        part: the part that a new step belongs to, one of `PARTS`.
        arrays: in the order in which they come up.
        steps: in the order of `PARTS`.
    """

    topic: str
    title: str
    introduction: Sequence[str]
    inputs: dict[str, str]
    part: str = PARTS[0]
    arrays: dict[str, Values] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def __repr__(self) -> str:
        """One line; `gpucnn explain` prints the whole."""
        return f"<Lesson {self.topic}: {len(self.steps)} steps, arrays {', '.join(self.arrays)}>"

    def add(self, name: str, array: Any, about: str, gradient_of: str | None = None) -> None:
        """Add an array that is given, not computed by a step."""
        values = np.array(array, dtype=np.float64)  # a copy: training changes arrays in place
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
        terms: Mapping[Index, Sequence[Term]] | None = None,
        gradient_of: str | None = None,
        **form: str,
    ) -> None:
        """Add a step, with the array that it gives if it gives one.

        Args:
            terms: by the index of a number of the array, the terms that it is made of; a number
                without terms is 0. None for an array that is given, not computed.
            form: opening, joiner and closing of each `Element`.
        """
        if name is not None:
            self.add(name, array, about, gradient_of)
        elements = () if terms is None else _elements(self.arrays[str(name)].array, terms, form)
        self.steps.append(Step(rule, formula, text, self.part, name, elements))

    def given_gradient(
        self, dy: NDArray[np.float64], about: str = "the gradient of y, dL/dy", of: str = "y"
    ) -> None:
        """Add the step that says where the gradient dy of the output `of` comes from."""
        self.step(
            "the gradient that arrives",
            "",
            "The way back begins with dy, which the next layer would compute: for each number of "
            "the output, how much the loss changes if that number grows by a little, divided by "
            "that little. There is no next layer here, so these numbers are chosen; the input dy "
            "sets them.",
            name="dy",
            array=dy,
            about=about,
            gradient_of=of,
        )

    def number(self, name: str, index: Index = ()) -> Term:
        """A number of an array as a term that needs no parentheses: an argument of a function."""
        number = float(self.arrays[name].array[index])
        return Term(shown(number), number, (Cell(name, index),))

    def product(self, *cells: tuple[str, Index]) -> Term:
        """The product of some numbers of arrays as a term; of one number, the number itself."""
        numbers = [float(self.arrays[name].array[index]) for name, index in cells]
        text = " * ".join(map(factor, numbers))
        return Term(text, float(np.prod(numbers)), tuple(Cell(*cell) for cell in cells))

    def quotient(self, name: str, index: Index, count: int) -> Term:
        """A number of an array, divided by a count, as a term."""
        number = float(self.arrays[name].array[index])
        return Term(f"{factor(number)} / {count}", number / count, (Cell(name, index),))

    def sums(self, rule: str, *names: str) -> dict[Index, list[Term]]:
        """The products that are added for each number of numpy.einsum(rule, *arrays).

        Args:
            rule: as in "ni,io->no", in which i is added over.
            names: of the arrays.
        """
        *inputs, output = rule.replace("->", ",").split(",")
        sizes: dict[str, int] = {}
        for axes, name in zip(inputs, names, strict=True):
            sizes |= zip(axes, self.arrays[name].array.shape, strict=True)
        order = [*output, *(axis for axis in sizes if axis not in output)]
        found: dict[Index, list[Term]] = {}
        for index in np.ndindex(*(sizes[axis] for axis in order)):
            at = dict(zip(order, index, strict=True))
            cells = (tuple(at[axis] for axis in axes) for axes in inputs)
            term = self.product(*zip(names, cells, strict=True))
            found.setdefault(index[: len(output)], []).append(term)
        return found

    def dense(self, x: str, w: str, b: str) -> dict[Index, list[Term]]:
        """The terms of x @ w + b."""
        sums = self.sums("ni,io->no", x, w)
        return {at: [*terms, self.product((b, at[1:]))] for at, terms in sums.items()}

    def pairs(self, *names: str) -> dict[Index, list[Term]]:
        """The numbers of arrays of one shape that stand in the same place, each as a term."""
        places = np.ndindex(self.arrays[names[0]].array.shape)
        return {at: [self.product((name, at)) for name in names] for at in places}

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
                    "part": step.part,
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
        "equation": "".join(element.equation),
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
