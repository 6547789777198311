"""The weights of a layer as pictures.

F filters, C channels, KH x KW kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError, UsageError
from gpucnn.plots.arrays import is_module, square_side, to_host
from gpucnn.plots.extra import require
from gpucnn.plots.tiles import draw_tiles, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from gpucnn.plots.picture import Picture

_FILTERS, _CHANNELS = 64, 16  # that are shown


def show_filters(layer: Any, *, image_shape: Sequence[int] | None = None) -> Picture:
    """A picture of the weights of a layer: white is 0, red is above, blue is below.

    Filters of one channel are in a grid. Filters of three channels are shown in color, where gray
    is 0, and by channel. Other filters have a row each, with a column for each channel. At most the
    first 64 filters and 16 channels are shown.

    Args:
        layer: a Conv2d; weights (F, C, KH, KW); or a Dense on images, whose units are the filters.
        image_shape: (H, W) or (C, H, W), the image that is the input of a Dense; by default a
            square of one channel.

    Raises:
        UsageError: the layer is not built, or has no weight.
        ShapeError: the weight is of other axes, or a Dense has not as many inputs as
            `image_shape` has pixels.
        DtypeError, DataError: the weights hold no real numbers; NaN or infinity.
        MissingExtraError: Matplotlib is not installed.
    """
    require("show_filters")
    name, weight = _weight(layer)
    if weight.ndim == 2 and (name or image_shape is not None):
        weight = _units(weight, image_shape)
    if weight.ndim != 4:
        raise ShapeError(
            f"show_filters: the weight has the shape {weight.shape}",
            cause="filters are (F, C, KH, KW)",
            fix="give a Conv2d or a Dense; array[None, None] is one kernel of one channel",
        )
    return _draw(weight, name)


def _weight(layer: Any) -> tuple[str, NDArray[Any]]:
    """The name and the weight of a layer; "" and the array of what is none."""
    if not is_module(layer):
        return "", to_host(layer, "show_filters")
    layer.require_built()
    weight = getattr(layer, "weight", None)
    if weight is None:
        paths = [path for path, each in layer.named_modules() if hasattr(each, "weight")]
        raise UsageError(
            f"show_filters: {layer.display_name} has no weight",
            cause="only layers such as Conv2d and Dense have one",
            fix=f"give one of its layers: {', '.join(paths)}" if paths else "give such a layer",
        )
    return layer.display_name, to_host(weight, "show_filters")


def _units(weight: NDArray[Any], image_shape: Sequence[int] | None) -> NDArray[Any]:
    """The weight (pixels, units) of a Dense as filters (units, C, H, W)."""
    pixels = len(weight)
    if image_shape is None:
        side = square_side(pixels)
        if side is None:
            raise ShapeError(
                f"show_filters: the {pixels} inputs of the layer are not the pixels of a square",
                fix="give image_shape=(C, H, W) of the images that the layer takes",
            )
        image_shape = (side, side)
    shape = tuple(image_shape) if isinstance(image_shape, (tuple, list)) else ()
    whole = all(isinstance(length, (int, np.integer)) for length in shape)
    if len(shape) not in (2, 3) or not whole or math.prod(shape) != pixels:
        raise ShapeError(
            f"show_filters: image_shape is {image_shape!r}, for a layer of {pixels} inputs",
            cause="it must be (H, W) or (C, H, W), with as many pixels as the layer has inputs",
            fix="give the shape of the images that the layer takes",
        )
    *C, H, W = shape
    return weight.T.reshape(-1, *(C or [1]), H, W)


def _draw(weight: NDArray[Any], name: str) -> Picture:
    from gpucnn.plots.picture import Picture

    shown = weight[:_FILTERS, :_CHANNELS]
    F, C, KH, KW = shown.shape
    colors = signed(shown)
    is_grid = C in (1, 3)
    columns = min(8, math.ceil(math.sqrt(F))) if is_grid else C
    rows = math.ceil(F / columns) if is_grid else F
    panels = 2 if C == 3 else 1  # along each side
    picture = Picture(*_inches(rows * KH, columns * KW, panels))
    parts: list[Axes] = list(picture.subplots(panels, panels, squeeze=False).flat)
    if C == 3:
        in_color = parts.pop(0)
        draw_tiles(in_color, 0.5 + shown.transpose(0, 2, 3, 1) / (2 * colors["vmax"]), columns)
        in_color.set_title("in color, gray is 0", fontsize="medium")
        _label_rows(in_color, F, columns, KH)
        for axes, color in zip(parts, ("red", "green", "blue"), strict=True):
            axes.set_title(color, fontsize="medium")
    if is_grid:
        for channel, axes in enumerate(parts):
            image = draw_tiles(axes, shown[:, channel], columns, **colors)
            _label_rows(axes, F, columns, KH)
    else:
        image = draw_tiles(parts[0], shown.reshape(-1, KH, KW), columns, **colors)
        _label_tiles(parts[0].yaxis, "filter", F, KH)
        _label_tiles(parts[0].xaxis, "channel", C, KW)
    picture.colorbar(image, ax=parts, label="weight")
    picture.suptitle(_title(name, weight.shape), parse_math=False, fontsize="medium")
    return picture


def _inches(height: int, width: int, panels: int) -> tuple[float, float]:
    """The size of a picture whose panels, so many a side, have this height and width in weights."""
    inch = min(0.2, 8 / panels / max(width, height))
    return max(panels * (inch * width + 0.7) + 1.2, 5.2), max(panels * inch * height + 1.2, 2.4)


def _label_rows(axes: Axes, count: int, columns: int, KH: int) -> None:
    """The numbers of the filters in each row."""
    firsts = range(0, count, columns)
    lasts = [min(first + columns, count) - 1 for first in firsts]
    labels = [
        f"{first}-{last}" if last > first else f"{first}"
        for first, last in zip(firsts, lasts, strict=True)
    ]
    axes.set_yticks(KH * np.arange(len(labels)) + (KH - 1) / 2, labels)
    axes.set_ylabel("filters")
    axes.tick_params(length=0, labelsize="small")


def _label_tiles(axis: Axis, label: str, count: int, length: int) -> None:
    """The numbers of the tiles along an axis, at most 16 of them."""
    numbers = np.arange(0, count, math.ceil(count / 16))
    axis.set_ticks(length * numbers + (length - 1) / 2, [str(number) for number in numbers])
    axis.set_label_text(label)
    axis.set_tick_params(length=0, labelsize="small" if count <= 8 else "x-small")


def _title(name: str, shape: tuple[int, ...]) -> str:
    F, C, KH, KW = shape
    parts = [f"{_count(F, 'filter', _FILTERS)} of {KH} x {KW}", _count(C, "channel", _CHANNELS)]
    return f"{name}\n" * bool(name) + ", ".join(parts)


def _count(number: int, noun: str, most: int) -> str:
    first = f"the first {most} of " if number > most else ""
    return f"{first}{number} {noun}{'s' * (number != 1)}"
