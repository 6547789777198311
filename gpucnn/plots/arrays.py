"""The arrays that pictures are drawn from: on the host, and checked.

N images, C channels, H x W pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn import backend as backends
from gpucnn.errors import DataError, DtypeError, ShapeError

_CHANNELS = (1, 3)  # of a picture: gray, RGB
_DETAIL = 400  # pixels of an image in an inch; a drawn inch has 160


def is_module(value: Any) -> bool:
    """Whether it is a `gpucnn.nn.Module`, a class that this package does not import."""
    return hasattr(value, "named_modules") and not isinstance(value, type)


def to_host(values: Any, call: str) -> NDArray[Any]:
    """The numbers of a Tensor, an array of any device, or a list, as a NumPy array.

    Bools and float16 become float32; a NumPy array of another dtype is not copied.

    Args:
        call: the function, for the messages: "show_image".

    Raises:
        DtypeError: they are no real numbers.
        ShapeError: there are none.
        DataError: one is NaN or infinite.
    """
    try:
        if hasattr(values, "numpy"):  # a Tensor
            array = np.asarray(values.numpy())
        elif device := backends.device_of(values):
            array = backends.get(device).to_numpy(values)
        else:
            array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"NumPy makes an array of {array.dtype} of it")
    except (TypeError, ValueError, RuntimeError) as error:
        ragged = isinstance(values, (list, tuple)) and isinstance(error, ValueError)
        raise DtypeError(
            f"{call}: a {type(values).__name__} holds no real numbers",
            cause="its elements have different shapes" if ragged else str(error),
            fix="give one of them, or elements of one shape"
            if ragged
            else "give an array or a Tensor of numbers",
        ) from error
    if not array.size:
        raise ShapeError(
            f"{call}: the array of shape {array.shape} is empty",
            fix="give an array with at least one pixel",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        kind = "NaN" if np.isnan(array).any() else "infinity"
        raise DataError(
            f"{call}: the array holds {kind}",
            cause="a picture has a color for finite numbers only",
            fix="find the cause, or replace them: numpy.nan_to_num(array)",
        )
    return array.astype(np.float32) if array.dtype in (np.bool_, np.float16) else array


def to_images(values: Any, call: str) -> tuple[NDArray[Any], bool]:
    """Images (N, C, H, W) with C of 1 or 3, and whether they were given with a batch axis.

    One image is (H, W), (C, H, W) or (H, W, C), a batch (N, C, H, W) or (N, H, W, C). A shape that
    fits both layouts, such as (3, 32, 3), is read with the channels first.

    Raises:
        ShapeError: it is no image, or not of 1 or 3 channels.
        DtypeError, DataError: see `to_host`.
    """
    array = to_host(values, call)
    batch = array.ndim == 4
    if array.ndim == 2:
        return array[None, None], False
    images = array if batch else array[None]
    if images.ndim == 4:
        if images.shape[1] in _CHANNELS:
            return images, batch
        if images.shape[3] in _CHANNELS:
            return images.transpose(0, 3, 1, 2), batch
    raise ShapeError(
        f"{call}: {array.shape} is not the shape of an image",
        cause="an image is (H, W), (1, H, W), (3, H, W) or (H, W, 3); a batch is (N, C, H, W)",
        fix=_layout_fix(array.shape),
    )


def _layout_fix(shape: tuple[int, ...]) -> str:
    """How to make images of an array of this shape."""
    if len(shape) in (3, 4) and shape[-1] in (2, 4):
        return f"leave out the channel of transparency: array[..., :{shape[-1] - 1}]"
    if len(shape) == 3:
        return f"write array[:, None] for {shape[0]} gray images, array[0] for the first"
    if len(shape) == 4:
        return "give one channel: array[:, :1]; show_feature_maps shows the channels of a layer"
    if len(shape) in (1, 2) and (side := square_side(shape[-1])):
        rows = "" if len(shape) == 1 else "-1, 1, "
        return f"write array.reshape({rows}{side}, {side})"
    return "reshape it to one of these"


def square_side(size: int) -> int | None:
    """The side of the square of so many pixels; None if there is none."""
    side = round(size**0.5)
    return side if side * side == size else None


def thinned(image: NDArray[Any], inches: float) -> NDArray[Any]:
    """Every k-th pixel of an image (C, H, W): as many as can be seen, or all of a small one.

    Args:
        inches: of the longer side, as it is drawn.

    Returns:
        A view.
    """
    step = math.ceil(max(image.shape[1:]) / (_DETAIL * inches))
    return image[:, ::step, ::step]


def scaled(image: NDArray[Any], low: float, high: float) -> NDArray[np.float64]:
    """An image (C, H, W) as (H, W, C), `low` as 0 and `high` as 1."""
    return (image.transpose(1, 2, 0).astype(np.float64) - low) / ((high - low) or 1.0)


def limits(array: NDArray[Any]) -> tuple[float, float]:
    """The values that are drawn black and white.

    Of uint8, and of integers that uint8 can hold, they are 0 and 255; of values in [0, 1] they are
    0 and 1; of others, the least and the greatest value.
    """
    low, high = array.min().item(), array.max().item()
    if array.dtype == np.uint8:
        return 0, 255
    if low >= 0 and high <= 1:
        return 0, 1
    if array.dtype.kind in "iu" and low >= 0 and high <= 255:
        return 0, 255
    return low, high
