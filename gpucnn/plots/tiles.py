"""Small arrays side by side in one pair of axes: filters, feature maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNED = "RdBu_r"  # blue below 0, white at 0, red above; also for the color-blind
_BORDER = "#444444"


def signed(values: NDArray[Any]) -> dict[str, Any]:
    """Matplotlib's options for the colors of values that are drawn together: `SIGNED`."""
    most = float(np.abs(values).max()) or 1.0
    return {"cmap": SIGNED, "vmin": -most, "vmax": most}


def join(tiles: NDArray[Any], columns: int) -> NDArray[Any]:
    """Tiles (K, h, w) or (K, h, w, 3) from left to right in rows of so many columns.

    Returns:
        (rows * h, columns * w), or the same with 3 colors; NaN where the last row has no tile.
    """
    K, h, w, *colors = tiles.shape
    rows = math.ceil(K / columns)
    blank = np.full((rows * columns - K, *tiles.shape[1:]), np.nan)
    grid = np.concatenate([tiles, blank]).reshape(rows, columns, h, w, *colors)
    return grid.swapaxes(1, 2).reshape(rows * h, columns * w, *colors)


def draw_tiles(axes: Axes, tiles: NDArray[Any], columns: int, **options: Any) -> Any:
    """Draw tiles (K, h, w) or (K, h, w, 3) in rows, with lines between; without ticks.

    Args:
        options: of Matplotlib's `imshow`, as cmap, vmin and vmax.
    """
    _, h, w, *_ = tiles.shape
    joined = join(tiles, columns)
    shown = axes.imshow(joined, interpolation="nearest", **options)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    for place in range(len(tiles)):
        row, column = divmod(place, columns)
        corner = (column * w - 0.5, row * h - 0.5)
        axes.add_patch(_frame(corner, w, h))
    return shown


def _frame(corner: tuple[float, float], w: int, h: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, w, h, fill=False, edgecolor=_BORDER, linewidth=0.6, clip_on=False)
