"""Scaling images: separable linear interpolation that averages when it shrinks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interpolation_matrix(size: int, new_size: int) -> NDArray[np.float64]:
    """float64 (new_size, size): row i holds the weights of the old pixels in new pixel i.

    Pixel centers lie at i + 1/2. The weight is a triangle around the new pixel's center; enlarging,
    it spans two old pixels (bilinear), and shrinking it widens by the factor (anti-aliased), as in
    Pillow's BILINEAR filter.
    """
    factor = size / new_size
    center = (np.arange(new_size) + 0.5) * factor - 0.5
    distance = np.abs(np.arange(size) - center[:, np.newaxis])
    weight = np.maximum(0.0, 1.0 - distance / max(factor, 1.0))
    return weight / weight.sum(axis=1, keepdims=True)


def resize(images: NDArray[np.number], size: tuple[int, int]) -> NDArray[np.float64]:
    """Images (..., H, W) scaled to (..., *size), as float64 of the same range."""
    rows = interpolation_matrix(images.shape[-2], size[0])
    columns = interpolation_matrix(images.shape[-1], size[1])
    return rows @ images.astype(np.float64, copy=False) @ columns.T
