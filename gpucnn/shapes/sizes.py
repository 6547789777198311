"""The only size formula of the project, and the forms in which sizes and padding are given.

    W_out = floor((W - D*(F - 1) - 1 + 2P) / S) + 1

for a width W, a kernel of F taps, dilation D, padding P on each side and stride S.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from gpucnn.errors import ShapeError

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))
PairArg = int | Sequence[int]
AxisPaddingArg = int | str | Sequence[int]  # of one axis; a pair is (before, after)
PaddingArg = int | str | Sequence[int] | Sequence[Sequence[int]]


def is_int(value: Any) -> bool:
    # Integers of NumPy count, without importing NumPy; bools do not.
    if type(value) is int:
        return True
    try:
        return not isinstance(value, bool) and operator.index(value) is not None
    except TypeError:
        return False


def pair(value: PairArg, name: str = "kernel", minimum: int = 1, form: str = "(h, w)") -> Pair:
    """An int or a pair as a pair of ints; `ShapeError` if it is neither or below `minimum`."""
    values: Any = (value, value) if is_int(value) else value
    if (
        isinstance(values, (tuple, list))
        and len(values) == 2
        and all(is_int(v) for v in values)
        and min(values) >= minimum
    ):
        return int(values[0]), int(values[1])
    raise ShapeError(
        f"{name} is {value!r}",
        cause=f"it must be an integer of at least {minimum}, or a pair {form} of such",
        fix=f"give {name}={max(minimum, 1)} or {name}=({max(minimum, 1)}, {max(minimum, 1)})",
    )


def check_count(name: str, value: Any) -> None:
    if not is_int(value) or value < 1:
        raise ShapeError(
            f"{name} is {value!r}",
            cause="it must be an integer of at least 1",
            fix=f"give {name}=1",
        )


def conv_output_size(
    size: int, kernel: int, stride: int = 1, padding: AxisPaddingArg = 0, dilation: int = 1
) -> int:
    """Output size along one axis: floor((size - dilation*(kernel-1) - 1 + padding) / stride) + 1.

    Args:
        size: input pixels along the axis.
        kernel, stride, dilation: integers of at least 1.
        padding: pixels on each side; (before, after); "same", for ceil(size / stride) output
            pixels; or "valid", for none.

    Returns:
        The number of output pixels; below 1 if the kernel does not fit.

    Raises:
        ShapeError: an argument is none of these.
    """
    check_count("size", size)
    check_count("kernel", kernel)
    check_count("stride", stride)
    check_count("dilation", dilation)
    if isinstance(padding, str):
        axes = ((value, value) for value in (size, kernel, stride, dilation))
        sides, _ = resolve_padding(padding, *axes)
    else:
        sides = pair(padding, "padding", 0, "(before, after)")
    return (size + sum(sides) - dilation * (kernel - 1) - 1) // stride + 1


def is_same(padding: PaddingArg) -> bool:
    """Whether padding is given as "same"."""
    return isinstance(padding, str) and padding == "same"


def resolve_padding(
    padding: PaddingArg, size: Pair, kernel: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1)
) -> Padding:
    """Padding in any accepted form as ((top, bottom), (left, right)), in pixels.

    Args:
        padding: an int; (h, w); ((top, bottom), (left, right)); "valid" for none; or "same", which
            gives ceil(size / stride) output pixels with the odd one at the bottom and right
            (as Keras and TensorFlow do).
        size: (H, W) of the input.
    """
    if isinstance(padding, str):
        if padding == "valid":
            return (0, 0), (0, 0)
        if padding == "same":
            vertical, horizontal = map(_same, size, kernel, stride, dilation)
            return vertical, horizontal
    elif isinstance(padding, Sequence) and len(padding) == 2 and not all(map(is_int, padding)):
        top_bottom, left_right = (pair(sides, "padding", 0) for sides in padding)  # type: ignore[arg-type]
        return top_bottom, left_right
    else:
        h, w = pair(padding, "padding", 0)  # type: ignore[arg-type]
        return (h, h), (w, w)
    raise ShapeError(
        f"padding is {padding!r}",
        cause="it is none of the accepted forms",
        fix='give an int, (h, w), ((top, bottom), (left, right)), "same" or "valid"',
    )


def _same(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2
