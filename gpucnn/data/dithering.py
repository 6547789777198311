"""Gray that is shown by single black and white pixels, as in a scan of one bit a pixel."""

from __future__ import annotations

import numpy as np

from gpucnn.data.decoded import strips
from gpucnn.data.image import Pixels, gray
from gpucnn.data.ink import Floats

_SMALLEST = 100  # pixels of the shorter side; smaller drawings are left as they are
_SINGLE = 0.05  # least part of the black or of the white pixels that stand alone; few do in strokes


def is_dithered(image: Pixels) -> bool:
    """Whether all pixels are black or white, and many have no neighbor of their own color.

    Args:
        image: uint8 (H, W) or (H, W, 3).
    """
    if min(image.shape[:2]) < _SMALLEST:
        return False
    white = single = 0
    for rows in strips(image.shape):
        pixels = image[rows, :]
        if ((pixels > 0) & (pixels < 255)).any():
            return False
        light = gray(pixels) > 127
        near = np.pad(light, 1, mode="edge")
        alone = (near[:-2, 1:-1] != light) & (near[2:, 1:-1] != light)
        alone &= (near[1:-1, :-2] != light) & (near[1:-1, 2:] != light)
        white += int(light.sum())
        single += int(alone.sum())
    height, width = image.shape[:2]
    return single > _SINGLE * min(white, height * width - white)


def smoothed(levels: Floats) -> Floats:
    """The mean of 5x5 pixels, in which the middle ones count most: (H, W) -> (H, W)."""
    for _ in range(2):
        near = np.pad(levels, 1, mode="edge")
        near = near[:-2] + near[1:-1] + near[2:]
        levels = (near[:, :-2] + near[:, 1:-1] + near[:, 2:]) / 9
    return levels
