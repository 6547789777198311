"""NumPy archives: layouts that are taken, and that nothing is ever unpickled."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.data.npz import as_images, load_numpy, read_npz
from gpucnn.errors import DataError

IMAGES = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(4, 3, 3)
LABELS = np.array([0, 2, 1, 2])


def test_keras_form_with_a_test_set(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:2], y_test=np.array([3, 0]))
    train, test = read_npz(path)
    assert test is not None
    np.testing.assert_array_equal(train.images, IMAGES[:, np.newaxis])
    assert train.labels is not None
    assert train.labels.tolist() == LABELS.tolist()
    assert (len(test), test.classes, train.classes) == (2, 4, 4)  # 3 occurs in the test set only


def test_test_images_without_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:2])
    train, test = read_npz(tmp_path / "set.npz")
    assert test is not None
    assert test.labels is None
    assert (len(test), test.classes) == (2, train.classes)


@pytest.mark.parametrize("keys", [("x", "y"), ("images", "labels")])
def test_one_set(tmp_path: Path, keys: tuple[str, str]) -> None:
    path = tmp_path / "set.npz"
    arrays: Any = {keys[0]: IMAGES.astype(np.int64), keys[1]: LABELS.reshape(-1, 1)}
    np.savez_compressed(path, **arrays)
    train, test = read_npz(path)
    assert test is None
    assert train.images.dtype == np.uint8
    assert train.classes == 3


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 28, 28), (5, 1, 28, 28)),
        ((5, 1, 4, 6), (5, 1, 4, 6)),
        ((5, 3, 4, 6), (5, 3, 4, 6)),
        ((5, 4, 6, 3), (5, 3, 4, 6)),
        ((5, 4, 6, 1), (5, 1, 4, 6)),
        ((5, 49), (5, 1, 7, 7)),
    ],
)
def test_layouts(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape)
    images = as_images(array, "x")
    assert images.shape == expected
    if shape[-1] == 3:
        np.testing.assert_array_equal(images[:, 2], array[..., 2])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 3), dtype=np.float32), "values of type float32"),
        (np.full((2, 3, 3), 300), "a pixel of 300"),
        (np.full((2, 3, 3), -1), "a pixel of -1"),
        (np.zeros((2, 5), dtype=np.uint8), r"shape \(2, 5\)"),
        (np.zeros((2, 4, 4, 4), dtype=np.uint8), r"shape \(2, 4, 4, 4\)"),
        (np.zeros((2,), dtype=np.uint8), r"shape \(2,\)"),
        (np.zeros((0, 28, 28), dtype=np.uint8), "no images"),
        (np.zeros((20, 0, 0), dtype=np.uint8), "images without pixels"),
        (np.zeros((20, 1, 0, 28), dtype=np.uint8), "images without pixels"),
        (np.zeros((2, 3, 0, 5), dtype=np.uint8), "images without pixels"),
        (np.zeros((20, 0), dtype=np.uint8), r"shape \(20, 0\)"),
    ],
)
def test_arrays_that_are_no_images(array: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        as_images(array, "x_train of f.npz")
    assert error.value.message.startswith("x_train of f.npz has")
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": IMAGES}, "holds a, no images with labels"),
        ({"x": IMAGES, "y": LABELS[:3]}, "4 images but 3 labels"),
        ({"x": IMAGES, "y": LABELS - 1}, "has the label -1"),
        ({"x": IMAGES, "y": LABELS + 65_534}, "has the label 65536, which is not in 0..65535"),
        ({"x": IMAGES, "y": LABELS, "x_test": IMAGES[:0]}, "x_test of .* has no images"),
        ({"x": IMAGES, "y": LABELS * 1.0}, r"y of .* is float64 of shape \(4,\)"),
        ({"x": IMAGES, "y": np.eye(4, dtype=int)}, r"shape \(4, 4\)"),
    ],
)
def test_archives_that_do_not_fit(tmp_path: Path, arrays: Any, message: str) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message) as error:
        read_npz(path)
    assert str(path) in error.value.message


class _Bomb:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_pickled_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    evidence = tmp_path / "unpickled"
    np.savez(tmp_path / "a.npz", x=np.array([_Bomb(evidence)], dtype=object), y=LABELS)
    (tmp_path / "b.npz").write_bytes(pickle.dumps(_Bomb(evidence)))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(DataError, match="not a file of plain NumPy arrays") as error:
            read_npz(tmp_path / name)
        assert error.value.exit_code == 4
        assert "never loaded" in (error.value.fix or "")
    assert not evidence.exists()


def test_damaged_archives(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, x=IMAGES, y=LABELS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"set\.npz"):
        load_numpy(path)
    damaged = bytearray(content)
    damaged[content.index(IMAGES.tobytes()) + 5] ^= 1  # the archive's CRC tells
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"set\.npz cannot be read"):
        load_numpy(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"set\.npz"):
        load_numpy(path)
    with pytest.raises(DataError) as error:
        load_numpy(tmp_path / "none.npz")
    assert error.value.cause == "No such file or directory"


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _npy(shape: str) -> bytes:
    """An .npy file of three values that says it has this shape."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(3)


@pytest.mark.parametrize(
    "content",
    [
        _npy("(1000000000000, 28, 28)"),
        _npy("(99999999999999999999999, 28)"),
        _npy("(0, 99999999999999999999999)"),
        _npy("(3"),
        _npy('"' * 3),
        _npy("{[]}"),
        _npy("-" * 9000 + "1"),
        _npy("3"),
        _npy("(-3,)"),
        _npy("(3,)")[:9],
        b"\x93NUMPY\x09\x00" + bytes(100),
    ],
    ids=range(11),
)
def test_damaged_arrays(tmp_path: Path, content: bytes) -> None:
    assert load_numpy(_write(tmp_path / "whole.npy", _npy("(3,)")))[""].tolist() == [0, 0, 0]
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    for path in (_write(tmp_path / "a.npy", content), tmp_path / "a.npz"):
        with pytest.raises(DataError) as error:
            load_numpy(path)
        assert str(path) in error.value.message
        assert error.value.cause
        assert error.value.fix


@pytest.mark.parametrize(
    ("offset", "value"),
    [(8, 99), (6, 1), (4, 255)],  # compression method, encrypted, version
)
def test_archives_that_zipfile_does_not_take(tmp_path: Path, offset: int, value: int) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, x=IMAGES, y=LABELS)
    content = bytearray(path.read_bytes())
    content[offset] = value
    content[content.index(b"PK\x01\x02") + offset + 2] = value  # the same in the central directory
    with pytest.raises(DataError, match=r"set\.npz cannot be read") as error:
        load_numpy(_write(path, content))
    assert error.value.cause
    assert error.value.fix


def test_members_that_are_no_arrays(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x", b"text")
        archive.writestr("y", b"text")
    with pytest.raises(DataError, match="holds no arrays"):
        read_npz(tmp_path / "a.npz")
