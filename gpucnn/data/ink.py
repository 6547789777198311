"""Ink on paper under uneven light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gpucnn.data.components import Components
from gpucnn.data.decoded import strips
from gpucnn.data.image import Pixels, gray
from gpucnn.data.resample import resize

Box = tuple[slice, slice]  # rows and columns
Floats = NDArray[np.float64]

_LEAST_NOISE = 0.3  # gray levels; rounding deviates by that
_FAINTEST = 4.0  # deviations of the noise; what is darker than paper by less is noise
_BLACK = 16.0  # gray levels that a camera adds to what it sees, roughly
_COARSE = 6  # pixels of a coarse picture in half a window of the local median
_EVEN = 0.1  # of the strongest ink; even paper varies by less
_OPPOSITE = 0.25  # of the strongest ink; nothing in a drawing is so much lighter than the paper
_SOLID = 0.5  # of the strongest ink; weaker ink is an edge or a shade
_WIDE = 4.0  # of the area of solid ink; shadows and stains take up more
_MOST = 0.55  # of the picture; strokes take up less, and a sheet on a table may take up more
_EDGE = 0.06  # of the picture's longer side; soft edges of strokes are narrower
_FAR = 0.01  # of the border's pixels; lines and shades of the paper are at more of them
_RIM = 0.4  # of the outline of a stroke; less is at the border
_SPECK = 0.005  # of the area of the largest component; what is smaller is dust


@dataclass(frozen=True, eq=False)
class Ink:
    """The ink of a picture.

    Args:
        amount: float64 (H, W), how much darker each pixel is than its paper, as a part of the
            paper's brightness: 0 where there is no ink, and less than 1.
        edges: float64 (H, W), how much the picture changes within 3x3 pixels, in the unit of
            `amount`.
        unit: float64 (H, W), the gray levels of an amount of 1.
        noise: the standard deviation of the noise in gray levels.
    """

    amount: Floats
    edges: Floats
    unit: Floats
    noise: float


def reduced(image: Pixels, factor: int, box: Box = (slice(None), slice(None))) -> Floats:
    """The gray levels of an image, the mean of `factor` x `factor` pixels in place of each.

    Rows and columns that are left over at the bottom and at the right are dropped. An image with
    fewer rows than `factor` becomes one row, and one with fewer columns becomes one column.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        box: the rows and the columns that are taken; H and W below are their numbers.

    Returns:
        float64 (max(H // factor, 1), max(W // factor, 1)), 0 to 255.
    """
    if factor == 1:
        return gray(image[box])
    (top, bottom, _), (left, right, _) = (
        part.indices(side) for part, side in zip(box, image.shape, strict=False)
    )
    down, across = min(factor, bottom - top), min(factor, right - left)
    height, width = (bottom - top) // down, (right - left) // across
    columns = slice(left, left + width * across)
    levels = np.empty((height, width))
    for rows in strips((height, down * width * across)):
        stored = slice(top + rows.start * down, top + min(rows.stop, height) * down)
        whole = image[stored, columns]
        sums = whole.reshape(len(whole) // down, down, -1).sum(axis=1, dtype=np.uint32)
        sums = sums.reshape(len(sums), width, across, -1).sum(axis=2)  # (rows, W, channels)
        levels[rows] = gray((sums / (down * across)).reshape(-1, width, *image.shape[2:]))
    return levels


def even_ink(levels: Floats) -> Ink | None:
    """The ink of a drawing on even paper, dark on light or light on dark; None if it is no such.

    Paper is even if the border of the picture is, and if nothing but strokes differs from it.

    Args:
        levels: float64 (H, W), 0 to 255.
    """
    border = _border(levels)
    paper = float(np.median(border))
    depth = paper - levels
    strongest, opposite = float(depth.max()), float(-depth.min())
    if strongest < opposite:
        return even_ink(255.0 - levels)
    departs = np.abs(border - paper)
    even = departs <= _EVEN * strongest
    solid = depth > _SOLID * strongest
    if opposite > _OPPOSITE * strongest or not (even.all() or _is_cropped(solid, even)):
        return None
    # The edges of strokes are weaker ink; they are wide if a small picture was enlarged.
    if (depth > _EVEN * strongest).sum() > _WIDE * solid.sum() or solid.mean() > _MOST:
        return None
    unevenness = float(departs[even].max())
    depth[depth <= unevenness] = 0.0
    unit = paper + _BLACK
    depth /= unit
    noise = max(_LEAST_NOISE, unevenness / 3)
    # Everything that differs from even paper is ink, sharp or not.
    edges, units = (np.broadcast_to(value, levels.shape) for value in (1.0, unit))
    return Ink(depth, edges, units, noise)


def _is_cropped(solid: NDArray[np.bool_], even: NDArray[np.bool_]) -> bool:
    """Whether everything at the border that is not paper belongs to strokes that the border cuts.

    Otherwise it is the table beside the sheet or a hand, where the digit does not touch the border;
    lines of the paper, which reach it without a stroke; or a shadow, which is along it.

    Args:
        solid: (H, W), where there is solid ink.
        even: of the pixels of the border, whether they show paper.
    """
    edge = max(1, round(_EDGE * max(solid.shape)))
    if even.mean() < 0.5 or (~even & ~_border(spread(solid, edge))).mean() > _FAR:
        return False
    strokes = Components(solid)
    area, outline = strokes.total(solid), strokes.total(strokes.outline)
    cut = (strokes.rim > 0) & (strokes.rim < _RIM * outline)
    return bool(cut[area > _SPECK * area.max()].all())


def _border(picture: NDArray) -> NDArray:
    """The pixels of the border of (H, W)."""
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def dark_ink(levels: Floats, widest: float) -> Ink:
    """The ink of a picture that is dark on light; for light on dark give 255 - `levels`.

    The paper is the closing of the picture: each window gets its brightest pixel, and each pixel
    the darkest of the windows around it (Serra, Image Analysis and Mathematical Morphology, 1982).
    The closing keeps shades, the edges of shadows and the edge of the sheet, and replaces strokes
    that are narrower than the window by their surroundings.

    Args:
        levels: float64 (H, W), 0 to 255.
        widest: the widest stroke in pixels.
    """
    window = max(3, int(widest) | 1)
    brightest = _extreme(np.maximum, _continued(levels, window - 1), window)
    paper = _extreme(np.minimum, brightest, window)
    noise = max(_LEAST_NOISE, noise_of(levels))
    depth = paper - levels
    # The brightest of noisy pixels is too bright by about the same amount everywhere.
    depth -= min(float(np.median(depth)), 4 * noise)
    depth[depth < _FAINTEST * noise] = 0.0
    near = np.pad(levels, 1, mode="edge")
    edges = _extreme(np.maximum, near, 3) - _extreme(np.minimum, near, 3)
    edges = np.maximum(edges - 3 * noise, 0.0)  # 3: the mean range of nine normal numbers
    unit = paper + _BLACK
    return Ink(depth / unit, edges / unit, unit, noise)


def local_median(levels: Floats, reach: int) -> Floats:
    """The median around each pixel of (H, W), up to `reach` pixels away, of a coarse picture."""
    step = -(-reach // _COARSE)
    height, width = (-(-side // step) for side in levels.shape)
    around = max(1, reach // step)
    coarse = _continued(resize(levels, (height, width)), around)
    windows = sliding_window_view(coarse, (2 * around + 1, 2 * around + 1))
    return resize(np.median(windows.reshape(height, width, -1), axis=2), levels.shape)


def spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The pixels at most `reach` rows and `reach` columns away from a mask (H, W)."""
    return _extreme(np.maximum, np.pad(mask, reach), 2 * reach + 1)


def noise_of(levels: Floats) -> float:
    """The standard deviation of the noise of a picture, in gray levels."""
    return min(_noise(levels), _noise(levels.T))


def _noise(levels: Floats) -> float:
    """The standard deviation of normal noise, from the differences of neighbors in the columns.

    These deviate by sqrt(2) times as much. Edges of strokes are among the larger half of them; the
    mean size of the smaller half is 0.3245 deviations.
    """
    steps = np.abs(np.diff(levels, axis=0)).ravel()
    half = steps.size // 2
    if half == 0:
        return 0.0
    return float(np.partition(steps, half - 1)[:half].mean() / (0.3245 * 2**0.5))


def _continued(levels: Floats, margin: int) -> Floats:
    """(H, W) with margins like the border nearby, but without the strokes that end at it.

    A margin shows the median of the nearest quarter of the border.
    """
    height, width = levels.shape
    index = np.arange(levels.size).reshape(height, width)
    sides = [index[0, :-1], index[:-1, -1], index[-1, :0:-1], index[:0:-1, 0]]
    border = np.concatenate(sides)  # clockwise from the top left
    reach = border.size // 8
    around = np.pad(levels.ravel()[border], reach, mode="wrap")
    background = levels.copy()
    background.ravel()[border] = np.median(sliding_window_view(around, 2 * reach + 1), axis=1)
    background = np.pad(background, margin, mode="edge")
    background[margin : margin + height, margin : margin + width] = levels
    return background


def _extreme(extreme: np.ufunc, values: NDArray, window: int) -> NDArray:
    """`extreme` (np.maximum or np.minimum) of each square window of values.

    (H, W) -> (H - window + 1, W - window + 1)
    """
    return extreme_below(extreme, extreme_below(extreme, values, window).T, window).T


def extreme_below(extreme: np.ufunc, values: NDArray, window: int) -> NDArray:
    """`extreme` (np.maximum or np.minimum) of each value and those below it in a window.

    (H, W) -> (H - window + 1, W)
    """
    done = 1  # the part of the window that each value is the extreme of
    while done < window:
        step = min(done, window - done)
        values = extreme(values[:-step], values[step:])
        done += step
    return values
