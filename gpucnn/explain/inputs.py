"""The numbers of a lesson: their defaults, and those that a reader gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.autograd import Tensor
from gpucnn.errors import UsageError, choose

#: The most numbers along an axis; a larger case cannot be read as numbers.
LONGEST = 6

Numbers = dict[str, NDArray[np.float64]]
_AXES = ("one number, as in 2", 'one row of numbers, as in "1 2 3"', 'rows, as in "1 2; 3 4"')


@dataclass(frozen=True)
class Input:
    """One input of a lesson.

    Attributes:
        default: its numbers as text, in the form that `parse` reads; "" if the lesson chooses
            them, because their number depends on other inputs.
        about: what it is, in a few words.
        axes: 0 for a number, 1 for a row, 2 for rows of equal length.
        whole: whether it must be a whole number.
        least, most: the limits of its values.
    """

    default: str
    about: str
    axes: int = 0
    whole: bool = False
    least: float = -1e6
    most: float = 1e6

    @property
    def limits(self) -> str:
        """The values that it takes, in words."""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least:,.0f} to {self.most:,.0f}"


def read(inputs: Mapping[str, Input], given: Mapping[str, Any]) -> Numbers:
    """The arrays of a lesson, float64: what is given, else the defaults that are no "".

    Args:
        given: by name, text in the form of `--input`, or numbers, lists and arrays.

    Raises:
        UsageError: a name is not known, or an input is no array of finite numbers, has too many or
            too few of them, or one that is out of its limits.
    """
    for name in given:
        choose(inputs, name, "input")
    texts = {name: given.get(name, known.default) for name, known in inputs.items()}
    return {n: _array(n, inputs[n], text) for n, text in texts.items() if n in given or text != ""}


def written(inputs: Mapping[str, Input], numbers: Numbers) -> dict[str, str]:
    """The arrays as text that `read` reads."""
    return {name: _text(numbers[name]) for name in inputs}


def _array(name: str, known: Input, given: Any) -> NDArray[np.float64]:
    fix = f"give {name} as {_AXES[known.axes]}"
    try:
        values = parse(given) if isinstance(given, str) else _floats(given)
    except (TypeError, ValueError, OverflowError) as error:
        cause = "it is no array of numbers with rows of equal length"
        raise UsageError(
            f"the input {name} is {str(given)[:60]!r}",
            cause=str(error) if isinstance(given, str) else cause,
            fix=fix,
        ) from None
    values = _with_axes(values, known.axes)
    if values.ndim != known.axes:
        raise UsageError(
            f"the input {name} has {_shape_text(values.shape)}",
            cause=f"{known.about}: it must be {_AXES[known.axes]}",
            fix=fix,
        )
    if not values.size or max(values.shape, default=1) > LONGEST:
        raise UsageError(
            f"the input {name} has {_shape_text(values.shape)}",
            cause=f"a lesson shows every number: from 1 to {LONGEST} in a row or a column",
            fix=fix,
        )
    if not np.isfinite(values).all():
        raise UsageError(
            f"the input {name} has a number that is not finite",
            cause="it is nan or infinite, so every result would be",
            fix=f"give {name} finite numbers",
        )
    fits = (values >= known.least) & (values <= known.most)
    if known.whole:
        fits &= values == np.trunc(values)
    if not fits.all():
        raise UsageError(
            f"the input {name} has the number {_number_text(values[~fits].flat[0])}",
            cause=f"{known.about}: {'each' if known.axes else 'it'} must be {known.limits}",
            fix=f"give {name} as {known.limits}",
        )
    return values


def _floats(given: Any) -> NDArray[np.float64]:
    array = given.numpy() if isinstance(given, Tensor) else np.asarray(given)
    if array.dtype.kind == "c":
        raise TypeError("complex numbers")  # NumPy would drop their imaginary part
    return array.astype(np.float64)


def _with_axes(values: NDArray[np.float64], axes: int) -> NDArray[np.float64]:
    """The values with as many axes, if they are one number or one row; else as they are."""
    if values.size == 1 or (axes and values.shape[-1:] == (values.size,)):
        return values.reshape((1,) * (axes - 1) + (-1,) * bool(axes))
    return values


def check_fit(first: str, size: int, second: str, other: int, cause: str) -> None:
    """`UsageError` unless two sizes are equal.

    Args:
        first, second: the name of an input and what is counted, as in "w row".
    """
    if size != other:
        (name, unit), (other_name, other_unit) = first.split(), second.split()
        raise UsageError(
            f"{name} has {counted(size, unit)}, and {other_name} has {counted(other, other_unit)}",
            cause=cause,
            fix=f"give {name} with {counted(other, unit)}, "
            f"or {other_name} with {counted(size, other_unit)}",
        )


def gradient(numbers: Numbers, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The gradient that arrives at an output; if it was not given, numbers that tell paths apart.

    Raises:
        UsageError: it has not the shape of the output.
    """
    given = numbers.setdefault(name, np.resize(np.array([1.0, 0.5, 2.0, -1.0]), shape))
    if given.shape != shape:
        raise UsageError(
            f"the input {name} has {_shape_text(given.shape)}",
            cause=f"it is the gradient of an output that has {_shape_text(shape)}",
            fix=f'give {name}="{_text(np.ones(shape))}", or leave it out',
        )
    return given


def parse(text: str) -> NDArray[np.float64]:
    """Numbers from text: spaces or commas between numbers, semicolons between rows.

    Raises:
        ValueError: it holds something else, or rows of different lengths.
    """
    words = [row.replace(",", " ").split() for row in text.strip().strip(";").split(";")]
    rows = [[_number(word) for word in row] for row in words]
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"row 0 has {counted(len(rows[0]), 'number')}, and row {index} has {len(row)}"
            )
    return np.array(rows) if len(rows) > 1 else np.array(rows[0])


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{word[:60]!r} is not a number") from None


def _text(values: NDArray[np.float64]) -> str:
    rows = values.reshape(-1, values.shape[-1] if values.ndim else 1)
    return "; ".join(" ".join(map(_number_text, row)) for row in rows)


def _number_text(number: float) -> str:
    """A number that Python reads as the same float, as in "2" and "0.1"."""
    return repr(float(number)).removesuffix(".0")


def counted(count: int, unit: str) -> str:
    """A count with its unit, as in "2 rows"."""
    return f"{count} {unit}" + "s" * (count != 1)


def _shape_text(shape: tuple[int, ...]) -> str:
    """The sizes of an array in words."""
    if 0 in shape:
        return "no numbers"
    sizes = " x ".join(map(str, shape)) or "1"
    return f"{sizes} number" + "s" * (sizes != "1")
