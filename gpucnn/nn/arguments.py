"""Checks of the arguments of layers: each returns the value, or raises an error with a fix.

Strings and bools do not count as numbers.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, TypeGuard

import numpy as np

from gpucnn.errors import ShapeError, UsageError
from gpucnn.shapes import PaddingArg, resolve_padding


def is_whole(value: object) -> TypeGuard[int]:
    """Whether this is an integer, Python's or NumPy's."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def size(value: Any, name: str) -> int:
    """A number of channels, units or groups: an integer of at least 1, else `ShapeError`."""
    if not is_whole(value) or value < 1:
        raise ShapeError(
            f"{name} is {value!r}",
            cause="it must be an integer of at least 1",
            fix=f"give {name}=1",
        )
    return int(value)


def whole(value: Any, name: str, least: int) -> int:
    """An integer of at least `least`, else `UsageError`."""
    if is_whole(value) and value >= least:
        return int(value)
    raise UsageError(
        f"{name} is {value!r}",
        cause=f"it must be an integer of at least {least}",
        fix=f"give {name}={max(least, 1)}",
    )


def number(
    value: Any,
    name: str,
    wanted: str,
    example: float,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """A finite number between the limits, else `UsageError`.

    Args:
        name: for the message; its last word is the argument: "dropout rate".
        wanted: the limits in words, for the message: "from 0 to 1".
        example: a usual value, for the message.
        least, most: limits that are allowed themselves.
        above, below: limits that are not.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        found = float(value)
        if math.isfinite(found) and least <= found <= most and above < found < below:
            return found
    raise UsageError(
        f"{name} is {value!r}",
        cause=f"it must be {wanted}",
        fix=f"give {name.split()[-1]}={example:g}",
    )


def flag(value: Any, name: str) -> bool:
    """True or False, else `UsageError`."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise UsageError(
        f"{name} is {value!r}", cause="it must be True or False", fix=f"give {name}=True"
    )


def input_shape(value: Any) -> tuple[int, ...]:
    """The shape of one input without the batch axis, else `ShapeError`."""
    if isinstance(value, (tuple, list)) and value and all(is_whole(n) and n > 0 for n in value):
        return tuple(int(n) for n in value)
    example, cause = "(1, 28, 28)", "it must be a tuple of integers of at least 1"
    if is_whole(value) and value > 0:
        example = f"({value},)"
    elif isinstance(value, (tuple, list)) and None in value:
        cause = "every size must be known, and the batch axis is left out"
        if value[0] is None and all(is_whole(n) and n > 0 for n in value[1:]):
            example = str(tuple(value[1:]))
    raise ShapeError(f"the input shape is {value!r}", cause=cause, fix=f"write {example}")


def input_shapes(values: tuple[Any, ...]) -> tuple[tuple[int, ...], ...]:
    """The shape of each of several inputs, as `input_shape`; `ShapeError` for bare integers."""
    if len(values) > 1 and all(map(is_whole, values)):
        raise ShapeError(
            f"the input shape is {', '.join(map(str, values))}",
            cause="the shape of each input is one tuple",
            fix=f"write build({values})",
        )
    return tuple(map(input_shape, values))


def padding(value: PaddingArg) -> PaddingArg:
    """Padding in one of the accepted forms of `gpucnn.shapes.resolve_padding`, unchanged."""
    resolve_padding(value, (1, 1), (1, 1))
    return value


def layer_name(value: Any) -> str | None:
    """A name or None, else `UsageError`."""
    if value is None or (isinstance(value, str) and value):
        return value
    raise UsageError(
        f"the name of a layer is {value!r}",
        cause="it must be a string that is not empty",
        fix='give name="hidden", or leave it out',
    )
