"""Data sets as they are published: a small file of the same form of each, the right images out."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gpucnn.data import Reading, load
from gpucnn.errors import DataError

RNG = np.random.default_rng(0)
UPRIGHT = RNG.integers(0, 256, (60, 28, 28), dtype=np.uint8)
SWAPPED = UPRIGHT.transpose(0, 2, 1)
ToIdx = Callable[[Any], bytes]

EMNIST = {
    "balanced": (47, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt", 0),
    "bymerge": (47, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt", 0),
    "byclass": (62, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 0),
    "letters": (26, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", 1),
    "digits": (10, "0123456789", 0),
    "mnist": (10, "0123456789", 0),
}


def labels_of(classes: int, first: int = 0) -> np.ndarray:
    """60 labels with the highest among them."""
    return first + (np.arange(60) * 11 + classes - 1) % classes


def check(path: Path, names: str | list[str], ids: np.ndarray, images: np.ndarray) -> Any:
    splits = load(path, validation=0)
    assert splits.class_names == list(names)
    assert splits.train.labels is not None
    np.testing.assert_array_equal(splits.train.labels, ids)
    np.testing.assert_array_equal(splits.train.images[:, 0], images)
    return splits


@pytest.mark.parametrize("kind", EMNIST)
def test_emnist_idx(tmp_path: Path, kind: str, to_idx: ToIdx) -> None:
    count, names, first = EMNIST[kind]
    labels = labels_of(count, first)
    for part, end in (("train", 60), ("test", 20)):
        stem = f"emnist-{kind}-{part}"
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(to_idx(SWAPPED[:end]))
        (tmp_path / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(to_idx(labels[:end])))
    file = tmp_path / f"emnist-{kind}-train-images-idx3-ubyte"
    splits = check(file, names, labels - first, UPRIGHT)
    assert splits.test is None
    assert "rows and columns of each image swapped" in splits.text
    assert f"known as EMNIST {kind} by its name" in splits.text
    assert splits.reading.convert == "mnist"
    for path in (tmp_path, tmp_path / f"emnist-{kind}"):
        splits = check(path, names, labels - first, UPRIGHT)
        np.testing.assert_array_equal(splits.test.images[:, 0], UPRIGHT[:20])
        np.testing.assert_array_equal(splits.test.labels, (labels - first)[:20])


@pytest.mark.parametrize("kind", ["balanced", "letters"])
def test_emnist_csv(tmp_path: Path, kind: str) -> None:
    count, names, first = EMNIST[kind]
    labels = labels_of(count, first)
    path = tmp_path / f"emnist-{kind}-train.csv"
    np.savetxt(path, np.column_stack([labels, SWAPPED.reshape(60, -1)]), fmt="%d", delimiter=",")
    check(path, names, labels - first, UPRIGHT)


def test_files_that_merely_look_like_emnist_are_not_swapped(tmp_path: Path, to_idx: ToIdx) -> None:
    for name in ("train", "my-emnist-digits-train", "emnistdigits-train"):
        (tmp_path / name).mkdir()
        images = tmp_path / name / f"{name}-images-idx3-ubyte".replace("train-train", "train")
        images.write_bytes(to_idx(UPRIGHT))
        labels = images.with_name(images.name.replace("images-idx3", "labels-idx1"))
        labels.write_bytes(to_idx(labels_of(10)))
        check(tmp_path / name, "0123456789", labels_of(10), UPRIGHT)
    splits = load(tmp_path / "train", reading=Reading(transpose=True), validation=0)
    np.testing.assert_array_equal(splits.train.images[:, 0], SWAPPED)


def test_emnist_said_not_to_be_swapped(tmp_path: Path, to_idx: ToIdx) -> None:
    file = tmp_path / "emnist-digits-train-images-idx3-ubyte"
    file.write_bytes(to_idx(UPRIGHT))
    (tmp_path / "emnist-digits-train-labels-idx1-ubyte").write_bytes(to_idx(labels_of(10)))
    splits = load(file, reading=Reading(transpose=False), validation=0)
    np.testing.assert_array_equal(splits.train.images[:, 0], UPRIGHT)


def test_several_sets_in_one_folder(tmp_path: Path, to_idx: ToIdx) -> None:
    """As emnist's gzip.zip is unpacked."""
    for kind, (count, _, first) in EMNIST.items():
        stem = f"emnist-{kind}-train"
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(to_idx(SWAPPED))
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(to_idx(labels_of(count, first)))
    with pytest.raises(DataError, match="holds several data sets: emnist-balanced, ") as error:
        load(tmp_path)
    assert str(tmp_path / "emnist-balanced") in (error.value.fix or "")
    assert load(tmp_path / "emnist-letters").classes == 26


