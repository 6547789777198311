"""The gradient of an image: how fast its pixels change from row to row and column to column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.plots.arrays import to_host


def image_gradient(image: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """(dy, dx): the change of the pixels by one step down, and by one step to the right.

    Inside it is the central difference, dx[y, x] = (image[y, x + 1] - image[y, x - 1]) / 2, and at
    the border the difference to the one neighbor, as in `numpy.gradient`. The unit is that of the
    pixels for each pixel: gray levels a pixel for an image of 0 to 255.

    Args:
        image: (H, W) or (C, H, W), where H and W are at least 2; an array, a list or a Tensor.

    Returns:
        Two arrays of the shape of the image, float32 if it is float32 and float64 otherwise.

    Raises:
        ShapeError: it has other axes, or a side of 1 pixel.
        DtypeError: it does not hold real numbers.
        DataError: a pixel is NaN or infinite.
    """
    array = to_host(image, "image_gradient")
    if array.ndim not in (2, 3) or min(array.shape[-2:]) < 2:
        raise ShapeError(
            f"image_gradient: the image has the shape {array.shape}",
            cause="it must be (H, W) or (C, H, W), with at least 2 pixels on each side",
            fix="give one image, such as images[0]",
        )
    if array.dtype != np.float32:
        array = array.astype(np.float64)  # a difference of uint8 would wrap around
    dy, dx = np.gradient(array, axis=(-2, -1))
    return dy, dx
