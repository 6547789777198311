"""The inputs of `fit`, `evaluate` and `predict` as arrays of numbers.

Inputs that make no sense are an error before anything is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.autograd import Tensor
from gpucnn.data import Dataset, Splits
from gpucnn.data.finite import require_finite
from gpucnn.errors import DataError, ShapeError
from gpucnn.shapes import layout_fix

_ONE_ROW = "it must hold one example a row: (N, features) or (N, C, H, W)"
_RESHAPE = "write x[:, None] for one number a row, or x[None] for one row alone"


def images(x: Any, name: str = "x") -> NDArray[np.float32]:
    """Inputs as float32 (N, ...).

    Args:
        name: their name in errors.

    Raises:
        DataError: they are not numbers, hold NaN or infinity, or are not one example a row.
    """
    array = as_array(x, name)
    if not array.ndim and not hasattr(x, "ndim"):
        raise DataError(
            f"{name} is missing" if x is None else f"{name} is a {type(x).__name__}, no array",
            cause=_ONE_ROW,
            fix=_instead_of(x),
        )
    if array.ndim < 2:
        raise DataError(f"{name} has shape {array.shape}", cause=_ONE_ROW, fix=_RESHAPE)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{name} is of type {array.dtype}",
            cause="it must hold numbers",
            fix="convert it, as in x.astype(numpy.float32)",
        )
    require_finite(array, f"image {{}} of {name}", dtype=np.float32)
    return np.asarray(array, np.float32)


def _instead_of(x: Any) -> str:
    """The words that say what to give in place of something that is no array."""
    if isinstance(x, Mapping):
        return 'give the array of the one input, as in x["image"]'
    if callable(x):
        return "call it: a generator is what a generator function returns"
    if isinstance(x, (Dataset, Splits)):
        part = "x" if isinstance(x, Dataset) else "x.train"
        return f"give {part}.images / 255 and {part}.labels"
    return "give a NumPy array, a list, a generator of batches or a Sequence of them"


def check_layout(x_shape: tuple[int, ...], built_for: tuple[int, ...]) -> None:
    """`ShapeError` if inputs have the shape of a built model with the axes in another order.

    Some models would not notice: a Dense layer takes pixels in any order.
    """
    shape = x_shape[1:]
    if shape == built_for:
        return
    if x_shape == built_for:
        raise ShapeError(
            f"x is {x_shape}, one input of the model without the batch axis",
            cause=_ONE_ROW,
            fix="give x[None]",
        )
    # One channel is the same pixels in the same order.
    fix = layout_fix(shape, built_for)
    if fix and "transpose" in fix and built_for[0] > 1:
        raise ShapeError(
            f"x is {x_shape}, the model takes {batch_of(built_for)}",
            fix=f"give {fix}",
        )


def batch_of(shape: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, shape))})"


def as_float32(x: Any) -> Any:
    """NumPy's numbers as float32, as for `predict`; Tensors and arrays of a device unchanged."""
    if isinstance(x, np.ndarray) and x.dtype != np.float32 and x.dtype.kind in "biuf":
        return x.astype(np.float32)
    return x


def as_array(values: Any, name: str) -> NDArray[Any]:
    """The values as a NumPy array on the host, or a `DataError` with their name."""
    if isinstance(values, Tensor):
        return values.numpy()
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        is_ragged = isinstance(values, (list, tuple)) and isinstance(error, ValueError)
        raise DataError(
            f"{name} cannot be made an array",
            cause="its parts differ in length or in depth" if is_ragged else str(error),
            fix="give a NumPy array, or lists of one length",
        ) from error
