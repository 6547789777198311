"""NumPy files of images and labels; never unpickled."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset
from gpucnn.data.files import describe, refuse_empty
from gpucnn.errors import DataError

_TRAIN_KEYS = (("x_train", "y_train"), ("x", "y"), ("images", "labels"))
_TEST_KEYS = ("x_test", "y_test")
_MOST_CLASSES = 2**16  # beyond it a label is a mistake, and would cost memory for every class below


def load_numpy(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name, or of an .npy file under the name ``""``.

    Raises:
        DataError: the file cannot be read, is damaged, or holds pickled objects.
    """
    try:
        with path.open("rb") as file:
            if not file.peek(2).startswith(b"PK"):
                return {"": _read_array(file, path.stat().st_size)}
            arrays = {}
            with zipfile.ZipFile(file) as archive:
                for member in archive.infolist():
                    if member.filename.endswith(".npy"):
                        with archive.open(member) as stream:
                            name = member.filename.removesuffix(".npy")
                            arrays[name] = _read_array(stream, member.file_size)
            return arrays
    except ValueError as error:
        raise DataError(
            f"{path} is not a file of plain NumPy arrays",
            cause=str(error),
            fix="save numeric arrays with np.save or np.savez; pickled objects are never loaded",
        ) from error
    except Exception as error:  # a damaged file makes NumPy and zipfile raise nearly anything
        raise DataError(
            f"{path} cannot be read",
            cause=describe(error),
            fix="check its name and permissions, or get the file again",
        ) from error


def _read_array(stream: IO[bytes], size: int) -> NDArray[Any]:
    """The array in an .npy file of `size` bytes, which must have room for what its header says."""
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        read_header = np.lib.format.read_array_header_1_0
    shape, _, dtype = read_header(stream)
    expected = stream.tell() + math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and expected > size:  # before memory is taken for it
        raise ValueError(f"an array in it has {size:,} bytes; its header says {expected:,}")
    stream.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def as_images(array: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """An array in one of the usual layouts as uint8 (N, C, H, W).

    (N, H, W), (N, C, H, W), (N, H, W, C) with C of 1 or 3, and (N, H*W) of square images are taken,
    in any integer type.

    Raises:
        DataError: another layout, values that are no integers in 0..255, or no pixels at all.
    """
    if array.dtype == np.bool_ or not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            f"{where} has values of type {array.dtype}, where pixels are integers from 0 to 255",
            fix="save the pixels as uint8",
        )
    if array.size and not (array.min() >= 0 and array.max() <= 255):
        bad = int(array.min() if array.min() < 0 else array.max())
        raise DataError(
            f"{where} has a pixel of {bad}, which is not in 0..255",
            fix="scale the pixels to integers from 0 to 255",
        )
    images = _arrange(array.astype(np.uint8, copy=False))
    if images is None:
        raise DataError(
            f"{where} has the shape {array.shape}, which is not one of images",
            fix="save them as (N, H, W), (N, C, H, W) or (N, H, W, C), with C of 1 or 3",
        )
    refuse_empty(images.shape, where)
    return images


def _arrange(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Images in any of the layouts as (N, C, H, W); None if they are in none."""
    if pixels.ndim == 2 and math.isqrt(pixels.shape[1]) ** 2 == pixels.shape[1] > 0:
        side = math.isqrt(pixels.shape[1])
        return pixels.reshape(-1, 1, side, side)
    if pixels.ndim == 3:
        return pixels[:, np.newaxis]
    if pixels.ndim == 4 and pixels.shape[1] in (1, 3):
        return pixels
    if pixels.ndim == 4 and pixels.shape[3] in (1, 3):
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    return None


def _as_labels(array: NDArray[Any], where: str) -> NDArray[np.int32]:
    flat = array.reshape(-1)
    if array.shape not in ((flat.size,), (flat.size, 1)) or array.dtype.kind not in "iu":
        raise DataError(
            f"{where} is {array.dtype} of shape {array.shape}, where labels are integers (N,)",
            fix="save the number of each image's class; of one-hot rows that is y.argmax(axis=1)",
        )
    if flat.size and not (flat.min() >= 0 and flat.max() < _MOST_CLASSES):
        bad = int(flat.min() if flat.min() < 0 else flat.max())
        raise DataError(
            f"{where} has the label {bad}, which is not in 0..{_MOST_CLASSES - 1}",
            fix="number the classes from 0 without gaps",
        )
    return flat.astype(np.int32)


def read_npz(path: Path) -> tuple[Dataset, Dataset | None]:
    """(training, test or None) of an .npz file.

    It holds ``x_train, y_train``, or ``x, y``, or ``images, labels``, and perhaps
    ``x_test, y_test``; images as in `as_images`. ``x_test`` alone is a test set without labels.
    The labels are 0..K-1 with K, at most 65,536, from the file.

    Raises:
        DataError: it is no such file.
    """
    arrays = load_numpy(path)
    pairs = [keys for keys in _TRAIN_KEYS if set(keys) <= arrays.keys()]
    if not pairs:
        raise DataError(
            f"{path} holds {', '.join(sorted(arrays)) or 'no arrays'}, no images with labels",
            fix="name the arrays x_train and y_train (and x_test, y_test), or x and y",
        )
    parts = [pairs[0]] + ([_TEST_KEYS] if _TEST_KEYS[0] in arrays else [])
    images = [as_images(arrays[x], f"{x} of {path}") for x, _ in parts]
    labels = [_as_labels(arrays[y], f"{y} of {path}") if y in arrays else None for _, y in parts]
    classes = 1 + max(int(part.max(initial=-1)) for part in labels if part is not None)
    train, *rest = (Dataset(str(path), x, y, classes) for x, y in zip(images, labels, strict=True))
    return train, (rest[0] if rest else None)
