"""CIFAR-10 in its binary form (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html).

A record is the label in one byte, then 3,072 bytes: 32x32 of red, of green and of blue, row by row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpucnn.data import storage
from gpucnn.data.found import Found, Part
from gpucnn.data.gzip_files import read_raw
from gpucnn.data.reading import Reading
from gpucnn.errors import DataError

_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
_CLASSES = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
]  # fmt: skip
_TRAIN, _TEST = "data_batch_", "test_batch"


def is_batch(name: str) -> bool:
    """Whether a file is one of CIFAR-10's binary files by its name."""
    return name.endswith(".bin") and (name.startswith(_TRAIN) or name.startswith(_TEST))


def find_batches(directory: Path) -> list[Path]:
    """The binary files in a directory, in their order."""
    return sorted(file for file in directory.iterdir() if is_batch(file.name) and file.is_file())


def read_cifar(path: Path, files: list[Path], reading: Reading | None = None) -> Found:
    """The images of CIFAR-10's binary files, as those of training and those of testing.

    Raises:
        DataError: a file has another length, or a label above 9.
    """
    by_role: dict[str, list[Path]] = {}
    for file in files:
        by_role.setdefault("test" if file.name.startswith(_TEST) else "train", []).append(file)
    parts = []
    for role, mine in sorted(by_role.items(), key=lambda pair: pair[0] != "train"):
        records = storage.concatenate([_records(file) for file in mine])
        images = storage.contiguous(records[:, 1:]).reshape(-1, *_SHAPE)
        labels = records[:, 0].astype(np.int32)
        whole = len(by_role) == 1 and len(files) == 1
        parts.append(
            Part("all" if whole else role, images, labels, str(mine[0] if whole else path))
        )
    known = (reading or Reading()).replace(image_shape=_SHAPE, channels="first")
    values = [str(number) for number in range(len(_CLASSES))]
    return Found(path, parts, known, "images", ["CIFAR-10's binary files"], [], _CLASSES, values)


def _records(file: Path) -> np.ndarray:
    content = np.frombuffer(read_raw(file), np.uint8)
    if content.size == 0 or content.size % _RECORD:
        raise DataError(
            f"{file} has {content.size:,} bytes, which are no records of {_RECORD:,}",
            cause="a record of CIFAR-10 is a label and 32x32 pixels of three colors",
            fix="get cifar-10-binary.tar.gz again; it was cut short or altered",
        )
    return content.reshape(-1, _RECORD)
