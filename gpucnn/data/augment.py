"""Small random shifts and rotations of a batch, on the device."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.errors import UsageError


@dataclass(frozen=True)
class Augment:
    """Move every image a little, differently each epoch.

    Args:
        shift: the largest shift along each axis in pixels; a whole number is drawn from
            -shift..shift.
        rotate: the largest rotation about the center in degrees, in either direction.

    Raises:
        UsageError: a shift that is negative or no whole number, or an angle outside [0, 180].
    """

    shift: int = 0
    rotate: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.shift, numbers.Integral) or self.shift < 0:
            raise UsageError(
                f"shift is {self.shift!r}", fix="give a whole number of pixels, 0 or more"
            )
        if not 0.0 <= self.rotate <= 180.0:
            raise UsageError(f"rotate is {self.rotate}", fix="give degrees from 0 to 180")

    def __bool__(self) -> bool:
        """Whether it moves anything."""
        return self.shift > 0 or self.rotate > 0.0

    def draw(self, count: int, seed: int, epoch: int) -> NDArray[np.float32]:
        """The motion of each image of a data set: float32 (count, 3).

        Columns: pixels down, pixels right, and the counterclockwise angle in radians. They depend
        on an image's place in the data set, not on the order or the batch size.
        """
        unit = random.uniform((count, 2), seed, "augment/shift", epoch)
        moves = np.floor(unit * np.float32(2 * self.shift + 1)) - np.float32(self.shift)
        limit = math.radians(self.rotate)
        angle = (2.0 * random.uniform((count, 1), seed, "augment/rotate", epoch) - 1.0) * limit
        return np.concatenate([moves, angle], axis=1, dtype=np.float32)

    def apply(self, xp: Any, images: Any, motion: Any, *, fill: float = 0.0) -> Any:
        """Images (B, C, H, W), floating, moved by `motion` (B, 3); pixels from outside are `fill`.

        The output pixel p is the input at R(-angle) (p - center - move) + center, interpolated
        bilinearly; a whole shift copies pixels exactly. The host reads no value.
        """
        batch, channels, height, width = images.shape
        center_y, center_x = (height - 1) / 2, (width - 1) / 2
        down, right, angle = (motion[:, k, None, None] for k in range(3))  # each (B, 1, 1)
        y = xp.arange(height, dtype=np.float32)[:, None] - (down + center_y)
        x = xp.arange(width, dtype=np.float32)[None, :] - (right + center_x)
        cosine, sine = xp.cos(angle), xp.sin(angle)
        # Rows grow downwards: the inverse of a counterclockwise turn is (x cos - y sin,
        # x sin + y cos).
        source_y = x * sine + y * cosine + center_y  # (B, H, W)
        source_x = x * cosine - y * sine + center_x
        top, left = xp.floor(source_y), xp.floor(source_x)
        lower, righter = source_y - top, source_x - left  # weights of the farther pixels

        flat = images.reshape(batch, channels, height * width)
        moved = xp.zeros_like(flat)
        inside_weight = xp.zeros((batch, 1, height * width), dtype=images.dtype)
        for row, row_weight in ((top, 1.0 - lower), (top + 1.0, lower)):
            for column, column_weight in ((left, 1.0 - righter), (left + 1.0, righter)):
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                place = xp.clip(row, 0, height - 1) * width + xp.clip(column, 0, width - 1)
                place = place.astype(np.int32).reshape(batch, 1, -1)
                weight = (row_weight * column_weight * inside).astype(images.dtype)
                weight = weight.reshape(batch, 1, -1)
                moved += weight * xp.take_along_axis(flat, place, axis=2)
                inside_weight += weight
        moved += (1.0 - inside_weight) * fill
        return moved.reshape(batch, channels, height, width)
