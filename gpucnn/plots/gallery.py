"""Many small images with a text below each, in one pair of axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.plots.arrays import limits, scaled, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gpucnn.plots.picture import Picture

SIDE = 0.95  # inches of the longer side of an image
_LINE = 0.135  # inches of a line of text
_GAP = 0.12  # inches between images
FONT = 7.0


class Cell(NamedTuple):
    """An image (C, H, W) with C of 1 or 3, and the text below it; or None for an empty place."""

    image: NDArray[Any] | None
    text: str = ""


def gallery(rows: Sequence[Sequence[Cell]], labels: Sequence[str] = ()) -> Picture:
    """A picture of rows of images.

    Each image fills a square as far as its shape allows, black for the low end of
    `gpucnn.plots.arrays.limits` and white for the high end.

    Args:
        labels: a text at the left of each row.
    """
    from gpucnn.plots.picture import Picture

    lines = max(cell.text.count("\n") + 1 if cell.text else 0 for row in rows for cell in row)
    columns = max(map(len, rows))
    width, height = SIDE + _GAP, SIDE + _GAP + lines * _LINE
    left = max((len(line) for text in labels for line in text.split("\n")), default=0) * 0.075
    picture = Picture(columns * width + left + 0.3, len(rows) * height + 0.3)
    axes = picture.add_subplot()
    for place, row in enumerate(rows):
        for column, (image, text) in enumerate(row):
            if image is not None:
                _draw(axes, image, column * width, place * height)
            if text:
                middle, top = column * width + SIDE / 2, place * height + SIDE + 0.03
                _write(axes, middle, top, text, ha="center", va="top", fontsize=FONT)
    for place, text in enumerate(labels):
        _write(axes, -0.1, place * height + SIDE / 2, text, ha="right", va="center", fontsize=8)
    axes.set_xlim(-left, columns * width)
    axes.set_ylim(len(rows) * height, -0.03)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return picture


def in_rows(cells: Sequence[Cell], most: int, together: int = 1) -> list[Sequence[Cell]]:
    """Cells in rows of at most `most`; so many cells that belong together stay in one row."""
    columns = min(most, max(4, math.ceil(math.sqrt(2 * len(cells)))))
    columns -= columns % together
    return [cells[first : first + columns] for first in range(0, len(cells), columns)]


def _draw(axes: Axes, image: NDArray[Any], x: float, y: float) -> None:
    _, H, W = image.shape
    h, w = SIDE * H / max(H, W), SIDE * W / max(H, W)
    x, y = x + (SIDE - w) / 2, y + (SIDE - h) / 2
    values = scaled(thinned(image, SIDE), *limits(image))
    if values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    axes.imshow(values, extent=(x, x + w, y + h, y), interpolation="none")


def _write(axes: Axes, x: float, y: float, text: str, **options: Any) -> None:
    axes.text(x, y, text, parse_math=False, **options)
