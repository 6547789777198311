"""Small files in the forms that the readers take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import idx_bytes

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture
def to_idx() -> Callable[[Any], bytes]:
    return idx_bytes


@pytest.fixture
def small_set() -> list[bytes]:
    """The bytes of the four idx files of a data set of 12 and 5 images of 4x4."""
    rng = np.random.default_rng(3)
    files = []
    for count in (12, 5):
        files.append(idx_bytes(rng.integers(0, 256, (count, 4, 4), dtype=np.uint8)))
        files.append(idx_bytes(rng.integers(0, 10, count, dtype=np.uint8)))
    return files


@pytest.fixture
def small_dir(tmp_path: Path, small_set: list[bytes]) -> Path:
    """A folder with those files, uncompressed."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name, content in zip(IDX_NAMES, small_set, strict=True):
        (folder / name).write_bytes(content)
    return folder
