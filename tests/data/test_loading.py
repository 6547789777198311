"""From a name or path to splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gpucnn.data import Reading, load
from gpucnn.data.loading import find
from gpucnn.errors import DataError, UsageError

CSV = "label," + ",".join(f"pixel{i}" for i in range(4)) + "\n"


def write_csv(path: Path, count: int, labeled: bool = True) -> None:
    rows = [[*([i % 10] if labeled else []), i, 1, 2, 3] for i in range(count)]
    header = CSV if labeled else CSV.removeprefix("label,")
    path.write_text(header + "".join(",".join(map(str, row)) + "\n" for row in rows))


def test_digits_is_the_embedded_set() -> None:
    splits = load("digits", "/nowhere")  # needs no directory
    assert splits.validation is None
    assert splits.test is not None
    assert (len(splits.train), len(splits.test)) == (1437, 360)
    assert splits.image_shape == (1, 28, 28)
    assert (splits.name, splits.classes) == ("digits", 10)
    images = np.concatenate([splits.train.images, splits.test.images])
    assert splits.train.labels is not None
    assert splits.test.labels is not None
    labels = np.concatenate([splits.train.labels, splits.test.labels])
    # Class counts and the sum of all pixels of scikit-learn's copy.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images.dtype == np.uint8
    frame = images.copy()
    frame[:, :, 4:24, 4:24] = 0
    assert frame.sum() == 0
    # Enlarging by 20/8 keeps the mean but for the edges, which count a little more or less.
    assert images.sum() / (2.5**2 * 255 / 16) == pytest.approx(561718, rel=0.01)
    assert np.bincount(splits.test.labels).min() >= 25  # every class is tested


def test_validation_is_a_fixed_part_of_the_training_images() -> None:
    splits, again = load("digits", validation=100), load("digits", validation=100)
    assert splits.validation is not None
    assert again.validation is not None
    assert (len(splits.train), len(splits.validation)) == (1337, 100)
    np.testing.assert_array_equal(splits.validation.images, again.validation.images)
    whole = load("digits").train.images
    together = np.concatenate([splits.train.images, splits.validation.images])
    assert sorted(image.tobytes() for image in together) == sorted(i.tobytes() for i in whole)
    # Not simply the first or the last.
    assert not np.array_equal(splits.validation.images, whole[:100])
    assert not np.array_equal(splits.validation.images, whole[-100:])


@pytest.mark.parametrize("name", [None, 3, b"digits", ["digits"], np.ones(2)])
def test_a_name_that_is_no_text(name: Any) -> None:
    with pytest.raises(UsageError, match=f"the data set is a {type(name).__name__}") as error:
        load(name)
    assert "digits" in (error.value.fix or "")


@pytest.mark.parametrize("validation", [-1, 1437, 60_000])
def test_validation_out_of_range(validation: int) -> None:
    with pytest.raises(UsageError, match=f"validation is {validation}") as error:
        load("digits", validation=validation)
    assert error.value.exit_code == 2
    assert "0 to 1436" in (error.value.fix or "")


def test_idx_folder_and_file(small_dir: Path) -> None:
    splits = load(small_dir)
    assert splits.validation is not None
    assert splits.test is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [11, 1, 5]
    single = load(str(small_dir / "t10k-images-idx3-ubyte"), validation=0)
    assert (len(single.train), single.validation, single.test) == (5, None, None)
    np.testing.assert_array_equal(single.train.images, splits.test.images)


def test_a_path_is_not_looked_for_in_a_data_dir(
    small_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GPUCNN_DATA_DIR", raising=False)
    with pytest.raises(UsageError, match=f"{small_dir}, a path, and data_dir") as error:
        load(small_dir, tmp_path)
    assert error.value.exit_code == 2
    assert "leave --data-dir out" in (error.value.fix or "")
    with pytest.raises(DataError, match="mnits is neither"):
        load("mnits", tmp_path)
    # The environment is for whatever is loaded, and may have been handed on.
    monkeypatch.setenv("GPUCNN_DATA_DIR", str(tmp_path))
    for data_dir in (None, tmp_path):
        assert len(load(small_dir, data_dir, validation=0).train) == 12
    with pytest.raises(UsageError):
        load(small_dir, tmp_path / "other")


def test_kaggle_folder(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", 20)
    write_csv(tmp_path / "test.csv", 7, labeled=False)
    splits = load(tmp_path)
    assert splits.validation is not None
    assert splits.test is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [18, 2, 7]
    assert splits.test.labels is None
    assert splits.validation.labels is not None
    # Labels stay with their images: pixel 0 was the number of the row.
    np.testing.assert_array_equal(
        splits.validation.images[:, 0, 0, 0] % 10, splits.validation.labels
    )


def test_csv_and_npz_files(tmp_path: Path) -> None:
    write_csv(tmp_path / "digits.csv", 9)
    splits = load(tmp_path / "digits.csv")
    assert (len(splits.train), splits.validation, splits.test) == (9, None, None)
    np.savez(tmp_path / "a.npz", x=np.zeros((30, 5, 5), dtype=np.uint8), y=np.arange(30) % 3)
    splits = load(tmp_path / "a.npz")
    assert splits.validation is not None
    assert (len(splits.train), len(splits.validation), splits.classes) == (27, 3, 3)


@pytest.mark.parametrize(
    ("name", "fix"), [("mnits", "did you mean mnist"), ("some/where.csv", "or a path")]
)
def test_neither_name_nor_path(name: str, fix: str) -> None:
    with pytest.raises(DataError, match=f"{name} is neither") as error:
        load(name)
    assert error.value.exit_code == 4
    assert fix in (error.value.fix or "")


@pytest.mark.parametrize("name", ["./digits", "./mnist", "nowhere/digits", "../mnits", "./Digits"])
def test_a_path_where_nothing_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named as it was written, and no name of a data set is suggested in its place."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"^{name} is neither") as error:
        load(name)
    fix = error.value.fix or ""
    assert "did you mean" not in fix
    base = Path(name).name
    is_known = base in ("digits", "mnist")
    assert (f"{base} alone, without a folder, is the data set of that name" in fix) == is_known


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_a_data_set_that_is_not_there_beside_a_folder_of_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for lies_here in (False, True):
        if lies_here:
            (tmp_path / name).mkdir()
        with pytest.raises(DataError, match="there is no train-images") as error:
            load(name, tmp_path / "empty")
        assert (f"what lies here is ./{name}" in (error.value.fix or "")) == lies_here
        assert "gpucnn data fetch" in (error.value.fix or "")


def test_parts_of_different_shape(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", 3)
    (tmp_path / "test.csv").write_text(",".join("0" * 9) + "\n")
    with pytest.raises(DataError, match=r"test\.csv, line 1: 9 columns are neither the 4 pixels"):
        load(tmp_path)
    np.savez(tmp_path / "a.npz", x=np.ones((9, 5, 5)), y=np.arange(9), x_test=np.ones((9, 4, 4)))
    with pytest.raises(DataError, match=r"x_test of .* has images of 1x4x4, not of 1x5x5"):
        load(tmp_path / "a.npz")


def test_no_training_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((0, 5, 5), dtype=np.uint8), y=np.arange(0))
    with pytest.raises(DataError, match=r"x of .*a\.npz has no images"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize("validation", [0.1, "100"])
def test_validation_that_is_no_whole_number(validation: Any) -> None:
    with pytest.raises(UsageError, match="validation is") as error:
        load("digits", validation=validation)
    assert "whole number" in (error.value.fix or "")


def test_empty_name() -> None:
    with pytest.raises(UsageError, match="has no name") as error:
        load("")
    assert "mnist" in (error.value.fix or "")


@pytest.mark.parametrize("name", ["config.toml", "notes", "x.bin"])
def test_files_of_another_kind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(DataError, match=f"{name} is not a kind of file") as error:
        load(tmp_path / name)
    assert all(kind in (error.value.fix or "") for kind in (".npz", ".csv", "idx", "folder"))


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("digit-recognizer.zip", "unpack it"),
        ("x.tar.gz", "unpack it"),
        ("mnist.pkl", "pickles run code"),
        ("mnist.pkl.gz", "pickles run code"),
        ("digits.mat", "scipy.io.loadmat"),
        ("m.h5", "h5py"),
        ("t.parquet", "pandas.read_parquet"),
        ("t.arff", "save it as CSV"),
        ("weights.pt", "np.savez"),
        ("book.xlsx", "save it as CSV"),
    ],
)
def test_files_of_other_software(tmp_path: Path, name: str, fix: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(DataError, match="is not a kind of file that is read") as error:
        load(tmp_path / name)
    assert fix in (error.value.fix or "")


@pytest.mark.parametrize("name", ["x.npy", "photo.png"])
def test_files_without_labels(tmp_path: Path, name: str) -> None:
    image = np.zeros((8, 8), np.uint8)
    if name.endswith(".npy"):
        np.save(tmp_path / name, image)
    else:
        Image.fromarray(image).save(tmp_path / name)
    with pytest.raises(DataError, match=f"{name} has no labels") as error:
        load(tmp_path / name)
    assert error.value.fix


def test_one_class_is_said_and_not_trained_on(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("label,p0,p1,p2,p3\n" + "7,0,1,2,3\n" * 9)
    np.savez(tmp_path / "a.npz", x=np.ones((9, 5, 5)), y=np.zeros(9))
    for name, label in (("t.csv", 7), ("a.npz", 0)):
        message = f"has one class only: all of its 9 labels are {label}"
        with pytest.raises(DataError, match=message) as error:
            load(tmp_path / name)
        assert ("--label-column" in (error.value.fix or "")) == (name == "t.csv")


def test_a_test_set_alone_cannot_be_trained_on(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_test=np.ones((9, 5, 5)), y_test=np.arange(9))
    with pytest.raises(DataError, match="has test images, and none to train on"):
        load(tmp_path / "a.npz")


def test_classes_of_all_parts(tmp_path: Path) -> None:
    x = np.arange(200, 200 + 4 * 9).reshape(4, 3, 3)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=[0, 2, 2, 1], x_test=x[:2], y_test=[4, 0])
    splits = load(tmp_path / "a.npz", validation=0)
    assert splits.class_names == ["0", "1", "2", "3", "4"]
    assert splits.notes == ["classes without images to train on: 4"]
    np.savez(tmp_path / "b.npz", x=x, y=["b", "a", "b", "c"], x_val=x[:2], y_val=["a", "d"])
    splits = load(tmp_path / "b.npz")
    assert splits.class_names == ["a", "b", "c", "d"]
    assert splits.train.labels is not None
    assert splits.train.labels.tolist() == [1, 0, 1, 2]
    assert splits.validation is not None
    assert splits.validation.labels is not None
    assert splits.validation.labels.tolist() == [0, 3]


def test_what_is_said(tmp_path: Path) -> None:
    write_csv(tmp_path / "digits.csv", 50)
    assert load(tmp_path / "digits.csv").text == (
        "50 rows of digits.csv: label column `label`, 10 classes 0-9, 4 pixels as 1x2x2, 10 %"
        " held out"
    )
    assert load("digits", validation=7).text == (
        "1,437 images of digits: 10 classes 0-9, 1x28x28, 7 held out, 360 for test"
    )
    x = np.random.default_rng(0).random((20, 8, 8, 3))
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(20) % 2 * 2, x_test=x)
    assert load(tmp_path / "a.npz").text == (
        "20 images of a.npz: 3 classes 0-2 (1 without images), channels last, moved to the front, 0"
        " to 1 as 0 to 255, rounded to 256 levels, 3x8x8, 10 % held out, 20 for test without labels"
    )


def test_images_of_another_scale_than_those_of_the_training_are_doubted(tmp_path: Path) -> None:
    """Zeros and ones are black and white, unless images from 0 to 255 were read before."""
    gray = np.arange(36, dtype=np.uint8).reshape(4, 3, 3) * 7
    binary = (gray > 99).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=gray, y=[0, 1, 0, 1], x_test=binary, y_test=[0, 1, 0, 1])
    (note,) = load(tmp_path / "a.npz").notes
    assert note.startswith(f"no pixel of x_test of {tmp_path / 'a.npz'} is above 1 of 255")
    np.save(tmp_path / "b.npy", binary)
    rows = "".join(",".join(map(str, row)) + "\n" for row in binary.reshape(4, 9))
    (tmp_path / "b.csv").write_text(",".join(f"p{k}" for k in range(9)) + "\n" + rows)
    trained = Reading(image_shape=(1, 3, 3), white=255)
    for name in ("b.npy", "b.csv"):
        (note,) = find(tmp_path / name, known=trained, labeled=False).notes
        assert note.startswith(f"no pixel of {tmp_path / name} is above 1 of 255")
        assert find(tmp_path / name, labeled=False).notes == []
    np.save(tmp_path / "b.npy", binary * 1.0)  # floats of this scale are read as such
    assert find(tmp_path / "b.npy", known=trained, labeled=False).notes == []


def test_doubts(tmp_path: Path) -> None:
    x = np.full((30, 3, 3), 116)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(30))
    assert load(tmp_path / "a.npz").notes == [
        "30 images have 30 classes: are these the labels?",
    ]


@pytest.mark.parametrize(
    ("name", "reading", "flag"),
    [
        ("a.npz", Reading(label_column="y"), "--label-column"),
        ("a.npz", Reading(image_size=(8, 8)), "--image-size"),
        ("t.csv", Reading(skip_broken=True), "--skip-broken"),
        ("digits", Reading(transpose=True), "--transpose"),
        ("digits", Reading(image_shape=(1, 28, 28)), "--image-shape"),
        ("pets", Reading(channels="last"), "--channels"),
    ],
)
def test_what_is_said_and_does_not_matter_is_refused(
    tmp_path: Path, name: str, reading: Reading, flag: str
) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((9, 5, 5)), y=np.arange(9))
    write_csv(tmp_path / "t.csv", 9)
    for label in "ab":
        (tmp_path / "pets" / label).mkdir(parents=True)
        Image.new("L", (5, 5)).save(tmp_path / "pets" / label / "x.png")
    with pytest.raises(UsageError, match=f"{flag} does not matter for") as error:
        load(name if name == "digits" else tmp_path / name, reading=reading)
    assert error.value.exit_code == 2


def test_capital_suffixes(tmp_path: Path) -> None:
    write_csv(tmp_path / "A.CSV", 9)
    with (tmp_path / "A.NPZ").open("wb") as file:
        np.savez(file, x=np.zeros((9, 5, 5), dtype=np.uint8), y=np.arange(9) % 3)
    for name in ("A.CSV", "A.NPZ"):
        assert len(load(tmp_path / name).train) == 9


def test_home_of_an_unknown_user() -> None:
    with pytest.raises(DataError, match="~nosuchuser/x is neither"):
        load("~nosuchuser/x")


def test_pair_with_an_empty_test_set(small_dir: Path, to_idx: Callable[[Any], bytes]) -> None:
    (small_dir / "t10k-images-idx3-ubyte").write_bytes(to_idx(np.zeros((0, 4, 4))))
    (small_dir / "t10k-labels-idx1-ubyte").write_bytes(to_idx(np.zeros(0)))
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte has no images"):
        load(small_dir)
