"""The idx format of MNIST (http://yann.lecun.com/exdb/mnist/).

Big-endian: two zero bytes, the type (8 is unsigned byte), the number of dimensions, each dimension
in 4 bytes, then the values in row-major order. Images have 3 dimensions, or 4 with colors; labels
have 1.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.found import ROLE_OF
from gpucnn.data.gzip_files import Content, read_bytes
from gpucnn.data.pixels import refuse_empty
from gpucnn.errors import DataError

IMAGES, COLOR_IMAGES, LABELS = 3, 4, 1  # dimensions
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_INTS = bytes([0, 0, 12, 1])  # int32 (N,)
_TABLE_OF_INTS = bytes([0, 0, 12, 2])  # QMNIST's labels: int32 (N, 8), the first is the digit
_GET_AGAIN = "get the file again; it was cut short or altered"
PAIR_FIX = f"name the pair like {TRAIN[0]} and {TRAIN[1]}"
_ROLE_OF = {**ROLE_OF, "t10k": "test"}
_IMAGES_NAME = re.compile(
    rf"(?P<set>.*?)((?<![^-_. ])(?P<part>{'|'.join(_ROLE_OF)})-)?images[-.]idx[34]-ubyte(\.gz)?",
    re.IGNORECASE,
)
_ANY_NAME = re.compile(r".*[-.]idx\d.*", re.IGNORECASE)


def parse_idx(content: Content, path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in the uncompressed bytes of an idx file; a view of them, so read-only.

    Args:
        content: the bytes.
        path: the file, for messages.
        dimensions: the number of axes that the array must have: `IMAGES`, `COLOR_IMAGES` or
            `LABELS`.

    Raises:
        DataError: another magic number, fewer or more bytes than the header says, or images that
            are none or have no pixels.
    """
    magic = bytes([0, 0, 8, dimensions])
    if content[:4] != magic:
        raise DataError(
            f"{path} begins with 0x{content[:4].hex()}, where an idx file of"
            f" {'labels' if dimensions == LABELS else 'images'} has 0x{magic.hex()}",
            fix="give an idx file, whole; other formats need suffixes like .png, .csv, .npy",
        )
    return _values(content, path, dimensions, np.dtype(np.uint8))


def parse_labels(content: Content, path: Path) -> NDArray[np.integer]:
    """The labels in the uncompressed bytes of an idx file, (N,), as they are stored; read-only.

    Raises:
        DataError: as `parse_idx`.
    """
    if content[:4] == _TABLE_OF_INTS:
        table = _values(content, path, 2, np.dtype(">i4"))
        if table.shape[1] == 0:
            raise DataError(
                f"{path} has rows without labels", cause="they have no numbers", fix=_GET_AGAIN
            )
        return table[:, 0]
    if content[:4] == _INTS:
        return _values(content, path, LABELS, np.dtype(">i4"))
    return parse_idx(content, path, LABELS)


def _values(content: Content, path: Path, dimensions: int, dtype: np.dtype) -> NDArray:
    """The values after the magic number and the sizes."""
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(
            f"{path} has {len(content)} bytes, fewer than its header of {header}",
            fix=_GET_AGAIN,
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, 4))
    expected = header + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        least = "at least " if len(content) > expected else ""  # `claimed` stops the reading
        raise DataError(
            f"{path} has {least}{len(content):,} bytes; its header says {expected:,}",
            cause=f"{' x '.join(map(str, shape))} values after {header} bytes of header",
            fix=_GET_AGAIN,
        )
    if dimensions in (IMAGES, COLOR_IMAGES):
        refuse_empty(shape, str(path))  # NumPy has no array of 2**32 x 2**32 x 0
    return np.frombuffer(content, dtype, offset=header).reshape(shape)


def claimed(head: bytes) -> int:
    """The number of bytes that an idx file has by its header; those of `head` if it has none."""
    dimensions, item = head[3:4], {8: 1, 12: 4}.get(int.from_bytes(head[:3], "big"))
    header = 4 + 4 * int.from_bytes(dimensions, "big")
    if item is None or header > len(head):
        return len(head)
    return header + item * math.prod(map(int, np.frombuffer(head[4:header], ">u4")))


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """`parse_idx` of a file, raw or gzip, of which no more is read than its header says."""
    return parse_idx(read_bytes(path, claimed), path, dimensions)