def test_qmnist(tmp_path: Path, to_idx: ToIdx) -> None:
    table = np.zeros((60, 8), ">i4")
    table[:, 0], table[:, 1:] = labels_of(10), 9999
    header = bytes([0, 0, 12, 2]) + struct.pack(">2I", *table.shape)
    for part in ("train", "test"):
        images = tmp_path / f"qmnist-{part}-images-idx3-ubyte.gz"
        images.write_bytes(gzip.compress(to_idx(UPRIGHT)))
        (tmp_path / f"qmnist-{part}-labels-idx2-int.gz").write_bytes(
            gzip.compress(header + table.tobytes())
        )
    splits = check(tmp_path, "0123456789", labels_of(10), UPRIGHT)
    assert splits.test is not None
    assert splits.reading.convert == "mnist"


@pytest.mark.parametrize(("name", "count"), [("kmnist", 10), ("k49", 49)])
def test_kmnist_npz(tmp_path: Path, name: str, count: int) -> None:
    np.savez_compressed(tmp_path / f"{name}-train-imgs.npz", UPRIGHT)
    np.savez_compressed(tmp_path / f"{name}-train-labels.npz", labels_of(count).astype(np.uint8))
    names = [str(k) for k in range(count)]
    check(tmp_path / f"{name}-train-imgs.npz", names, labels_of(count), UPRIGHT)
    for kind, array in (("imgs", UPRIGHT[:7]), ("labels", labels_of(count)[:7])):
        np.savez_compressed(tmp_path / f"{name}-test-{kind}.npz", array)
    splits = check(tmp_path, names, labels_of(count), UPRIGHT)
    assert splits.test is not None
    assert splits.test.labels is not None
    assert splits.test.labels.tolist() == labels_of(count)[:7].tolist()


def test_kmnist_idx(small_dir: Path) -> None:
    """It has the names of MNIST's files, and is not taken for MNIST."""
    splits = load(small_dir)
    assert splits.reading.convert is None
    assert "known as" not in splits.text


def test_mnist_at_a_path_is_known_by_its_labels(mnist_dir: Path) -> None:
    splits = load(mnist_dir)
    assert "known as mnist by its labels' SHA-256" in splits.text
    assert splits.reading.convert == "mnist"


