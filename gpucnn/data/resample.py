"""Scaling images: separable linear interpolation that averages when it shrinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

_WHOLE = 6_000_000  # numbers that the arrays of a `resize` may have together
_PIECE = 1 << 19  # numbers of one array, if they would have more

Strip = Callable[[slice], NDArray[np.float64]]  # some rows of an image: (rows, W)


def interpolation_matrix(
    size: int, new_size: int, rows: slice = slice(None)
) -> NDArray[np.float64]:
    """float64 (new_size, size): row i holds the weights of the old pixels in new pixel i.

    Pixel centers lie at i + 1/2. The weight is a triangle around the new pixel's center; enlarging,
    it spans two old pixels (bilinear), and shrinking it widens by the factor (anti-aliased), as in
    Pillow's BILINEAR filter.

    Args:
        rows: of the matrix; by default all.
    """
    factor = size / new_size
    center = (np.arange(new_size)[rows] + 0.5) * factor - 0.5
    weight = np.arange(size) - center[:, np.newaxis]
    np.abs(weight, out=weight)
    weight /= max(factor, 1.0)
    np.subtract(1.0, weight, out=weight)
    np.maximum(0.0, weight, out=weight)
    weight /= weight.sum(axis=1, keepdims=True)
    return weight


def resize(images: NDArray[np.number], size: tuple[int, int]) -> NDArray[np.float64]:
    """Images (..., H, W) scaled to (..., *size), as float64 of the same range."""
    rows = interpolation_matrix(images.shape[-2], size[0])
    columns = interpolation_matrix(images.shape[-1], size[1])
    return rows @ images.astype(np.float64, copy=False) @ columns.T


def resize_pieces(
    strip: Strip, shape: tuple[int, int], size: tuple[int, int]
) -> Iterator[tuple[slice, slice, NDArray[np.float64]]]:
    """The pieces of an image that is scaled to `size`: their rows and columns, and float64 pixels.

    A small image is one piece, with the bits of `resize`. A large one would take 64 bits a pixel;
    its sums are added a few rows at a time, and may differ by rounding.

    Args:
        strip: gives some rows of the image.
        shape: (H, W) of it.
    """
    (height, width), (new_height, new_width) = shape, size
    step, down = max(1, _PIECE // width), max(1, _PIECE // height)
    matrices = height * new_height + width * new_width
    if height * width + matrices + new_height * (width + new_width) <= _WHOLE:
        whole = np.empty(shape)
        for start in range(0, height, step):
            whole[start : start + step] = strip(slice(start, start + step))
        yield slice(None), slice(None), resize(whole, size)
        return
    for top in range(0, new_height, down):
        rows = slice(top, min(top + down, new_height))
        weights = interpolation_matrix(height, new_height, rows)
        used = np.flatnonzero(weights.any(axis=0))
        for left in range(0, new_width, step):
            columns = slice(left, min(left + step, new_width))
            across = interpolation_matrix(width, new_width, columns).T
            piece = np.zeros((rows.stop - top, columns.stop - left))
            for start in range(used[0], used[-1] + 1, step):
                some = slice(start, start + step)
                piece += weights[:, some] @ (strip(some) @ across)
            yield rows, columns, piece
