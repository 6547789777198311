"""NumPy archives: names that are taken, and that nothing is ever unpickled."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.data import load, storage
from gpucnn.data.found import ROLE_OF
from gpucnn.data.npz import load_numpy, read_npy, read_npz
from gpucnn.data.reading import Reading
from gpucnn.errors import DataError

IMAGES = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(4, 3, 3)
LABELS = np.array([0, 2, 1, 2])


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y"),
        ("X", "y"),
        ("images", "labels"),
        ("imgs", "labels"),
        ("data", "target"),
        ("features", "label"),
        ("labels", "images")[::-1],
    ],
)
def test_one_set(tmp_path: Path, names: tuple[str, str]) -> None:
    path = tmp_path / "set.npz"
    arrays: Any = {names[0]: IMAGES.astype(np.int64), names[1]: LABELS.reshape(-1, 1)}
    np.savez_compressed(path, **arrays, note=np.array("anything"))
    (part,) = read_npz(path).parts
    assert part.role == "all"
    np.testing.assert_array_equal(part.images, IMAGES[:, np.newaxis])
    assert part.labels is not None
    assert part.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    "pattern",
    ["x_train y_train", "X_train y_train", "train_images train_labels", "train_x train_y",
     "xtrain ytrain", "trainX trainY", "images_train labels_train", "x-train y-train"],
)  # fmt: skip
@pytest.mark.parametrize("validation", ["val", "valid", "dev", "eval"])
def test_parts(tmp_path: Path, pattern: str, validation: str) -> None:
    path = tmp_path / "set.npz"
    arrays: Any = {}
    for count, part in ((4, "train"), (3, validation), (2, "test")):
        x, y = pattern.replace("train", part).split()
        arrays |= {x: IMAGES[:count], y: LABELS[:count, np.newaxis]}
    np.savez(path, **arrays)
    found = {part.role: part for part in read_npz(path).parts}
    assert list(found) == ["train", "validation", "test"]
    for (role, part), count in zip(found.items(), (4, 3, 2), strict=True):
        assert len(part.images) == count, role
        assert part.labels is not None
        assert part.labels.tolist() == LABELS[:count].tolist()


@pytest.mark.parametrize("word", [*ROLE_OF, "tr", "te"])
@pytest.mark.parametrize("pattern", ["{}_images {}_labels", "X{} Y{}", "x_{} y_{}"])
def test_each_word_for_a_part(tmp_path: Path, word: str, pattern: str) -> None:
    """The same as for folders, and the short ones."""
    x, y = pattern.format(word, word).split()
    arrays: Any = {x: IMAGES, y: LABELS, "latest_images": IMAGES, "contestx": IMAGES}
    np.savez(tmp_path / "set.npz", **arrays)
    (part,) = read_npz(tmp_path / "set.npz").parts
    assert part.role == {**ROLE_OF, "tr": "train", "te": "test"}[word]
    assert part.labels is not None


def test_parts_without_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=IMAGES, y=LABELS, x_test=IMAGES[:2])
    train, test = read_npz(tmp_path / "set.npz").parts
    assert (train.role, test.role) == ("train", "test")
    assert test.labels is None
    np.savez(tmp_path / "set.npz", x_test=IMAGES[:2])
    (test,) = read_npz(tmp_path / "set.npz").parts
    assert (test.role, test.labels) == ("test", None)


def test_channels_last_is_said(tmp_path: Path) -> None:
    color = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "cifar.npz", x_train=color, y_train=LABELS.repeat(2)[:6], x_test=color)
    found = read_npz(tmp_path / "cifar.npz")
    for part in found.parts:
        np.testing.assert_array_equal(part.images, color.transpose(0, 3, 1, 2))
    assert found.said == ["channels last, moved to the front"]
    assert found.reading.channels == "last"


def test_arrays_that_go_along(tmp_path: Path) -> None:
    """The names of classes are no labels, and scikit-learn's digits hold the images twice."""
    path = tmp_path / "set.npz"
    np.savez(path, x=IMAGES, y=LABELS, classes=np.array(["a", "b", "c"]), target_names=LABELS[:3])
    (part,) = read_npz(path).parts
    assert part.labels is not None
    assert part.labels.tolist() == LABELS.tolist()
    np.savez(path, data=IMAGES.reshape(4, 9) * 1.0, images=IMAGES, target=LABELS)
    (part,) = read_npz(path).parts
    np.testing.assert_array_equal(part.images[:, 0], IMAGES)