def test_fashion_mnist_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its labels are known by the hash of the .gz, and give the names of the classes."""
    from gpucnn.data import sources

    labels = gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 10) + bytes(range(10)))
    images = b"\0\0\x08\x03" + struct.pack(">3I", 10, 28, 28) + bytes(7840)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(labels)
    assert load(tmp_path, validation=0).class_names[8] == "8"
    fashion = sources.SOURCES["fashion-mnist"]
    known = (*fashion.packed[:1], sources.hashlib.sha256(labels).hexdigest(), *fashion.packed[2:])
    monkeypatch.setitem(sources.SOURCES, "fashion-mnist", replace(fashion, packed=known))
    splits = load(tmp_path, validation=0)
    assert splits.class_names[8] == "Bag"
    assert splits.train.label_values[8] == "8"


def test_notmnist(tmp_path: Path) -> None:
    """Folders A to J of 28x28, and some files of it are known to be broken."""
    for letter in "ABCDEFGHIJ":
        (tmp_path / letter).mkdir()
        for k in range(3):
            Image.fromarray(UPRIGHT[k]).save(tmp_path / letter / f"MDEtMDEtMDAudHRm{k}.png")
    (tmp_path / "A" / "RGVtb2NyYXRpY2FCb2xkT2xkc3R5bGUgQm9sZC50dGY=.png").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read as a picture"):
        load(tmp_path)
    splits = load(tmp_path, reading=Reading(skip_broken=True), validation=0)
    assert splits.class_names == list("ABCDEFGHIJ")
    assert len(splits.train) == 30
    assert any("left out 1 of 31" in note for note in splits.notes)


def _batch(labels: np.ndarray, images: np.ndarray) -> bytes:
    return b"".join(
        bytes([label]) + image.tobytes() for label, image in zip(labels, images, strict=True)
    )


def test_cifar_10(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
    labels = labels_of(10)
    for k in range(5):
        part = slice(12 * k, 12 * k + 12)
        (tmp_path / f"data_batch_{k + 1}.bin").write_bytes(_batch(labels[part], images[part]))
    (tmp_path / "test_batch.bin").write_bytes(_batch(labels[:10], images[:10]))
    (tmp_path / "batches.meta.txt").write_text("airplane\n")
    (tmp_path / "readme.html").write_text("")
    splits = load(tmp_path, validation=0)
    np.testing.assert_array_equal(splits.train.images, images)
    np.testing.assert_array_equal(splits.train.labels, labels)
    assert splits.test is not None
    np.testing.assert_array_equal(splits.test.images, images[:10])
    assert (splits.class_names[0], splits.class_names[9]) == ("airplane", "truck")
    single = load(tmp_path / "data_batch_2.bin", validation=0)
    np.testing.assert_array_equal(single.train.images, images[12:24])
    (tmp_path / "data_batch_2.bin").write_bytes(bytes(5000))
    with pytest.raises(DataError, match=r"data_batch_2\.bin has 5,000 bytes") as error:
        load(tmp_path)
    assert "cifar-10-binary.tar.gz" in (error.value.fix or "")


def test_cifar_10_of_python_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x04")
    with pytest.raises(DataError, match="as pickles") as error:
        load(tmp_path)
    assert "cifar-10-binary.tar.gz" in (error.value.fix or "")


@pytest.mark.parametrize("color", [False, True])
def test_medmnist(tmp_path: Path, color: bool) -> None:
    shape = (60, 28, 28, 3) if color else (60, 28, 28)
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    labels = labels_of(8).astype(np.uint8)[:, np.newaxis]
    arrays = {}
    for part, end in (("train", 60), ("val", 20), ("test", 30)):
        arrays |= {f"{part}_images": images[:end], f"{part}_labels": labels[:end]}
    np.savez_compressed(tmp_path / "bloodmnist.npz", **arrays)
    splits = load(tmp_path / "bloodmnist.npz")
    expected = images.transpose(0, 3, 1, 2) if color else images[:, np.newaxis]
    assert splits.validation is not None
    assert splits.test is not None
    for dataset, end in ((splits.train, 60), (splits.validation, 20), (splits.test, 30)):
        np.testing.assert_array_equal(dataset.images, expected[:end])
        np.testing.assert_array_equal(dataset.labels, labels[:end, 0])
    assert splits.classes == 8
    arrays["train_labels"] = RNG.integers(0, 2, (60, 14))  # ChestMNIST: several labels an image
    np.savez_compressed(tmp_path / "chestmnist.npz", **arrays)
    with pytest.raises(DataError, match="several labels for an image are not supported"):
        load(tmp_path / "chestmnist.npz")


def _table(path: Path, header: str, *columns: np.ndarray) -> None:
    np.savetxt(path, np.column_stack(columns), fmt="%d", delimiter=",", header=header, comments="")


def test_tables_of_kaggle_and_openml(tmp_path: Path) -> None:
    pixels = UPRIGHT.reshape(60, -1)
    one, zero = (",".join(f"pixel{k + first}" for k in range(784)) for first in (1, 0))
    digits = labels_of(10)
    sign = np.where(labels_of(25) == 9, 8, labels_of(25))  # J needs a motion, and has no sign
    for name, header, columns, labels in (
        ("digit-recognizer.csv", f"label,{zero}", (digits, pixels), digits),
        ("sign_mnist_train.csv", f"label,{one}", (sign, pixels), sign),
        ("mnist_784.csv", f"{one},class", (pixels, digits), digits),
        ("A_Z.csv", "", (labels_of(26), pixels), labels_of(26)),
        ("fashion-mnist_train.csv", f"label,{one}", (digits, pixels), digits),
    ):
        _table(tmp_path / name, header, *columns)
        if not header:
            text = (tmp_path / name).read_text()
            (tmp_path / name).write_text(text.lstrip("\n"))
        check(tmp_path / name, [str(k) for k in range(labels.max() + 1)], labels, UPRIGHT)


def test_ham10000(tmp_path: Path) -> None:
    """Gray and color tables of skin lesions: labels last, the channels of a pixel together."""
    labels = labels_of(7)
    names = ",".join(f"pixel{k:04}" for k in range(784))
    _table(tmp_path / "hmnist_28_28_L.csv", f"{names},label", UPRIGHT.reshape(60, -1), labels)
    check(tmp_path / "hmnist_28_28_L.csv", "0123456", labels, UPRIGHT)
    color = RNG.integers(0, 256, (60, 28, 28, 3), dtype=np.uint8)
    names = ",".join(f"pixel{k:04}" for k in range(2352))
    path = tmp_path / "hmnist_28_28_RGB.csv"
    _table(path, f"{names},label", color.reshape(60, -1), labels)
    with pytest.raises(DataError, match="rows of 2352 pixels, which are no square") as error:
        load(path)
    assert "--image-shape 28x28x3" in (error.value.fix or "")
    reading = Reading(image_shape=(3, 28, 28), channels="last")
    splits = load(path, reading=reading, validation=0)
    np.testing.assert_array_equal(splits.train.images, color.transpose(0, 3, 1, 2))


def test_kannada(tmp_path: Path) -> None:
    """The table to predict on has ids where the one to train on has labels."""
    names = ",".join(f"pixel{k}" for k in range(784))
    pixels = UPRIGHT.reshape(60, -1)
    _table(tmp_path / "train.csv", f"label,{names}", labels_of(10), pixels)
    _table(tmp_path / "test.csv", f"id,{names}", np.arange(60), pixels)
    splits = check(tmp_path, "0123456789", labels_of(10), UPRIGHT)
    assert splits.test is not None
    assert splits.test.labels is None
    np.testing.assert_array_equal(splits.test.images[:, 0], UPRIGHT)
    assert splits.test.row_id(59) == "59"
