"""Images as pictures: one, or a grid of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import UsageError, choose
from gpucnn.plots.arrays import limits, scaled, thinned, to_images
from gpucnn.plots.extra import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gpucnn.plots.picture import Picture

MOST = 64  # images in a grid
_COLUMNS = 8


def show_image(
    array: Any, title: str | Sequence[str] | None = None, *, cmap: str = "gray"
) -> Picture:
    """A picture of an image, or a grid of the first 64 images of a batch.

    Black is 0. White is 255 for uint8 and for integers up to 255, and 1 for values from 0 to 1.
    Images with other values are scaled by the least and the greatest value of all of them, and a
    color bar shows the scale.

    Args:
        array: (H, W), (1, H, W), (3, H, W) or (H, W, 3), where 3 channels are red, green and blue;
            a batch has an axis N before the channels. An array of any device, a list or a Tensor.
        title: above the image; for a batch a list of one title an image, or one title for all.
        cmap: Matplotlib's name of the colors of gray images; in "gray_r" 0 is white.

    Raises:
        ShapeError: it is no image, or empty.
        DtypeError: it does not hold real numbers.
        DataError: a pixel is NaN or infinite.
        UsageError: the number of titles is not that of the images, or `cmap` is unknown.
        MissingExtraError: Matplotlib is not installed.
    """
    require("show_image")
    images, batch = to_images(array, "show_image")
    titles = _titles(title, len(images), batch)
    heading = title if batch and isinstance(title, str) else None
    return draw_images(images, titles, heading, cmap)


def _titles(title: str | Sequence[str] | None, count: int, batch: bool) -> list[str]:
    """A title an image; "" for none."""
    if title is None or (batch and isinstance(title, str)):
        return [""] * count
    if not isinstance(title, (list, tuple, np.ndarray)):
        title = [str(title)]
    if len(title) != count:
        raise UsageError(
            f"show_image: {len(title)} titles for {count} images",
            fix="give one title an image, in a list",
        )
    return [str(each) for each in title]


def draw_images(
    images: NDArray[Any], titles: Sequence[str], heading: str | None, cmap: str
) -> Picture:
    """The picture of images (N, C, H, W), with a title above each and a heading above all."""
    from matplotlib import colormaps

    from gpucnn.plots.picture import Picture

    choose({name: name for name in colormaps}, cmap, "cmap")
    low, high = limits(images)
    count, C, H, W = images.shape
    if count > MOST:
        first = f"the first {MOST} of {count:,} images"
        heading = first if heading is None else f"{heading}: {first}"
    images = images[:MOST]
    columns = min(_COLUMNS, math.ceil(math.sqrt(len(images))))
    rows = math.ceil(len(images) / columns)
    single = count == 1
    side = 4.0 if single else max(1.2, 4.0 / columns)  # inches, the longer of an image
    height, width = (max(side * length / max(H, W), side / 4) for length in (H, W))
    picture = Picture(columns * width + 1.2, rows * (height + 0.25) + 0.6)
    grid = picture.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(images) :]:
        axes.set_axis_off()
    for axes, image, title in zip(grid.flat, images, titles, strict=False):
        shown = draw_image(axes, image, low, high, cmap, side)
        axes.set_title(title, fontsize="large" if single else "small", parse_math=False)
        if not single:
            axes.set_xticks([])
            axes.set_yticks([])
    if single:
        label_pixels(grid[0, 0], H, W)
    else:
        picture.supxlabel(f"each {W} x {H} pixels", fontsize="small")
    if heading is not None:
        picture.suptitle(heading, parse_math=False)
    if (low, high) not in ((0, 1), (0, 255)):
        if C == 1:
            picture.colorbar(shown, ax=grid, label="value of a pixel")
        else:
            text = f"values from {low:.4g} (black) to {high:.4g} (full color)"
            picture.supylabel(text, fontsize="small")
    return picture


def draw_image(
    axes: Axes, image: NDArray[Any], low: float, high: float, cmap: str, inches: float = 4.0
) -> Any:
    """Draw one image (C, H, W), `low` as black and `high` as white, so many inches long."""
    _, H, W = image.shape
    extent = (-0.5, W - 0.5, H - 0.5, -0.5)
    image = thinned(image, inches)
    if len(image) == 1:
        return axes.imshow(image[0], cmap=cmap, vmin=low, vmax=high, extent=extent)
    return axes.imshow(scaled(image, low, high), extent=extent)


def label_pixels(axes: Axes, H: int, W: int) -> None:
    """Ticks at whole pixels of an image (H, W), fewer on a short side, and their unit."""
    from matplotlib.ticker import MaxNLocator

    for axis, label, length in ((axes.xaxis, "x (pixels)", W), (axes.yaxis, "y (pixels)", H)):
        ticks = max(1, round(6 * length / max(H, W)))
        axis.set_major_locator(MaxNLocator(ticks, integer=True))
        axis.set_label_text(label)