def test_one_hot_rows_have_a_place_for_each_class(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=IMAGES, y=np.eye(10)[LABELS])
    assert read_npz(tmp_path / "set.npz").values == [str(k) for k in range(10)]


def test_a_pair_of_files(tmp_path: Path) -> None:
    """KMNIST and Kuzushiji-49 are published so."""
    np.savez(tmp_path / "kmnist-train-imgs.npz", IMAGES)
    np.savez(tmp_path / "kmnist-train-labels.npz", LABELS)
    (part,) = read_npz(tmp_path / "kmnist-train-imgs.npz").parts
    np.testing.assert_array_equal(part.images[:, 0], IMAGES)
    assert part.labels is not None
    assert part.labels.tolist() == LABELS.tolist()
    for name in ("kmnist-train-labels.npz", "other.npz"):
        np.savez(tmp_path / name, LABELS)
        with pytest.raises(DataError, match="an array without a name") as error:
            read_npz(tmp_path / name)
        assert "np.savez(FILE, x=images, y=labels)" in (error.value.fix or "")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": IMAGES}, r"holds a \(4, 3, 3\), no images with labels"),
        ({"y": LABELS}, r"holds y \(4,\), no images with labels"),
        ({"x": IMAGES, "images": IMAGES + 1, "y": LABELS}, "may be the same: x, images"),
        ({"x": IMAGES, "y": LABELS, "target": LABELS}, "may be the same: y, target"),
        ({"x": IMAGES, "y": LABELS, "x_train": IMAGES}, "may be the same: x, x_train"),
        ({"x": IMAGES, "y": LABELS - 1}, r"y of .*, image 0: the label is -1"),
        ({"x": IMAGES, "y": LABELS + 65_534}, "image 1: the label is 65536"),
        ({"x": IMAGES, "y": LABELS, "x_test": IMAGES[:0]}, "x_test of .* has no images"),
        ({"x": IMAGES, "y": np.ones((4, 3))}, "not one-hot"),
        ({"x": IMAGES * np.nan, "y": LABELS}, "image 0 of x of .* holds NaN"),
        ({"x": IMAGES, "y": LABELS, "x_test": IMAGES[:, :2]}, "has images of 1x2x3, not of 1x3x3"),
    ],
)
def test_archives_that_do_not_fit(tmp_path: Path, arrays: Any, message: str) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message) as error:
        read_npz(path)
    assert str(path) in error.value.message


@pytest.mark.parametrize(
    ("shape", "known", "count"),
    [
        ((28, 28), None, 1),
        ((16, 25), None, 1),
        ((28, 28, 3), None, 1),
        ((7, 28, 28), None, 7),
        ((7, 28, 28, 1), None, 7),
        ((28, 28), (1, 28, 28), 1),
        ((1, 28, 28), (1, 28, 28), 1),
        ((7, 784), (1, 28, 28), 7),
        ((784, 784), (1, 28, 28), 784),
        ((3, 8, 8), (3, 8, 8), 1),
        ((8, 8, 3), (3, 8, 8), 1),
        ((5, 8, 3), (1, 8, 3), 5),
    ],
)
def test_npy(
    tmp_path: Path,
    shape: tuple[int, ...],
    known: tuple[int, int, int] | None,
    count: int,
) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    (part,) = read_npy(tmp_path / "a.npy", Reading(image_shape=known)).parts
    assert len(part.images) == count
    assert part.labels is None
    assert part.items == ([str(tmp_path / "a.npy")] if count == 1 else None)
    assert sorted(part.images.ravel()) == sorted(array.ravel())
    if count == 1 and shape[-1] == 3:
        np.testing.assert_array_equal(part.images[0], array.transpose(2, 0, 1))
    elif shape[-1] != 1:
        np.testing.assert_array_equal(part.images.reshape(shape), array)


