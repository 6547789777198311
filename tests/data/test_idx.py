"""The idx reader: every malformed file is a DataError that names the file and the bytes."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.data.idx import (
    IMAGES,
    LABELS,
    find_images,
    find_labels,
    parse_idx,
    parse_labels,
    read_idx,
)
from gpucnn.data.resolve import read
from gpucnn.errors import DataError

NAME = Path("some-file")


def test_reads_images_raw_and_gzip(tmp_path: Path, to_idx: Callable[[Any], bytes]) -> None:
    images = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    (tmp_path / "raw").write_bytes(to_idx(images))
    (tmp_path / "packed").write_bytes(gzip.compress(to_idx(images)))  # told by content, not name
    for name in ("raw", "packed"):
        np.testing.assert_array_equal(read_idx(tmp_path / name, IMAGES), images)


def test_wrong_magic() -> None:
    with pytest.raises(DataError, match=r"some-file begins with 0x00000801.*0x00000803") as error:
        parse_idx(struct.pack(">BBBBI", 0, 0, 8, 1, 0), NAME, IMAGES)
    assert error.value.exit_code == 4


@pytest.mark.parametrize(("change", "actual"), [(-1, "27"), (1, "at least 29")])
def test_other_number_of_bytes_than_the_header_says(
    to_idx: Callable[[Any], bytes], change: int, actual: str
) -> None:
    content = to_idx(np.zeros((3, 2, 2), dtype=np.uint8))
    content = content[:change] if change < 0 else content + b"x"
    with pytest.raises(DataError, match=f"some-file has {actual} bytes; its header says 28"):
        parse_idx(content, NAME, IMAGES)


def test_shorter_than_its_header() -> None:
    with pytest.raises(DataError, match="9 bytes, fewer than its header of 16"):
        parse_idx(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0]), NAME, IMAGES)


def test_enormous_dimensions_allocate_nothing() -> None:
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    with pytest.raises(DataError, match="header says 79,228,"):
        parse_idx(header, NAME, IMAGES)


def test_truncated_gzip(tmp_path: Path, to_idx: Callable[[Any], bytes]) -> None:
    packed = gzip.compress(to_idx(np.arange(250, dtype=np.uint8)))
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(packed[:-20])
    with pytest.raises(DataError, match=r"not a whole gzip file \(\d+ bytes\)") as error:
        read_idx(path, LABELS)
    assert str(path) in error.value.message
    assert error.value.exit_code == 4


@pytest.mark.parametrize("place", [2, 10, 60, -6])  # method, block type, values, checksum
def test_damaged_gzip(tmp_path: Path, to_idx: Callable[[Any], bytes], place: int) -> None:
    packed = bytearray(gzip.compress(to_idx(np.arange(250, dtype=np.uint8))))
    packed[place] ^= 0xFF
    (tmp_path / "f").write_bytes(packed)
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_idx(tmp_path / "f", LABELS)


def test_missing_file_and_directory_name_their_cause(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere cannot be read") as error:
        read_idx(tmp_path / "nowhere", IMAGES)
    assert error.value.cause == "No such file or directory"
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path, IMAGES)


def test_labels_beside_images_take_either_spelling_and_packing(
    tmp_path: Path, to_idx: Callable[[Any], bytes]
) -> None:
    images = tmp_path / "train-images.idx3-ubyte"
    images.write_bytes(to_idx(np.zeros((3, 2, 2))))
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(to_idx(np.array([9, 0, 4]))))
    assert find_labels(images) == labels
    assert parse_labels(gzip.decompress(labels.read_bytes()), labels).tolist() == [9, 0, 4]
    labels.unlink()
    with pytest.raises(DataError, match="has no labels beside it") as error:
        find_labels(images)
    assert "train-labels-idx1-ubyte" in (error.value.cause or "")


def test_labels_in_a_table_of_integers(tmp_path: Path) -> None:
    """QMNIST's: int32 (N, 8), of which the first is the digit."""
    rows = np.array([[7, 4, 9, 0, 5, 1, 0, 0], [2, 4, 9, 0, 5, 1, 0, 0]], ">i4")
    content = bytes([0, 0, 12, 2]) + struct.pack(">2I", *rows.shape) + rows.tobytes()
    assert parse_labels(content, NAME).tolist() == [7, 2]
    with pytest.raises(DataError, match=r"has 75 bytes; its header says 76"):
        parse_labels(content[:-1], NAME)


