"""Brightness, contrast and saturation of a batch of images, on the device.

For the pixels p of an image, with black 0 and white 1, and factors b, c and s:

    brightness  p1 = b p
    contrast    p2 = c p1 + (1 - c) b m       m: the mean gray of the image
    saturation  p3 = s p2 + (1 - s) gray(p2)  only of 3 channels
    result      p3, limited to [0, 1]

gray is 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601, 1982); of other numbers of channels it
is their mean. The first two are one product and one sum, `gain` and `lift`. The mean is that of the
unchanged image, taken on the host, so that no result depends on the order in which a device adds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAY = (0.299, 0.587, 0.114)  # weights of red, green and blue


def means(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean gray of each image, float32 (N, 1) from 0 to 1, for pixels uint8 (N, C, H, W)."""
    count, channels, height, width = images.shape
    weights = GRAY if channels == 3 else (1 / channels,) * channels
    sums = images.reshape(count, channels, -1).sum(axis=2, dtype=np.int64)
    gray = sum(weight * sums[:, k] for k, weight in enumerate(weights))
    return np.asarray(gray / (255 * height * width), np.float32)[:, None]


def columns(
    brightness: NDArray[np.float32],
    contrast: NDArray[np.float32],
    saturation: NDArray[np.float32],
    means: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """The gain, lift and saturation of each image, float32 (N, 3), from factors (N, 1)."""
    gain = brightness * contrast
    lift = 0.0 * gain if means is None else (1.0 - contrast) * brightness * means
    return np.concatenate([gain, lift, saturation], axis=1, dtype=np.float32)


def apply(xp: Any, images: Any, columns: Any, black: float, white: float, saturates: bool) -> Any:
    """Images (B, C, H, W), floating, changed by rows of `columns`, (B, 3).

    Args:
        black: the value of a black pixel.
        white: the difference of a white pixel from it.
        saturates: whether the saturation changes.
    """
    gain, lift, saturation = (columns[:, k, None, None, None] for k in range(3))
    images = (images - black) * gain + lift * white
    if saturates and images.shape[1] == 3:
        red, green, blue = (images[:, k : k + 1] for k in range(3))
        gray = GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue
        images = gray + saturation * (images - gray)
    return xp.clip(images, 0.0, white) + black
