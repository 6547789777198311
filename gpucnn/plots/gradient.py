"""The gradient of an image: how fast its pixels change from row to row and column to column."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.plots.arrays import limits, to_host, to_images
from gpucnn.plots.extra import require
from gpucnn.plots.images import draw_image, label_pixels
from gpucnn.plots.tiles import SIGNED
from gpucnn.shapes import is_channels_last

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gpucnn.plots.picture import Picture

_ARROWS = 16  # along the longer side, at most
_ARROW = "#d55e00"  # also for the color-blind


def image_gradient(image: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """(dy, dx): the change of the pixels by one step down, and by one step to the right.

    Inside it is the central difference, dx[y, x] = (image[y, x + 1] - image[y, x - 1]) / 2, and at
    the border the difference to the one neighbor, as in `numpy.gradient`. The unit is that of the
    pixels for each pixel: gray levels a pixel for an image of 0 to 255.

    Args:
        image: (H, W) or (C, H, W), where H and W are at least 2; an array, a list or a Tensor.

    Returns:
        Two arrays of the shape of the image, float32 if it is float32 and float64 otherwise.

    Raises:
        ShapeError: it has other axes, or a side of 1 pixel; or it is clearly (H, W, C).
        DtypeError: it does not hold real numbers.
        DataError: a pixel is NaN or infinite.
    """
    array = to_host(image, "image_gradient")
    if is_channels_last(array.shape):
        raise ShapeError(
            f"image_gradient: the image {array.shape} looks like (H, W, C)",
            cause="it must be (C, H, W)",
            fix="give numpy.asarray(image).transpose(2, 0, 1)",
        )
    if array.ndim not in (2, 3) or min(array.shape[-2:]) < 2:
        raise ShapeError(
            f"image_gradient: the image has the shape {array.shape}",
            cause="it must be (H, W) or (C, H, W), with at least 2 pixels on each side",
            fix="give one image, such as images[0]",
        )
    if array.dtype != np.float32:
        array = array.astype(np.float64)  # a difference of uint8 would wrap around
    dy, dx = np.gradient(array, axis=(-2, -1))
    return dy, dx


def show_image_gradient(image: Any) -> Picture:
    """A picture of an image beside its gradient by x, its gradient by y, and their magnitude.

    Red is a change to brighter and blue to darker, to the right in dx and down in dy. The magnitude
    is sqrt(dx^2 + dy^2); its arrows point to where the image becomes brighter. An image of colors
    has the gradient of the mean of its channels.

    Args:
        image: (H, W), (C, H, W) or (H, W, C) with C of 1 or 3; H and W are at least 2.

    Raises:
        ShapeError: it is no such image.
        DtypeError: it does not hold real numbers.
        DataError: a pixel is NaN or infinite.
        MissingExtraError: Matplotlib is not installed.
    """
    call = "show_image_gradient"
    require(call)
    images, _ = to_images(image, call)
    if len(images) != 1:
        raise ShapeError(
            f"{call}: a batch of {len(images)} images",
            cause="it shows the gradient of one image",
            fix="give one image, such as images[0]",
        )
    dy, dx = image_gradient(images[0].mean(axis=0) if images.shape[1] > 1 else images[0, 0])
    low, high = limits(images)
    return _draw(images[0], dy, dx, low, high)


def _draw(
    image: NDArray[Any], dy: NDArray[Any], dx: NDArray[Any], low: float, high: float
) -> Picture:
    from gpucnn.plots.picture import Picture

    C, H, W = image.shape
    unit = "gray levels" if (low, high) == (0, 255) else "value"
    magnitude = np.hypot(dx, dy)
    most = float(magnitude.max()) or 1.0
    picture = Picture(14, min(max(2.2 * H / W, 1.2), 6.0) + 0.8)
    panels = picture.subplots(1, 4)
    shown = [draw_image(panels[0], image, low, high, "gray")]
    for axes, values in ((panels[1], dx), (panels[2], dy)):
        shown.append(axes.imshow(values, cmap=SIGNED, vmin=-most, vmax=most))
    shown.append(panels[3].imshow(magnitude, cmap="gray_r", vmin=0, vmax=most))
    _arrows(panels[3], dy, dx, most)
    titles = ("image", "dx: change to the right", "dy: change downward", "magnitude and direction")
    for axes, title, values in zip(panels, titles, shown, strict=True):
        axes.set_title(title, fontsize="medium")
        label_pixels(axes, H, W)
        if values is shown[0]:
            if C == 1:
                picture.colorbar(values, ax=axes, label=unit)
        else:
            picture.colorbar(values, ax=axes, label=f"{unit} a pixel")
    return picture


def _arrows(axes: Axes, dy: NDArray[Any], dx: NDArray[Any], most: float) -> None:
    """Arrows of one length along the gradient, where it is at least a tenth of the greatest."""
    step = math.ceil(max(dx.shape) / _ARROWS)
    rows, columns = np.mgrid[step // 2 : dx.shape[0] : step, step // 2 : dx.shape[1] : step]
    x, y = dx[rows, columns], dy[rows, columns]
    length = np.hypot(x, y)
    strong = length > 0.1 * most
    length, x, y = length[strong], x[strong], y[strong]
    axes.quiver(
        columns[strong], rows[strong], x / length, y / length, angles="xy",
        scale_units="xy", scale=1 / step, color=_ARROW, pivot="mid", width=0.006,
    )  # fmt: skip
