"""Shapes of the results of a network whose batch size is open.

A size is an integer, or a multiple of the batch size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from gpucnn.errors import ShapeError
from gpucnn.nn.room import LARGEST
from gpucnn.onnx.reading import MOST_AXES
from gpucnn.quoting import quoted

BATCH = -(2**30)  # stands for the number of images in an array of sizes, int32 or int64


class Batch(NamedTuple):
    """So many times the number of images."""

    times: Fraction

    def __str__(self) -> str:
        return "N" if self.times == 1 else f"{self.times}N"


Size = int | Batch
Shape = tuple[Size, ...]
ONE = Batch(Fraction(1))  # the batch itself


def checked(shape: Shape) -> Shape:
    """The shape; `ShapeError` for more than `LARGEST` numbers for one image, or too many axes."""
    _check_axes(shape)
    if _count(shape) > LARGEST:
        raise ShapeError(
            f"a result has {math.ceil(_count(shape)):,} numbers for one image",
            cause=f"at most {LARGEST:,} are computed",
        )
    return shape


def _check_axes(sizes: Sequence[Size]) -> None:
    if len(sizes) > MOST_AXES:
        raise ShapeError(
            f"a result has {len(sizes):,} axes", cause=f"an array has at most {MOST_AXES}"
        )


def of_one(shape: Shape) -> tuple[int, ...]:
    """The shape for a batch of one."""
    return tuple(math.ceil(size.times) if isinstance(size, Batch) else size for size in shape)


def broadcast(*shapes: Shape) -> Shape:
    """The shape of the result of elementwise arithmetic; `ShapeError` if they do not fit."""
    found: list[Size] = []
    for axis in range(1, max(map(len, shapes)) + 1):
        sizes = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1}
        if len(sizes) > 1:
            raise ShapeError(f"shapes {' and '.join(map(text, shapes))} do not fit together")
        found.append(sizes.pop() if sizes else 1)
    return tuple(found[::-1])


def reshaped(shape: Shape, sizes: Sequence[Size]) -> Shape:
    """The shape after a reshape to these sizes, one of which may be -1.

    Raises:
        ShapeError: the number of elements would differ, or there are too many axes.
    """
    _check_axes(sizes)
    rest = _count(tuple(size for size in sizes if size != -1))
    depends = any(isinstance(size, Batch) for size in shape)
    given = any(isinstance(size, Batch) for size in sizes)
    total = _count(shape)
    free = list(sizes).count(-1)
    missing = total / rest if rest else Fraction(0)
    if free > 1 or (free and missing.denominator > 1 and not (depends and not given)):
        raise ShapeError(f"reshape of {text(shape)} to {text(tuple(sizes))}")
    inferred: Size = Batch(missing) if depends and not given else int(missing)
    found = tuple(inferred if size == -1 else size for size in sizes)
    if _count(found) != total or depends != any(isinstance(size, Batch) for size in found):
        raise ShapeError(f"reshape of {text(shape)} to {text(tuple(sizes))}")
    return found


def text(shape: Shape) -> str:
    """The shape for a message: (N, 3, 8), (2N, 3)."""
    return f"({quoted(', '.join(map(str, shape)))})"


def _count(shape: Shape) -> Fraction:
    """The number of elements for one image."""
    parts = [size.times if isinstance(size, Batch) else Fraction(size) for size in shape]
    return math.prod(parts, start=Fraction(1))
