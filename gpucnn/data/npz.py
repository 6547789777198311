"""NumPy files of images and labels; never unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset
from gpucnn.errors import DataError

_TRAIN_KEYS = (("x_train", "y_train"), ("x", "y"), ("images", "labels"))
_TEST_KEYS = ("x_test", "y_test")


def load_numpy(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name, or of an .npy file under the name ``""``.

    Raises:
        DataError: the file cannot be read, is damaged, or holds pickled objects.
    """
    try:
        # Opened here: np.load leaves a file that it opened itself open if the archive is damaged.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            return {key: loaded[key] for key in loaded.files}
    except ValueError as error:
        raise DataError(
            f"{path} is not a file of plain NumPy arrays",
            cause=str(error),
            fix="save numeric arrays with np.save or np.savez; pickled objects are never loaded",
        ) from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        cause = error.strerror if isinstance(error, OSError) else None
        raise DataError(f"{path} cannot be read", cause=cause or str(error)) from error


def as_images(array: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """An array in one of the usual layouts as uint8 (N, C, H, W).

    (N, H, W), (N, C, H, W), (N, H, W, C) with C of 1 or 3, and (N, H*W) of square images are taken,
    in any integer type.

    Raises:
        DataError: another layout, or values that are no integers in 0..255.
    """
    if array.dtype == np.bool_ or not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            f"{where} has values of type {array.dtype}, where pixels are integers from 0 to 255",
            fix="save the pixels as uint8",
        )
    if array.size and not (array.min() >= 0 and array.max() <= 255):
        bad = int(array.min() if array.min() < 0 else array.max())
        raise DataError(f"{where} has a pixel of {bad}, which is not in 0..255")
    pixels = array.astype(np.uint8, copy=False)
    if pixels.ndim == 2 and math.isqrt(pixels.shape[1]) ** 2 == pixels.shape[1] > 0:
        side = math.isqrt(pixels.shape[1])
        return pixels.reshape(-1, 1, side, side)
    if pixels.ndim == 3:
        return pixels[:, np.newaxis]
    if pixels.ndim == 4 and pixels.shape[1] in (1, 3):
        return pixels
    if pixels.ndim == 4 and pixels.shape[3] in (1, 3):
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    raise DataError(
        f"{where} has the shape {array.shape}, which is not one of images",
        fix="save them as (N, H, W), (N, C, H, W) or (N, H, W, C), with C of 1 or 3",
    )


def _as_labels(array: NDArray[Any], where: str) -> NDArray[np.int32]:
    flat = array.reshape(-1)
    if array.shape not in ((flat.size,), (flat.size, 1)) or array.dtype.kind not in "iu":
        raise DataError(
            f"{where} is {array.dtype} of shape {array.shape}, where labels are integers (N,)"
        )
    if flat.size and not (flat.min() >= 0 and flat.max() < 2**31):
        bad = int(flat.min() if flat.min() < 0 else flat.max())
        raise DataError(f"{where} has the label {bad}; labels count from 0")
    return flat.astype(np.int32)


def read_npz(path: Path) -> tuple[Dataset, Dataset | None]:
    """(training, test or None) of an .npz file.

    It holds ``x_train, y_train`` and perhaps ``x_test, y_test``, or ``x, y``, or
    ``images, labels``; images as in `as_images`. The labels are 0..K-1 with K from the file.

    Raises:
        DataError: it is no such file.
    """
    arrays = load_numpy(path)
    pairs = [keys for keys in _TRAIN_KEYS if set(keys) <= arrays.keys()]
    if not pairs:
        raise DataError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}, no images with labels",
            fix="name the arrays x_train and y_train (and x_test, y_test), or x and y",
        )
    parts = [pairs[0]] + ([_TEST_KEYS] if set(_TEST_KEYS) <= arrays.keys() else [])
    images = [as_images(arrays[x], f"{x} of {path}") for x, _ in parts]
    labels = [_as_labels(arrays[y], f"{y} of {path}") for _, y in parts]
    classes = 1 + max(int(part.max(initial=-1)) for part in labels)
    train, *rest = (Dataset(str(path), x, y, classes) for x, y in zip(images, labels, strict=True))
    return train, (rest[0] if rest else None)
