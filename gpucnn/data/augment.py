"""Small random changes of a batch of images, on the device: position, form, strokes, colors."""

from __future__ import annotations

import math
import numbers
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import random
from gpucnn.data import color
from gpucnn.data.dataset import Dataset
from gpucnn.errors import UsageError, choose

_MOTION = 3  # columns of a motion without a change of form: down, right, angle
_FORM = 6  # columns with a form, and without a flip and colors
_CROP = 8  # crop shifts by up to 1/8 of the shorter side: 4 pixels of 32


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
        flip: whether half of the images, drawn at random, are mirrored: left becomes right.
        brightness, contrast, saturation: the largest change of these: with 0.2, the factor is from
            0.8 to 1.2. Saturation changes images of 3 channels only.

    Raises:
        UsageError: a shift that is negative or no whole number, an angle outside [0, 180], a change
            of color outside [0, 1], or another number that is negative or not finite.
    """

    shift: int = 0
    rotate: float = 0.0
    scale: float = 0.0
    slant: float = 0.0
    thinner: float = 0.0
    thicker: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    @classmethod
    def of(
        cls,
        kinds: str | None,
        shift: int = 0,
        rotate: float = 0.0,
        image_shape: tuple[int, ...] = (),
    ) -> Augment:
        """The augmentation of a `TrainConfig`.

        Args:
            kinds: names of `KINDS`, as in "flip,crop", or None. "strokes" is for handwriting: light
                strokes on a dark ground, in images of about 28 x 28 pixels. "flip", "crop" and
                "color" are for photographs; "crop" is a size of 0.8 to 1.25 and a shift by up to an
                eighth of the shorter side. If two kinds change the same, the larger change holds.
            shift, rotate: these; 0 stands for those of the kinds.
            image_shape: (C, H, W), which "crop" needs.

        Raises:
            UsageError: there is no such kind, the images are too small for it, or as for `Augment`.
        """
        names = [] if kinds is None else [name.strip() for name in kinds.split(",")]
        chosen = [cls(), *(choose(_KINDS, name, "augment") for name in names)]
        keys = [field.name for field in fields(cls)]
        most: dict[str, Any] = {key: max(getattr(each, key) for each in chosen) for key in keys}
        if "crop" in names and len(image_shape) == 3:
            most["shift"] = max(most["shift"], _crop_shift(image_shape))
        return cls(**{**most, "shift": shift or most["shift"], "rotate": rotate or most["rotate"]})

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
        for key in ("brightness", "contrast", "saturation"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                raise UsageError(f"{key} is {getattr(self, key)}", fix="give a number from 0 to 1")

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return any(astuple(self))

    def require_fit(self, dataset: Dataset) -> None:
        """Raise a `UsageError` unless images of this data set can be changed so."""
        shape, kind = dataset.image_shape, dataset.images.dtype
        if len(shape) != 3:
            raise UsageError(
                f"{dataset.name} cannot be augmented",
                cause=f"augmentation is for images, (C, H, W), and an example is {shape}",
                fix="leave out augment, shift and rotate",
            )
        if self._recolors and kind != np.uint8:
            raise UsageError(
                f"the colors of {dataset.name} cannot be changed",
                cause=f"the images are {kind}: black and white are known of pixels from 0 to 255",
                fix="give uint8 images, or leave out brightness, contrast and saturation (color)",
            )
        if self.shift >= min(shape[1:]):
            raise UsageError(
                f"shift is {self.shift}, and the images are {'x'.join(map(str, shape[1:]))}",
                cause="an image that is shifted by its whole size is blank",
                fix=f"give a shift of less than {min(shape[1:])} pixels",
            )

    def means(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The argument `means` of `draw` for a data set; None if it needs none."""
        return color.means(images) if self.contrast else None

    def draw(
        self, count: int, seed: int, epoch: int, means: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """The change of each image of a data set: float32 (count, 3), (count, 6) or (count, 10).

        Columns: pixels down, pixels right, the counterclockwise angle in radians; then of a form
        the size, the slant, and the pixels by which strokes are thicker on each side; then 1 for a
        mirrored image, and the columns of `gpucnn.data.color`. They depend on an image's place in
        the data set, not on the order or the batch size.

        Args:
            means: the result of `means`, for a change of contrast.

        Raises:
            UsageError: the contrast changes, and `means` is missing.
        """
        if self.contrast and means is None:
            raise UsageError(
                "a change of contrast needs the mean of each image",
                fix="give draw(count, seed, epoch, augment.means(images))",
            )

        def unit(name: str, columns: int = 1) -> NDArray[np.float32]:
            return random.uniform((count, columns), seed, f"augment/{name}", epoch)

        def factor(name: str, most: float) -> NDArray[np.float32]:
            return 1.0 + (2.0 * unit(name) - 1.0) * most

        moves = np.floor(unit("shift", 2) * np.float32(2 * self.shift + 1)) - np.float32(self.shift)
        angle = (2.0 * unit("rotate") - 1.0) * math.radians(self.rotate)
        columns = [moves, angle]
        looks = self.flip or self._recolors
        if self._has_form or looks:
            size = (1.0 + self.scale) ** (2.0 * unit("scale") - 1.0)
            slant = (2.0 * unit("slant") - 1.0) * self.slant
            width = unit("thickness") * (self.thinner + self.thicker) - self.thinner
            columns += [size, slant, width]
        if looks:
            mirrored = (unit("flip") < 0.5) & self.flip
            brightness = factor("brightness", self.brightness)
            contrast = factor("contrast", self.contrast)
            saturation = factor("saturation", self.saturation)
            columns += [mirrored, color.columns(brightness, contrast, saturation, means)]
        return np.concatenate(columns, axis=1, dtype=np.float32)

    @property
    def _has_form(self) -> bool:
        return any((self.scale, self.slant, self.thinner, self.thicker))

    @property
    def _recolors(self) -> bool:
        return any((self.brightness, self.contrast, self.saturation))

    def apply(
        self, xp: Any, images: Any, motion: Any, *, fill: float = 0.0, white: float = 1.0
    ) -> Any:
        """Images (B, C, H, W), floating, changed by `motion` (B, K), rows of `draw`.

        First colors change, then half of the images are mirrored, then all are moved. Pixels from
        outside are black. The host reads no value.

        Args:
            fill: black.
            white: the difference of white from black.
        """
        if motion.shape[1] > _FORM:
            if self._recolors:
                changes = motion[:, _FORM + 1 :]
                saturates = self.saturation > 0
                images = color.apply(xp, images, changes, fill, white, saturates)
            if self.flip:
                mirrored = motion[:, _FORM, None, None, None] > 0
                images = xp.where(mirrored, images[..., ::-1], images)
            if not (self.shift or self.rotate or self._has_form):
                return images
        return self._moved(xp, images, motion, fill)

    def _moved(self, xp: Any, images: Any, motion: Any, fill: float) -> Any:
        """Images (B, C, H, W) that are shifted, turned and formed.

        The output pixel p is the input at R(-angle) S (p - center - move) / size + center, where S
        slants, interpolated bilinearly; a whole shift copies pixels exactly. Then strokes get
        thicker or thinner.
        """
        batch, channels, height, width = images.shape
        center_y, center_x = (height - 1) / 2, (width - 1) / 2
        down, right, angle = (motion[:, k, None, None] for k in range(_MOTION))  # each (B, 1, 1)
        y = xp.arange(height, dtype=np.float32)[:, None] - (down + center_y)
        x = xp.arange(width, dtype=np.float32)[None, :] - (right + center_x)
        if motion.shape[1] > _MOTION:
            size, slant, thickness = (motion[:, k, None, None] for k in range(_MOTION, _FORM))
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


#: What `TrainConfig.augment` names; "crop" also shifts, by a part of the image.
_KINDS = {
    "strokes": Augment(shift=2, rotate=12.0, scale=0.15, slant=0.3, thinner=0.5, thicker=1.5),
    "flip": Augment(flip=True),
    "crop": Augment(scale=0.25),
    "color": Augment(brightness=0.2, contrast=0.2, saturation=0.2),
}
KINDS = tuple(_KINDS)


def _crop_shift(image_shape: tuple[int, ...]) -> int:
    """The largest shift of "crop", in pixels."""
    if min(image_shape[1:]) < _CROP:
        raise UsageError(
            f"crop needs images of at least {_CROP}x{_CROP} pixels, and these are"
            f" {'x'.join(map(str, image_shape[1:]))}",
            cause=f"it shifts by up to 1/{_CROP} of the shorter side, which is less than a pixel",
            fix="leave crop out; --shift 1 shifts by a pixel",
        )
    return min(image_shape[1:]) // _CROP


def _thickened(xp: Any, images: Any, pixels: Any, thinner: float, thicker: float) -> Any:
    """Images (B, C, H, W) with light strokes that are `pixels` (B, 1, 1, 1) thicker on each side.

    A stroke gets a pixel thicker where each pixel becomes the maximum of itself and its four
    neighbors, thinner by the minimum (dilation and erosion: Serra 1982); for a part of a pixel, it
    goes that part of the way.
    """
    for step in range(math.ceil(thicker)):
        part = xp.clip(pixels - step, 0.0, 1.0)
        images = images + part * (_with_neighbors(images, xp.maximum) - images)
    for step in range(math.ceil(thinner)):
        part = xp.clip(-pixels - step, 0.0, 1.0)
        images = images + part * (_with_neighbors(images, xp.minimum) - images)
    return images


def _with_neighbors(images: Any, extremum: Any) -> Any:
    """The extremum of each pixel and its neighbors above, below, left and right of it."""
    result = images.copy()
    for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        result[:, :, here] = extremum(result[:, :, here], images[:, :, there])
        result[..., here] = extremum(result[..., here], images[..., there])
    return result