@pytest.mark.parametrize(
    "shape", [(0, 28, 28), (5, 0, 0), (0, 0), (0, 28), (0, 0, 3), (2, 3, 0, 5)]
)
def test_empty_npy(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match=r"a\.npy"):
        read_npy(tmp_path / "a.npy")


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


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": IMAGES, "y": np.array(3)}, "y of .* is int64 of shape ()"),
        ({"x": np.array(3), "y": LABELS}, "x of .* has the shape ()"),
        ({"x": np.array(3), "images": IMAGES, "y": LABELS}, "several arrays that may be the same"),
        (
            {"x": np.zeros(4, [("a", "u1")]), "images": IMAGES, "y": LABELS},
            "several arrays that may be the same",
        ),
        ({"x": np.zeros(4, "V3"), "y": LABELS}, "x of .* has the shape"),
        ({"x": IMAGES, "y": np.zeros(4, "m8[s]")}, "y of .* is timedelta64"),
    ],
)
def test_arrays_that_are_neither(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=says) as error:
        load(tmp_path / "a.npz")
    assert error.value.fix


@pytest.mark.parametrize("arrays", [{}, {"x": IMAGES, "y": LABELS}])
def test_a_file_of_labels_with_other_arrays(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "k-train-imgs.npz", IMAGES)
    np.savez(tmp_path / "k-train-labels.npz", **arrays)
    with pytest.raises(DataError, match=r"k-train-labels\.npz holds .*, where the labels are one"):
        load(tmp_path / "k-train-imgs.npz")
    assert len(read_npz(tmp_path / "k-train-imgs.npz", labeled=False).parts) == 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_beyond_unicode(tmp_path: Path, order: str) -> None:
    codes = np.array([[65, 66], [65, 0x110000], [67, 0]], f"{order}u4")
    np.savez(tmp_path / "a.npz", x=IMAGES[:3], y=codes.view(f"{order}U2")[:, 0])
    with pytest.raises(DataError) as error:
        load_numpy(tmp_path / "a.npz")
    assert "character number 1,114,112" in (error.value.cause or "")
    codes[1, 1] = 0x10FFFF
    np.savez(tmp_path / "a.npz", x=IMAGES[:3], y=codes.view(f"{order}U2")[:, 0])
    assert load_numpy(tmp_path / "a.npz")["y"].tolist() == ["AB", "A\U0010ffff", "C"]


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


def _archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of a name that is there already
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_a_long_header_is_refused_before_it_is_read(tmp_path: Path, version: int) -> None:
    start = b"\x93NUMPY" + bytes([version, 0])
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }"
    content = start + len(header).to_bytes(4, "little") + header + bytes(3)
    assert load_numpy(_write(tmp_path / "a.npy", content))[""].tolist() == [0, 0, 0]
    assert load_numpy(_archive(tmp_path / "a.npz", ("x.npy", content)))["x"].tolist() == [0, 0, 0]
    content = start + (10**6).to_bytes(4, "little") + b" " * 10**6
    for name, path in (
        ("in it", _write(tmp_path / "a.npy", content)),
        ("images", _archive(tmp_path / "a.npz", ("images.npy", content))),
    ):
        with pytest.raises(DataError) as error:
            load_numpy(path)
        assert error.value.cause == f"the header of the array {name} claims 1,000,000 bytes"


@pytest.mark.parametrize("large", [0, 2**20])
def test_bytes_behind_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    """Also where a large array is mapped."""
    monkeypatch.setattr(storage, "large", lambda: large)
    whole, more = _npy("(3,)"), _npy("(3,)") + b"more"
    for name, path in (
        ("in it", _write(tmp_path / "a.npy", more)),
        ("y", _archive(tmp_path / "a.npz", ("x.npy", whole), ("y.npy", more))),
    ):
        with pytest.raises(DataError) as error:
            load_numpy(path)
        says = f"the array {name} has {len(more)} bytes; its header says {len(whole)}"
        assert error.value.cause == says


def test_a_name_that_is_there_twice(tmp_path: Path) -> None:
    x, y = (f"{name}.npy" for name in "xy")
    path = _archive(tmp_path / "a.npz", (x, _npy("(3,)")), (y, _npy("(3,)")), (x, _npy("(3, 1)")))
    with pytest.raises(DataError) as error:
        load_numpy(path)
    assert error.value.cause == "it holds the array x twice"


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
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(DataError, match="an archive of arrays"):
        read_npy(tmp_path / "a.npy")
