"""From a name or path to splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.data import load
from gpucnn.errors import DataError, UsageError

CSV = "label," + ",".join(f"pixel{i}" for i in range(4)) + "\n"


def write_csv(path: Path, count: int, labelled: bool = True) -> None:
    rows = [[*([i % 10] if labelled else []), i, 1, 2, 3] for i in range(count)]
    header = CSV if labelled else CSV.removeprefix("label,")
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
    write_csv(tmp_path / "test.csv", 7, labelled=False)
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


def test_parts_of_different_shape(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", 3)
    (tmp_path / "test.csv").write_text(",".join("0" * 9) + "\n")
    with pytest.raises(DataError, match=r"test\.csv: its images are \(1, 3, 3\)"):
        load(tmp_path)


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


@pytest.mark.parametrize("name", ["photo.png", "x.npy", "config.toml"])
def test_files_of_another_kind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(DataError, match=f"{name} is not a kind of file") as error:
        load(tmp_path / name)
    assert all(kind in (error.value.fix or "") for kind in (".npz", ".csv", "idx", "folder"))


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
