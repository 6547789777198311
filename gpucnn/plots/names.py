"""Names of classes and files in pictures: on one line, and not too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.quoting import on_one_line

_LONGEST = 18  # characters


def short(name: object, most: int = _LONGEST) -> str:
    """A name on one line, cut to `most` characters."""
    text = on_one_line(" ".join(str(name).split()))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def named(count: int, class_names: Sequence[str] | None, call: str) -> list[str]:
    """The short names of so many classes; by default their numbers.

    Raises:
        ShapeError: there are fewer names than classes.
    """
    if class_names is None:
        return [str(k) for k in range(count)]
    if len(class_names) < count:
        raise ShapeError(
            f"{call}: {len(class_names)} class names for {count} classes",
            fix="give a name for each class, or leave class_names out",
        )
    return [short(name) for name in class_names]


def whole_numbers(values: Any, call: str, what: str) -> NDArray[np.int64]:
    """Class ids (N,) as int64.

    Raises:
        ShapeError: they are no whole numbers of at least 0 along one axis.
    """
    array = np.asarray(values.numpy() if hasattr(values, "numpy") else values)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise ShapeError(
            f"{call}: the {what} are {array.dtype} {array.shape}",
            cause="they must be class ids: whole numbers (N,) from 0",
            fix="give one class id an image; argmax(axis=1) makes them of probabilities (N, K)",
        )
    return array.astype(np.int64)
