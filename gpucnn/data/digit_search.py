"""The search for a digit in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.components import Components
from gpucnn.data.image import Pixels
from gpucnn.data.ink import Floats, Ink, dark_ink, local_median, reduced
from gpucnn.data.strokes import Strokes, darkness, sharpness

_LONGEST = 256  # pixels of the longer side of the picture that is searched
_AGAIN = ((1, 8), (2, 28), (4, 44))  # reduction factor, and the least pixels of the shorter side
_SLIMMEST = 1 / 16  # ratio of the sides of a picture; a digit in a slimmer one cannot be told
_WIDEST = 1 / 3  # of the picture's mean side; wider things are no strokes
_THRESHOLDS = (0.0, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)  # amounts of ink
_CERTAIN = 15.0  # least root of a component's sum of squares in deviations of the noise
_WITHIN = 0.5  # least part of a component's outline that is not at the border
_SHARP, _INK = 0.85, 0.1  # least sharpness of a component, and least fraction of all ink
_WEAK, _WEAK_SHARP, _WEAK_INK = 0.15, 0.95, 0.5  # darkness of weak ink, and the same for it


@dataclass(frozen=True)
class Sight:
    """A digit in a picture.

    Args:
        box: its rows and its columns.
        dark: dark on light, or else light on dark.
        darkness: the amount of ink in its strokes, see `Ink`.
        count: of the digits in the picture, of which this one is the nearest to the center.
        sides: how many sides of the picture it touches.
        factor: by how much the picture was reduced in which it was found.
    """

    box: tuple[slice, slice]
    dark: bool
    darkness: float
    count: int
    sides: int
    factor: int


def find_digit(image: Pixels) -> Sight | None:
    """The digit nearest to the center of a picture, or None if nothing stands out from the paper.

    Args:
        image: uint8 (H, W) or (H, W, 3).
    """
    shorter, longer = sorted(image.shape[:2])
    if shorter < _SLIMMEST * longer:
        return None
    least = max(1, min(-(-longer // _LONGEST), shorter // _AGAIN[1][1]))
    for times, enough in _AGAIN:  # there is less noise and blur in a smaller picture
        factor = least * times
        if shorter // factor < enough:
            return None
        levels = reduced(image, factor)
        found = _most_likely(levels)
        if found is not None:
            return _nearest_to_the_center(*found, factor)
    return None


def _nearest_to_the_center(dark: bool, ink: Ink, where: NDArray[np.bool_], factor: int) -> Sight:
    strokes = Strokes(ink, where)
    digits = strokes.digits()
    box = strokes.components.box(digits[0])
    sides = sum(
        (part.start == 0) + (part.stop == side) for part, side in zip(box, where.shape, strict=True)
    )
    rows, columns = (slice(part.start * factor, part.stop * factor) for part in box)
    return Sight((rows, columns), dark, strokes.darkness, len(digits), sides, factor)


def _most_likely(levels: Floats) -> tuple[bool, Ink, NDArray[np.bool_]] | None:
    """The component most like a digit: whether it is dark, all ink of that kind, and its place.

    The components of ink depend on a threshold, and several are tried: a low one keeps faint
    strokes, a high one separates the digit from lines of the paper, shadows and stains.
    """
    widest = _WIDEST * sum(levels.shape) / 2
    background = local_median(levels, max(1, int(widest)))
    best, found = 0.0, None
    for dark in (True, False):
        ink = dark_ink(levels if dark else 255.0 - levels, widest)
        # The gap between two dark strokes counts as light ink, but most of its surroundings is
        # paper.
        depth = background - levels if dark else levels - background
        likely = np.clip(depth / ink.unit, 0.0, ink.amount)
        for threshold in _THRESHOLDS:
            components = Components(ink.amount > threshold)
            likeness = _likeness(components, ink, likely)
            first = int(likeness.argmax())
            if likeness[first] > best:
                best, found = likeness[first], (dark, ink, components.labels == first)
    return found


def _likeness(components: Components, ink: Ink, likely: Floats) -> Floats:
    """The likeness of each component to a digit, (count + 1,); 0 if it may be no ink at all.

    It is the sum of squares of the ink, times factors below 1 for a component that is off center,
    blurred, at the border, or thick. The exponents were found by trial on photographs.
    """
    height, width = ink.amount.shape
    energy = components.total(likely**2)
    outline = np.maximum(components.total(components.outline), 1.0)
    within = 1 - components.rim / outline
    sharp = sharpness(components, ink)
    thickness = components.thickness / components.size
    down = (components.top + components.bottom) / (2 * height) - 0.5
    across = (components.left + components.right) / (2 * width) - 0.5
    weak = darkness(components, ink) < _WEAK
    stands_out = (
        ~(components.sheets | components.frames)
        & (components.total((likely * ink.unit / ink.noise) ** 2) > _CERTAIN**2)
        & (within > _WITHIN)
        & (sharp > np.where(weak, _WEAK_SHARP, _SHARP))
        & (energy > np.where(weak, _WEAK_INK, _INK) * (likely**2).sum())
    )
    stands_out[0] = False
    central = np.exp(-8 * (down**2 + across**2))
    thin = np.maximum(1 - 2 * thickness, 0.05)
    return stands_out * energy * central * sharp**16 * within**4 * thin**4
