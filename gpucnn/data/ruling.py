"""The lines of ruled and of squared paper."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.ink import Floats, extreme_below, noise_of

_SMALLEST = 100  # pixels of the shorter side; less has no room for lines and a digit
_THICKEST = 0.012  # of the picture's mean side; thicker lines are strokes
_DARK = 0.25  # of the strongest ink; fainter lines do no harm
_NOISY = 4.0  # deviations of the noise; less is no line
_BLOCKS = 32  # parts of a line, in each of which its dark pixels are counted
_TILT = 0.06  # the steepest rise of a line, as a part of its length
_LEAST = 3  # lines of a ruling
_LONG = 0.6  # least part of the picture that each of them crosses
_HIDDEN = 0.45  # the same for further lines in their direction: the digit may hide some of them
_MARGIN = 0.8  # the same for a line across a ruling, as beside a margin
_EDGE = 1.5  # pixels on each side of a line, where it is fainter


def without_ruling(levels: Floats) -> Floats:
    """A picture with the lines of its paper painted over, or itself if it has no ruling.

    A ruling is three or more dark lines, about along the rows or about along the columns, that
    cross most of the picture. Others may cross them: a margin's, or those of squares. A line gets
    the gray levels of the paper on both of its sides. Where a stroke crosses it, ink is there, and
    the stroke stays whole.

    Args:
        levels: float64 (H, W), 0 to 255.
    """
    if min(levels.shape) < _SMALLEST:
        return levels
    paper = float(np.median(levels))
    if levels.max() - paper > paper - levels.min():
        inverse = 255.0 - levels
        unruled = without_ruling(inverse)
        return levels if unruled is inverse else 255.0 - unruled
    least = max(_DARK * (paper - float(levels.min())), _NOISY * noise_of(levels))
    directions = [_Lines(each, least) for each in (levels, levels.T)]
    if max(lines.rows(_LONG).size for lines in directions) < _LEAST:
        return levels
    for lines in directions:
        ruled = lines.rows(_LONG).size >= _LEAST
        levels = lines.painted_over(levels, lines.rows(_HIDDEN if ruled else _MARGIN)).T
    return levels


class _Lines:
    """The dark lines of a picture that are about along its rows.

    Args:
        levels: float64 (H, W).
        least: gray levels; a line is darker than its surroundings by more.
    """

    def __init__(self, levels: Floats, least: float) -> None:
        self._reach = max(2, round(_THICKEST * sum(levels.shape) / 2))
        levels = levels.astype(np.float32)  # in half of the memory
        self._dark = _filled(levels, self._reach) - levels > least
        self._crossed, self._rise = _longest_lines(self._dark)

    def rows(self, long: float) -> NDArray[np.int64]:
        """The middle rows of the lines that cross a part of the picture."""
        near = np.pad(self._crossed[:, np.newaxis], ((self._reach, self._reach), (0, 0)))
        most = extreme_below(np.maximum, near, 2 * self._reach + 1)[:, 0]
        rows = np.flatnonzero((self._crossed == most) & (self._crossed >= long))
        return rows[np.diff(rows, prepend=-self._reach - 1) > self._reach]  # one of each line

    def painted_over(self, levels: Floats, rows: NDArray[np.int64]) -> Floats:
        """A picture (H, W) without the lines at some middle rows."""
        height, width = levels.shape
        columns, reach = np.arange(width), np.arange(-self._reach, self._reach + 1)
        dark = np.pad(self._dark, ((height, height), (0, 0)))
        half, centers = 0, []
        for row in rows.tolist():
            center = row + self._rise[row] * ((columns + 0.5) / width - 0.5)
            near = np.rint(center).astype(int) + reach[:, np.newaxis]
            line = dark[near + height, columns]
            thickness = line.sum(axis=0)
            met = thickness > 0  # it may be hidden by strokes
            off = (line * (near - center)).sum(axis=0)[met] / thickness[met]
            centers.append(np.rint(center + np.median(off)).astype(int))
            half = max(half, int(np.median(thickness[met]) / 2 + _EDGE))
        filled, unruled = _filled(levels, 2 * half + 1), levels.copy()
        for center in centers:
            for off in range(-half, half + 1):
                inside = (center + off >= 0) & (center + off < height)
                pixels = (center + off)[inside], columns[inside]
                unruled[pixels] = filled[pixels]
        return unruled


def _longest_lines(dark: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The line through the middle of each row that crosses most dark pixels of a mask (H, W).

    Returns:
        (H,) each: the part of the picture where the line is dark, and its rise in pixels.
    """
    height, width = dark.shape
    starts = np.arange(_BLOCKS) * width // _BLOCKS
    blocks = np.add.reduceat(dark, starts, axis=1, dtype=np.float64)
    blocks /= np.diff(starts, append=width)
    steepest = round(_TILT * width)
    # Within a block a steep line goes through several rows.
    blocks = np.pad(blocks, ((steepest + 1, steepest + 1), (0, 0)))
    blocks = np.minimum(blocks[:-2] + blocks[1:-1] + blocks[2:], 1.0)
    along = (np.arange(_BLOCKS) + 0.5) / _BLOCKS - 0.5
    most, rises = np.zeros(height), np.zeros(height)
    for rise in sorted(range(-steepest, steepest + 1), key=abs):
        crossed = np.zeros(height)
        for block, shift in enumerate(np.rint(along * rise).astype(int).tolist()):
            crossed += blocks[steepest + shift : steepest + shift + height, block]
        more = crossed > most
        most[more], rises[more] = crossed[more], rise
    return most / _BLOCKS, rises


def _filled(levels: NDArray[Any], most: int) -> NDArray[Any]:
    """(H, W), where what is dark in at most `most` pixels of a column is as light as its sides."""
    margin = ((most, most), (0, 0))
    lightest = extreme_below(np.maximum, np.pad(levels, margin, mode="edge"), most + 1)
    return extreme_below(np.minimum, lightest, most + 1)
