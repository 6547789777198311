"""The idx format of MNIST (http://yann.lecun.com/exdb/mnist/).

Big-endian: two zero bytes, the type (8 is unsigned byte), the number of dimensions, each dimension
in 4 bytes, then the values in row-major order. Images have 3 dimensions, labels 1.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.dataset import Dataset
from gpucnn.data.files import read_bytes, refuse_empty
from gpucnn.errors import DataError

IMAGES, LABELS = 3, 1  # dimensions
CLASSES = 10
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_GET_AGAIN = "get the file again; it was cut short or altered"


def parse_idx(content: bytes, path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in the uncompressed bytes of an idx file; a view of them, so read-only.

    Args:
        content: the bytes.
        path: the file, for messages.
        dimensions: how many the array must have: `IMAGES` or `LABELS`.

    Raises:
        DataError: another magic number, fewer or more bytes than the header says, or images that
            are none or have no pixels.
    """
    magic = bytes([0, 0, 8, dimensions])
    header = 4 + 4 * dimensions
    if content[:4] != magic:
        raise DataError(
            f"{path} begins with 0x{content[:4].hex()}, where an idx file of"
            f" {'images' if dimensions == IMAGES else 'labels'} has 0x{magic.hex()}",
            fix="give an idx file, whole; other kinds are told by suffixes like .png, .csv, .npy",
        )
    if len(content) < header:
        raise DataError(
            f"{path} has {len(content)} bytes, fewer than its header of {header}",
            fix=_GET_AGAIN,
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, 4))
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{path} has {len(content):,} bytes; its header says {expected:,}",
            cause=f"{' x '.join(map(str, shape))} values after {header} bytes of header",
            fix=_GET_AGAIN,
        )
    if dimensions == IMAGES:
        refuse_empty(shape, str(path))
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """`parse_idx` of a file, raw or gzip."""
    return parse_idx(read_bytes(path), path, dimensions)


def from_pair(images: NDArray[np.uint8], labels: NDArray[np.uint8], name: str) -> Dataset:
    """Images (N, H, W) and labels (N,) of idx files as a data set of 10 classes.

    Raises:
        DataError: the numbers differ, or a label is above 9.
    """
    return Dataset(name, images[:, np.newaxis], labels.astype(np.int32), CLASSES)


def find_file(directory: Path, name: str) -> Path | None:
    """The file of this idx name in `directory`: raw, .gz, or spelt ``train-images.idx3-ubyte``."""
    dotted = name.replace("-idx", ".idx")
    for candidate in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        if (directory / candidate).is_file():
            return directory / candidate
    return None


def read_pair(images_path: Path) -> Dataset:
    """A file of images together with its labels, which lie beside it under the same name.

    ``train-images-idx3-ubyte.gz`` goes with ``train-labels-idx1-ubyte``, either of them raw or
    gzip. Labels must be in 0..9.
    """
    images = read_idx(images_path, IMAGES)
    stem = images_path.name.removesuffix(".gz").replace(".idx", "-idx")
    wanted = stem.replace("images", "labels").replace("idx3", "idx1")
    labels_path = find_file(images_path.parent, wanted)
    if labels_path is None:
        raise DataError(
            f"{images_path} has no labels beside it",
            cause=f"{wanted} (or .gz) is not in {images_path.parent}",
            fix="name the pair like train-images-idx3-ubyte and train-labels-idx1-ubyte",
        )
    return from_pair(images, read_idx(labels_path, LABELS), str(images_path))
