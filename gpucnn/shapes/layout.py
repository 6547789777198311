"""Images and weights whose axes are in another order: how to tell, and what to write."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

TRANSPOSE_X = "if the input is channels-last, (N, H, W, C), pass x.transpose(0, 3, 1, 2)"
_TRANSPOSE_W = "if the weight is channels-last, as in Keras, pass w.transpose(3, 2, 0, 1)"


def transposition(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    fits: Callable[[tuple[int, ...], tuple[int, ...]], bool],
) -> str | None:
    """The fix for arrays that fit only if their channels are last; None if there is none.

    A weight is read so only if that does not make a square kernel oblong. If several readings fit,
    the one with a square kernel is more likely.
    """
    images = tuple(x_shape[i] for i in (0, 3, 1, 2))
    filters = tuple(w_shape[i] for i in (3, 2, 0, 1))
    readings = (
        (images, w_shape, TRANSPOSE_X),
        (x_shape, filters, _TRANSPOSE_W),
        (images, filters, f"{TRANSPOSE_X}; {_TRANSPOSE_W}"),
    )
    oblong = w_shape[2] != w_shape[3]
    fitting = [
        (w[2] != w[3], fix) for x, w, fix in readings if fits(x, w) and (oblong or w[2] == w[3])
    ]
    return min(fitting, key=lambda reading: reading[0])[1] if fitting else None


_CHANNELS = (1, 3, 4)  # of pictures: gray, RGB, RGB with transparency
_SIDE = 8  # pixels that a picture has at least along an axis
_ASPECT = 4  # of its longer side to the shorter, at most


def is_channels_last(shape: Sequence[int]) -> bool:
    """Whether the shape of one image, without the batch axis, is clearly (H, W, C).

    The last axis has the length of a channel axis and the first has not; the first two have the
    lengths of sides. (28, 28, 1) and (32, 48, 3) are such shapes, (3, 32, 3) and (512, 7, 1) not.
    """
    if len(shape) != 3:
        return False
    H, W, C = shape
    sides = min(H, W) >= _SIDE and max(H, W) <= _ASPECT * min(H, W)
    return C in _CHANNELS and H not in _CHANNELS and sides


def layout_fix(given: Sequence[int], wanted: Sequence[int]) -> str | None:
    """The expression for x (N, *given) in the layout (N, *wanted); None if there is none."""
    given, wanted = tuple(given), tuple(wanted)
    if len(given) == len(wanted) == 3 and given != wanted:
        if (given[2], *given[:2]) == wanted:
            return "x.transpose(0, 3, 1, 2)"
        if (*given[1:], given[0]) == wanted:
            return "x.transpose(0, 2, 3, 1)"
    if (1, *given) == wanted:
        return "x[:, None]"
    if (*given, 1) == wanted:
        return "x[..., None]"
    if given == (1, *wanted):
        return "x[:, 0]"
    if given == (*wanted, 1):
        return "x[..., 0]"
    one_is_flat = len(given) != len(wanted) and 1 in (len(given), len(wanted))
    if one_is_flat and math.prod(given) == math.prod(wanted):
        return f"x.reshape(-1, {', '.join(map(str, wanted))})"
    return None