def read_images(path: Path) -> NDArray[np.uint8]:
    """`parse_idx` of a file in the same way: gray images (N, H, W), or color ones of 4 axes."""
    content = read_bytes(path, claimed)
    dimensions = COLOR_IMAGES if content[3:4] == bytes([COLOR_IMAGES]) else IMAGES
    return parse_idx(content, path, dimensions)


def read_labels(path: Path) -> NDArray[np.integer]:
    """`parse_labels` of a file in the same way."""
    return parse_labels(read_bytes(path, claimed), path)


def find_file(directory: Path, name: str) -> Path | None:
    """The first of `find_files`, or None."""
    return next(iter(find_files(directory, name)), None)


def find_files(directory: Path, name: str) -> list[Path]:
    """The files of this idx name: raw, .gz, or spelt ``train-images.idx3-ubyte``, in this order."""
    dotted = name.replace("-idx", ".idx")
    names = dict.fromkeys((name, f"{name}.gz", dotted, f"{dotted}.gz"))
    return [directory / each for each in names if os.path.isfile(directory / each)]


def read_whole(path: Path, read: Callable[[Path], Any]) -> tuple[Any, Path]:
    """`read(path)`; where that file is damaged, of the same file in another packing beside it.

    Returns:
        What was read, and the path that it was read from.

    Raises:
        DataError: of `path`, where no other is whole.
    """
    try:
        return read(path), path
    except DataError:
        for other in find_files(path.parent, _undotted(path)):
            if other != path:
                with contextlib.suppress(DataError):
                    return read(other), other
        raise


def find_images(directory: Path) -> dict[str, dict[str, Path]]:
    """The files of images in a directory: data set -> role -> file.

    The name of a data set is the part before "train-images", as in "emnist-letters-"; the role is
    "train", "validation" or "test". A file whose name says no role, as "my-images-idx3-ubyte", is
    to train on, unless another file of its set is. If a set in the directory has roles, sets
    without any are left out.
    """
    sets: dict[str, dict[str, Path]] = {}
    unnamed: dict[str, Path] = {}
    for file in sorted(directory.iterdir()):
        if (found := _IMAGES_NAME.fullmatch(file.name)) and file.is_file():
            if found["part"]:
                role = _ROLE_OF[found["part"].lower()]
                sets.setdefault(found["set"], {}).setdefault(role, file)
            else:
                unnamed.setdefault(found["set"], file)
    for name, file in unnamed.items():
        if name in sets:
            sets[name].setdefault("train", file)
    return sets or {name: {"train": file} for name, file in unnamed.items()}


def find_others(directory: Path) -> list[str]:
    """The names of the files in a directory that are idx files by their names."""
    return sorted(file.name for file in directory.iterdir() if _ANY_NAME.fullmatch(file.name))


def has_labels(images_path: Path) -> bool:
    """Whether `find_labels` finds some."""
    return _labels_of(images_path) is not None


def find_labels(images_path: Path) -> Path:
    """The file of labels beside a file of images.

    ``train-images-idx3-ubyte.gz`` goes with ``train-labels-idx1-ubyte``, either of them raw or
    gzip, or with ``train-labels-idx1-int``, and QMNIST's with ``qmnist-train-labels-idx2-int``.

    Raises:
        DataError: there is none.
    """
    if (found := _labels_of(images_path)) is not None:
        return found
    raise DataError(
        f"{images_path} has no labels beside it",
        cause=f"{_labels_name(images_path)} (or .gz) is not in {images_path.parent}",
        fix=PAIR_FIX,
    )


def _labels_of(images_path: Path) -> Path | None:
    wanted = _labels_name(images_path)
    for kind in ("idx1-ubyte", "idx2-int", "idx1-int"):
        name = wanted.replace("idx1-ubyte", kind)
        if (found := find_file(images_path.parent, name)) is not None:
            return found
    return None


def _labels_name(images_path: Path) -> str:
    return re.sub("idx[34]", "idx1", _undotted(images_path).replace("images", "labels"))


def _undotted(path: Path) -> str:
    """The name of an idx file without .gz, spelt as in ``train-images-idx3-ubyte``."""
    return path.name.removesuffix(".gz").replace(".idx", "-idx")
