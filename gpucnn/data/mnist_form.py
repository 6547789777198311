"""A picture of a digit in the form of MNIST's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.image import gray, pixels
from gpucnn.data.resample import resize
from gpucnn.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

_SIDE, _BOX = 28, 20  # pixels: an MNIST image, and the box that its digit fits in
_FAINTEST = 0.05  # of the darkest ink; what is fainter is the ringing of JPEG
_SPECK = 0.05  # of the largest piece of ink; what is smaller and apart is dust or noise
_NOISY = 0.05  # of the darkest ink; where noise deviates by more, pixels are averaged


def to_mnist(image: NDArray[np.uint8] | Image.Image, name: str = "the image") -> NDArray[np.uint8]:
    """A picture of a digit, of any size, as MNIST's were made: uint8 (28, 28), light on dark.

    The digit is cut out, scaled with its proportions kept into a box of 20x20 by averaging, and
    placed so that its centre of mass is the centre of 28x28 (LeCun, Cortes and Burges,
    http://yann.lecun.com/exdb/mnist/). What most of the border shows is taken for the background,
    and how much the border varies for noise; specks are left out, and thin strokes are brought up
    to full brightness.

    Args:
        image: uint8 (H, W) or (H, W, 3), or a Pillow image.
        name: what to call it in an error.

    Raises:
        DataError: it is blank.
    """
    levels = gray(image if isinstance(image, np.ndarray) else pixels(image, name))
    ink, noise, unevenness = _ink(levels)
    while noise > _NOISY * ink.max() and min(ink.shape) >= 4 * _SIDE:
        levels = (levels[:-1:2] + levels[1::2]) / 2
        levels = (levels[:, :-1:2] + levels[:, 1::2]) / 2
        ink, noise, unevenness = _ink(levels)
    peak = ink.max()
    if peak == 0.0:
        raise DataError(
            f"{name} is blank: there is no digit on its background",
            cause="all of its pixels are the same gray",
            fix="give a picture with a digit on it",
        )
    # Normal noise goes beyond 5 deviations in no picture. At most half, so that some ink is left.
    faintest = np.clip(max(5.0 * noise, 1.5 * unevenness), _FAINTEST * peak, 0.5 * peak)
    ink[ink <= faintest] = 0.0
    ink *= _without_specks(ink)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _BOX / max(digit.shape)
    height, width = (max(1, round(size * scale)) for size in digit.shape)
    digit = resize(digit, (height, width))
    inked = np.sort(digit[digit > 0])
    digit *= 255.0 / inked[-max(1, inked.size // 4) :].mean()  # the brightest quarter
    digit = np.minimum(digit, 255.0)
    canvas = np.zeros((_SIDE, _SIDE), dtype=np.uint8)
    top = _place(digit.sum(axis=1))
    left = _place(digit.sum(axis=0))
    canvas[top : top + height, left : left + width] = np.rint(digit)
    return canvas


def _ink(gray: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """How far each pixel is from the background, on the side where the digit is; and, both from the
    border: the standard deviation of the noise, and how far the background departs from its median.
    """
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    background = np.median(border)
    dark_on_light = background - gray.min() > gray.max() - background
    ink = np.maximum(background - gray if dark_on_light else gray - background, 0.0)
    # Robust, because a stroke may touch the border. Neighbours differ by noise alone, by sqrt(2)
    # times its deviation, the median of whose size is 0.6745 deviations.
    noise = np.median(np.abs(np.diff(border))) / (0.6745 * 2**0.5)
    return ink, float(noise), float(np.percentile(np.abs(border - background), 95))


def _without_specks(ink: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the large pieces of ink are; pixels that touch, corners included, are of one piece."""
    height, width = ink.shape
    stride = width + 2
    flat = np.pad(ink, ((0, 0), (1, 1))).ravel()  # so that no run of pixels goes over a row's end
    starts, ends = np.flatnonzero(np.diff(flat > 0)).reshape(-1, 2).T + 1
    # Each run touches the runs first..last - 1, which are in the next row.
    first = np.searchsorted(ends, starts + stride, side="left")
    last = np.searchsorted(starts, ends + stride, side="right")
    touching = last - first
    upper = np.repeat(np.arange(starts.size), touching)
    lower = np.arange(upper.size) + np.repeat(first - (np.cumsum(touching) - touching), touching)
    piece = np.arange(starts.size)  # of each run; a piece has the number of its first run
    while np.any(piece[upper] != piece[lower]):
        joined = np.minimum(piece[upper], piece[lower])
        for side in (upper, lower):
            np.minimum.at(piece, piece[side], joined)
        piece = piece[piece]
    mass = np.bincount(piece, np.add.reduceat(flat, np.stack([starts, ends], axis=1).ravel())[::2])
    large = (mass >= _SPECK * mass.max())[piece]
    steps = np.zeros(flat.size, dtype=np.int8)
    steps[starts[large]], steps[ends[large]] = 1, -1
    return np.cumsum(steps, dtype=np.int8).reshape(height, stride)[:, 1:-1] > 0


def _place(mass: NDArray[np.float64]) -> int:
    """Where to put the first of `mass.size` rows so that their centre of mass is the image's.

    In every one of MNIST's images it lies in pixel 14 counted from 0, that is in [14, 15).
    """
    centre = mass @ (np.arange(mass.size) + 0.5) / mass.sum()
    return int(np.clip(_SIDE // 2 - int(centre), 0, _SIDE - mass.size))