@pytest.mark.parametrize(
    ("name", "prefix", "role"),
    [
        ("train-images-idx3-ubyte", "", "train"),
        ("t10k-images.idx3-ubyte.gz", "", "test"),
        ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-", "train"),
        ("qmnist-test-images-idx3-ubyte", "qmnist-", "test"),
        ("signs-val-images-idx3-ubyte", "signs-", "validation"),
        ("training-images-idx3-ubyte", "", "train"),
        ("signs_testing-images-idx3-ubyte", "signs_", "test"),
        ("contest-images-idx3-ubyte", "contest-", "train"),
        ("medieval-images-idx3-ubyte", "medieval-", "train"),
        ("my-images-idx3-ubyte.gz", "my-", "train"),
        ("images.idx3-ubyte", "", "train"),
        ("train-images-idx4-ubyte", "", "train"),
    ],
)
def test_names_of_files_of_images(tmp_path: Path, name: str, prefix: str, role: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / name.replace("images", "labels")).touch()
    assert find_images(tmp_path) == {prefix: {role: tmp_path / name}}


def test_names_without_a_role(tmp_path: Path) -> None:
    """They are to train on; beside another set that has roles they are left out."""
    mine, tested = tmp_path / "my-images-idx3-ubyte", tmp_path / "my-test-images-idx3-ubyte"
    mine.touch()
    tested.touch()
    assert find_images(tmp_path) == {"my-": {"train": mine, "test": tested}}
    mine.rename(tmp_path / "other-images-idx3-ubyte")
    assert find_images(tmp_path) == {"my-": {"test": tested}}


@pytest.mark.parametrize("labels_name", ["my-labels-idx1-ubyte.gz", "my-labels-idx1-int"])
@pytest.mark.parametrize("shape", [(6, 4, 4), (6, 4, 4, 3), (6, 3, 4, 4)])
def test_a_folder_with_names_of_ones_own(
    tmp_path: Path, to_idx: Callable[[Any], bytes], shape: tuple[int, ...], labels_name: str
) -> None:
    images = np.arange(math.prod(shape)).reshape(shape).astype(np.uint8)
    labels = [1, 0, 2, 1, 0, 2]
    content = to_idx(images)
    (tmp_path / f"my-images-idx{len(shape)}-ubyte.gz").write_bytes(gzip.compress(content))
    if labels_name.endswith("int"):
        content = bytes([0, 0, 12, 1]) + struct.pack(">I", 6) + np.array(labels, ">i4").tobytes()
    else:
        content = gzip.compress(to_idx(np.array(labels)))
    (tmp_path / labels_name).write_bytes(content)
    for path in (tmp_path, tmp_path / "my"):
        (part,) = read(path).parts
        expected = images[:, None] if len(shape) == 3 else images
        if shape[-1] == 3:
            expected = images.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(part.images, expected)
        assert part.labels is not None
        assert part.labels.tolist() == labels


@pytest.mark.parametrize(
    "name", ["labels-idx1-ubyte.gz", "train-images-idx3-float", "a.idx3-ubyte"]
)
@pytest.mark.parametrize("labeled", [True, False])
def test_a_folder_of_idx_files_without_images(tmp_path: Path, name: str, labeled: bool) -> None:
    (tmp_path / name).write_bytes(bytes(20))
    with pytest.raises(DataError, match="none of images by its name") as error:
        read(tmp_path, labeled=labeled)
    assert name in (error.value.cause or "")
    assert "train-images-idx3-ubyte and train-labels-idx1-ubyte" in error.value.fix
