"""One-hot columns of a table: one for each class, as pandas.get_dummies writes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.header import LABELS, Row, simple
from gpucnn.data.labels import as_labels

_VALUES = {"0": 0.0, "0.0": 0.0, "false": 0.0, "1": 1.0, "1.0": 1.0, "true": 1.0}


def are_one_hot(rows: Sequence[Row], places: Sequence[int]) -> bool:
    """Whether each row has a single 1 in these columns, and zeros; False if there are no rows."""
    width = max(places) + 1
    return bool(rows) and all(
        len(row) >= width and sorted(_value(row[place]) for place in places) == _single(len(places))
        for row in rows
    )


def _single(count: int) -> list[float]:
    return [0.0] * (count - 1) + [1.0]


def _value(cell: str) -> float:
    """0 or 1, which may be written as False or True; NaN for any other cell."""
    return _VALUES.get(cell.strip().lower(), math.nan)


def class_names(columns: Sequence[str]) -> list[str]:
    """The classes by the names of their columns, without a shared "label_" or "class_"."""
    prefixes, underscores, names = zip(*(name.partition("_") for name in columns), strict=True)
    if len(set(prefixes)) == 1 and all(underscores) and simple(prefixes[0]) in LABELS:
        return list(names)
    return list(columns)


def class_places(
    columns: Sequence[Sequence[str]], where: str, name: Callable[[int], str]
) -> NDArray[np.int32]:
    """The place of the class of each row.

    Args:
        columns: the cells of each column.
        where: the table, for messages.
        name: the name of a row for messages, from its number counted from 0.

    Raises:
        DataError: a row has not a single 1.
    """
    values = np.array([[_value(cell) for cell in cells] for cells in columns])  # (classes, N)
    return as_labels(values.T, where, name)
