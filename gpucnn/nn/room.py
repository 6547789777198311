"""Bounds on the memory that the network of a file takes while it is built.

A file of a thousand bytes can describe a layer of 10^10 weights. Its own weights are in the file,
so that a network with many more is not the network of it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from gpucnn.errors import ShapeError

LARGEST = 2**28  # numbers of a result for one image
_MORE = 2**20  # parameters besides those in the file: weights that do not fit are named one by one


class _Room(threading.local):
    parameters: int | None = None  # numbers that they may still have; None: without bounds


_room = _Room()


@contextmanager
def room_for(weights: Mapping[str, Any]) -> Iterator[None]:
    """Inside, a network that this thread builds may have about as many parameters as `weights`.

    More of them, or a result of more than `LARGEST` numbers, are a `ShapeError`.
    """
    before = _room.parameters
    _room.parameters = _MORE + sum(array.size for array in weights.values())
    try:
        yield
    finally:
        _room.parameters = before


def is_bounded() -> bool:
    """Whether this thread builds the network of a file."""
    return _room.parameters is not None


def take_room(shape: Sequence[int]) -> None:
    """Count a new parameter; `ShapeError` if there is no room for it."""
    if _room.parameters is None:
        return
    _room.parameters -= math.prod(shape)
    if _room.parameters < 0:
        raise ShapeError(
            f"a parameter has the shape {tuple(shape)}",
            cause="the file has weights for a smaller network",
            fix="use the weights that belong to the network",
        )


def check_result(shape: Sequence[int]) -> None:
    """`ShapeError` for a result for one image, of this shape, that is too large."""
    if is_bounded() and math.prod(shape) > LARGEST:
        raise ShapeError(
            f"a result has the shape {tuple(shape)}",
            cause=f"at most {LARGEST:,} numbers are computed for one image",
            fix="make the network smaller",
        )


def check_operands(shapes: Iterable[Sequence[int]]) -> None:
    """The same for arithmetic on arrays of these shapes: of each axis, the largest size."""
    longest: list[int] = []
    for shape in shapes:
        longest += [1] * (len(shape) - len(longest))
        for axis, size in enumerate(reversed(shape)):
            longest[axis] = max(longest[axis], size)
    check_result(longest)
