"""Conversion of a picture of a digit to the form of MNIST's images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.components import Components
from gpucnn.data.decoded import Decoded
from gpucnn.data.digit_search import Sight, find_digit
from gpucnn.data.dithering import is_dithered, smoothed
from gpucnn.data.image import Pixels
from gpucnn.data.ink import Floats, dark_ink, even_ink, reduced, spread
from gpucnn.data.resample import resize
from gpucnn.data.ruling import without_ruling
from gpucnn.data.strokes import Strokes
from gpucnn.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

_Seen = tuple[Floats, tuple[str, ...]]  # (H, W), the ink of a digit; and the notes
_SIDE, _BOX = 28, 20  # pixels: an MNIST image, and the box that its digit fits in
_LARGE = 1024  # pixels of the longer side; larger drawings are made smaller first
_WEAKEST = 0.2  # of the darkness of strokes in a drawing; even paper has no weaker lines
_MARGIN = 2 / 3  # of the digit's size: the margin of the cut around it
_LONGEST = 512  # pixels of the longer side of the cut
_WIDEST = 1 / 2  # of the digit's size: the widest stroke
_NOISY = 0.1  # of the darkness of strokes; if noise deviates by more, pixels are averaged
_ENOUGH = 3  # pixels of the picture for one of the box; more need not be averaged
_FAINTEST = 0.05  # of the darkness of strokes; what is fainter is the ringing of JPEG
_CONTRAST = 0.1  # darkness; there is hardly any contrast below
_STROKE = 0.3  # of the strongest ink; weaker ink is an edge
_WIDE = 1.6  # ratio of its width to its height; hardly any digit is so wide
_WHOLE = 0.9  # of the picture's width; so wide are lines
_MOST = 4.2  # strokes above or beside each other, in the mean; an 8 of a thin pen has 4


@dataclass(frozen=True, eq=False)
class Converted:
    """A picture in MNIST's form.

    Args:
        image: uint8 (28, 28), light on dark.
        notes: what may be wrong with it: several digits in the picture, hardly any contrast, ink
            at the border, a shape unlike a digit's.
    """

    image: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


def convert(image: Pixels | Image.Image, name: str = "the image") -> Converted:
    """A drawing or photograph of a digit, of any size, in the form of MNIST's images.

    The digit may be dark on light or light on dark, on paper that is shaded, partly in shadow,
    ruled, or ends within the picture. It is cut out, scaled into a box of 20x20 by averaging with
    its proportions kept, and placed so that its center of mass is the center of 28x28 (LeCun,
    Cortes and Burges, http://yann.lecun.com/exdb/mnist/). Specks are left out, and thin or faint
    strokes get full brightness. If there are several digits, the one nearest to the center is used.

    Args:
        image: uint8 (H, W) or (H, W, 3), or a Pillow image.
        name: its name in an error or a note.

    Raises:
        DataError: it is blank, or nothing stands out from its paper.
    """
    pixels = image if isinstance(image, np.ndarray | Decoded) else Decoded(image, name)
    levels = reduced(pixels, -(-max(pixels.shape[:2]) // _LARGE))
    cleaned = without_ruling(smoothed(levels) if is_dithered(pixels) else levels)
    if cleaned is not levels:
        levels, pixels = cleaned, np.rint(cleaned).astype(np.uint8)
    seen = _drawn(levels) or _photographed(pixels)
    if seen is None:
        raise DataError(
            f"{name} is blank, or shows no digit",
            cause="nothing in it has the contrast and the sharp outline of a stroke",
            fix="give a picture with a digit on it, of a dark pen and with a margin around it",
        )
    ink, notes = seen
    return Converted(_framed(ink), (*notes, *_shape_notes(ink)))


def _drawn(levels: Floats) -> _Seen | None:
    """The ink of a drawing on even paper without specks, or one of several digits."""
    ink = even_ink(levels)
    if ink is None or not ink.amount.any():
        return None
    strokes = Strokes(ink, ink.amount > 0, _WEAKEST)
    if strokes.components.sheets[strokes.main]:
        return None
    digits = strokes.digits()
    notes = _notes(strokes.darkness, len(digits))
    return _inked(strokes, digits[0]), notes


def _photographed(image: Pixels) -> _Seen | None:
    """The strokes of the digit nearest to the center of a photograph."""
    sight = find_digit(image)
    ink = None if sight is None else _traced(image, sight)
    if sight is None or ink is None:
        return None
    return ink, _notes(sight.darkness, sight.count, sight.sides)


def _notes(darkness: float, count: int = 1, sides: int = 0) -> tuple[str, ...]:
    notes = []
    if count > 1:
        notes.append(
            "several digits in the picture; the one nearest to the center is read: "
            "crop the picture to one"
        )
    if darkness < _CONTRAST:
        notes.append(
            "hardly any contrast between light and dark, it may be no digit: "
            "use another pen or more light"
        )
    if sides > 2:
        notes.append("ink all round the border, it may be no digit: leave a margin around it")
    return tuple(notes)


def _shape_notes(ink: Floats) -> tuple[str, ...]:
    """A note if ink, (H, W), is of too many strokes for a digit, or lies across the picture."""
    digit = _cropped(ink > _STROKE * ink.max())
    height, width = digit.shape
    lies = width > _WIDE * height and width > _WHOLE * ink.shape[1]
    if max(_crossed(digit), _crossed(digit.T)) <= _MOST and not lies:
        return ()
    return (
        "its shape is unlike that of a digit, it may be lines of the paper: "
        "crop the picture to the digit, or use plain paper",
    )


def _crossed(digit: NDArray[np.bool_]) -> float:
    """How many strokes of a digit, (H, W), are above each other, in the mean of its columns."""
    begins = digit[1:] & ~digit[:-1]
    return float((digit[0].sum() + begins.sum()) / digit.shape[1])


def _traced(image: Pixels, sight: Sight) -> Floats | None:
    """The ink of a digit alone at a higher resolution, (H, W); None if it is lost."""
    size = max(part.stop - part.start for part in sight.box)
    margin = int(_MARGIN * size) + 2
    rows, columns = (
        slice(max(0, part.start - margin), min(part.stop + margin, side))
        for part, side in zip(sight.box, image.shape, strict=False)
    )
    cut = rows, columns
    factor = -(-max(part.stop - part.start for part in cut) // _LONGEST)
    coarsest = max(factor, sight.factor, size // (_ENOUGH * _BOX))
    while True:
        levels = reduced(image, factor, cut)
        ink = dark_ink(levels if sight.dark else 255.0 - levels, _WIDEST * size / factor)
        box = tuple(
            slice((part.start - start) // factor, -((start - part.stop) // factor))
            for part, start in zip(sight.box, (part.start for part in cut), strict=True)
        )
        noise = ink.noise / ink.unit[box].mean()
        if noise < _NOISY * sight.darkness or factor >= coarsest:
            break
        factor += 1
    where = np.zeros(levels.shape, dtype=bool)
    where[box] = True
    if not ink.amount[box].any():
        return None
    strokes = Strokes(ink, where)
    return _inked(strokes, strokes.inside(where))


def _inked(strokes: Strokes, digit: list[int]) -> Floats:
    """The ink of some of the strokes, with their edges, (H, W)."""
    amount = strokes.ink.amount
    core = np.isin(strokes.components.labels, digit)
    # The edges of strokes, which are fainter, are about a pixel of the box wide.
    edge = max(1, max(part.stop - part.start for part in strokes.components.box(digit)) // _BOX)
    whole = Components(spread(core, edge) & (amount > _FAINTEST * strokes.darkness))
    return amount * np.isin(whole.labels, np.unique(whole.labels[core]))


def _framed(ink: Floats) -> NDArray[np.uint8]:
    """Ink, (H, W), as an image of MNIST: uint8 (28, 28)."""
    digit = _cropped(ink)
    scale = _BOX / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    digit = resize(digit, (height, width))
    inked = np.sort(digit[digit > 0])
    digit *= 255.0 / inked[-max(1, inked.size // 4) :].mean()  # the brightest quarter
    image = np.zeros((_SIDE, _SIDE), dtype=np.uint8)
    top, left = _place(digit.sum(axis=1)), _place(digit.sum(axis=0))
    image[top : top + height, left : left + width] = np.rint(np.minimum(digit, 255.0))
    return image


def _cropped(ink: NDArray) -> NDArray:
    """The rectangle of (H, W) that holds everything that is not 0."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(mass: Floats) -> int:
    """The place of the first of `mass.size` rows that centers their mass in the image.

    In all images of MNIST the center of mass is in pixel 14 counted from 0, that is in [14, 15).
    """
    center = mass @ (np.arange(mass.size) + 0.5) / mass.sum()
    return int(np.clip(_SIDE // 2 - int(center), 0, _SIDE - mass.size))
