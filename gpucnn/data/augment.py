"""Small random changes of a batch of images, on the device: position, form, width of strokes."""

from __future__ import annotations

import math
import numbers
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.errors import UsageError, choose

_MOTION = 3  # columns of a motion without a change of form: down, right, angle


@dataclass(frozen=True)
class Augment:
    """Change every image a little, differently each epoch.

    Args:
        shift: the largest shift along each axis in pixels; a whole number is drawn from
            -shift..shift.
        rotate: the largest rotation about the center in degrees, in either direction.
        scale: the largest change of the size: 0.2 is from 1 / 1.2 to 1.2 times the size.
        slant: the largest slant: the pixels by which a row moves for each row above the center.
        thinner, thicker: the largest change of the width of light strokes on a dark ground, in
            pixels on each side.

    Raises:
        UsageError: a shift that is negative or no whole number, an angle outside [0, 180], or
            another number that is negative or not finite.
    """

    shift: int = 0
    rotate: float = 0.0
    scale: float = 0.0
    slant: float = 0.0
    thinner: float = 0.0
    thicker: float = 0.0

    @classmethod
    def of(cls, kind: str | None, shift: int = 0, rotate: float = 0.0) -> Augment:
        """The augmentation of a `TrainConfig`.

        Args:
            kind: "strokes", for handwriting: light strokes on a dark ground, in images of about
                28 x 28 pixels; or None.
            shift, rotate: these; with a kind, 0 stands for the kind's own.

        Raises:
            UsageError: there is no such kind, or as for `Augment`.
        """
        if kind is None:
            return cls(shift, rotate)
        usual = choose(_KINDS, kind, "augment")
        return replace(usual, shift=shift or usual.shift, rotate=rotate or usual.rotate)

    def __post_init__(self) -> None:
        if not isinstance(self.shift, numbers.Integral) or self.shift < 0:
            raise UsageError(
                f"shift is {self.shift!r}", fix="give a whole number of pixels, 0 or more"
            )
        if not 0.0 <= self.rotate <= 180.0:
            raise UsageError(f"rotate is {self.rotate}", fix="give degrees from 0 to 180")
        for key in ("scale", "slant", "thinner", "thicker"):
            if not 0.0 <= getattr(self, key) < math.inf:
                raise UsageError(f"{key} is {getattr(self, key)}", fix="give 0 or more")

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return any(astuple(self))

    def draw(self, count: int, seed: int, epoch: int) -> NDArray[np.float32]:
        """The change of each image of a data set: float32 (count, 3), or (count, 6) with a form.

        Columns: pixels down, pixels right, the counterclockwise angle in radians; and of a form
        the size, the slant, and the pixels by which strokes are thicker on each side. They depend
        on an image's place in the data set, not on the order or the batch size.
        """

        def unit(name: str, columns: int = 1) -> NDArray[np.float32]:
            return random.uniform((count, columns), seed, f"augment/{name}", epoch)

        moves = np.floor(unit("shift", 2) * np.float32(2 * self.shift + 1)) - np.float32(self.shift)
        angle = (2.0 * unit("rotate") - 1.0) * math.radians(self.rotate)
        columns = [moves, angle]
        if self._has_form:
            size = (1.0 + self.scale) ** (2.0 * unit("scale") - 1.0)
            slant = (2.0 * unit("slant") - 1.0) * self.slant
            width = unit("thickness") * (self.thinner + self.thicker) - self.thinner
            columns += [size, slant, width]
        return np.concatenate(columns, axis=1, dtype=np.float32)

    @property
    def _has_form(self) -> bool:
        return any((self.scale, self.slant, self.thinner, self.thicker))

    def apply(self, xp: Any, images: Any, motion: Any, *, fill: float = 0.0) -> Any:
        """Images (B, C, H, W), floating, changed by `motion` (B, 3) or (B, 6), rows of `draw`.

        Pixels from outside are `fill`. The output pixel p is the input at
        R(-angle) S (p - center - move) / size + center, where S slants, interpolated bilinearly; a
        whole shift copies pixels exactly. Then strokes get thicker or thinner. The host reads no
        value.
        """
        batch, channels, height, width = images.shape
        center_y, center_x = (height - 1) / 2, (width - 1) / 2
        down, right, angle = (motion[:, k, None, None] for k in range(_MOTION))  # each (B, 1, 1)
        y = xp.arange(height, dtype=np.float32)[:, None] - (down + center_y)
        x = xp.arange(width, dtype=np.float32)[None, :] - (right + center_x)
        if motion.shape[1] > _MOTION:
            size, slant, thickness = (motion[:, k, None, None] for k in range(_MOTION, 6))
            x, y = (x + slant * y) / size, y / size
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
        moved = moved.reshape(batch, channels, height, width)
        if motion.shape[1] > _MOTION:
            return _thickened(xp, moved, thickness[:, None], self.thinner, self.thicker)
        return moved


#: What `TrainConfig.augment` names.
_KINDS = {
    "strokes": Augment(shift=2, rotate=12.0, scale=0.15, slant=0.3, thinner=0.5, thicker=1.5),
}
KINDS = tuple(_KINDS)


def _thickened(xp: Any, images: Any, pixels: Any, thinner: float, thicker: float) -> Any:
    """Images (B, C, H, W) with light strokes that are `pixels` (B, 1, 1, 1) thicker on each side.

    A stroke gets a pixel thicker where each pixel becomes the maximum of itself and its four
    neighbors, thinner by the minimum (dilation and erosion: Serra 1982); for a part of a pixel, it
    goes that part of the way.
    """
    for step in range(math.ceil(thicker)):
        part = xp.clip(pixels - step, 0.0, 1.0)
        images = images + part * (_with_neighbors(xp, images, xp.maximum) - images)
    for step in range(math.ceil(thinner)):
        part = xp.clip(-pixels - step, 0.0, 1.0)
        images = images + part * (_with_neighbors(xp, images, xp.minimum) - images)
    return images


def _with_neighbors(xp: Any, images: Any, extremum: Any) -> Any:
    """The extremum of each pixel and its neighbors above, below, left and right of it."""
    result = images.copy()
    for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        result[:, :, here] = extremum(result[:, :, here], images[:, :, there])
        result[..., here] = extremum(result[..., here], images[..., there])
    return result
