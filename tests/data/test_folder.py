"""Folders of images by class."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpucnn.data import load
from gpucnn.data.folder import read_folder
from gpucnn.errors import DataError, MissingExtraError


def save(path: Path, value: int | tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(value, int) else "RGB", size, value).save(path)


def test_gray_images_by_class(tmp_path: Path) -> None:
    for name, value in (("cat", 10), ("ape", 20), ("dog", 30)):
        save(tmp_path / name / "b.png", value)
        save(tmp_path / name / "a.bmp", value + 1)
    (tmp_path / "cat" / ".hidden").write_text("not read")
    (tmp_path / ".cache").mkdir()
    train, held, test = read_folder(tmp_path)
    assert (held, test) == (None, None)
    assert train.class_names == ["ape", "cat", "dog"]
    assert train.image_shape == (1, 4, 6)
    assert train.labels is not None
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert train.images[:, 0, 0, 0].tolist() == [21, 20, 11, 10, 31, 30]  # a before b


def test_numbers_sort_as_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "1"):
        save(tmp_path / name / "a.png", int(name))
    train, _, _ = read_folder(tmp_path)
    assert train.class_names == ["1", "9", "10"]
    assert train.images[:, 0, 0, 0].tolist() == [1, 9, 10]


def test_one_colour_image_makes_all_of_them_rgb(tmp_path: Path) -> None:
    save(tmp_path / "a" / "gray.png", 7)
    save(tmp_path / "b" / "colour.png", (1, 2, 3))
    train, _, _ = read_folder(tmp_path)
    assert train.image_shape == (3, 4, 6)
    assert train.images[:, :, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3]]


def test_train_val_and_test_folders(tmp_path: Path) -> None:
    for folder, pixel in (("train", 1), ("val", 2), ("test", (3, 3, 3))):
        save(tmp_path / folder / "no" / "a.png", pixel)
        save(tmp_path / folder / "yes" / "a.jpg", pixel)
    splits = load(tmp_path)
    assert splits.validation is not None
    assert splits.test is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [2, 2, 2]
    # Colour in one part makes all parts RGB: a model takes one shape.
    assert splits.image_shape == splits.test.image_shape == (3, 4, 6)
    assert splits.class_names == ["no", "yes"]
    for part, value in ((splits.train, 1), (splits.validation, 2), (splits.test, 3)):
        assert part.images[0, 0, 0, 0] == value


def test_classes_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train", "car"):
        save(tmp_path / name / "a.png", 1)
    train, _, _ = read_folder(tmp_path)
    assert train.class_names == ["car", "train"]


def test_sizes_differ(tmp_path: Path) -> None:
    save(tmp_path / "a" / "one.png", 1, (6, 4))
    save(tmp_path / "b" / "two.png", 1, (4, 6))
    with pytest.raises(DataError, match=r"two\.png is 4x6 pixels, but .*one\.png is 6x4") as error:
        read_folder(tmp_path)
    assert error.value.exit_code == 4


def test_file_that_is_no_image(tmp_path: Path) -> None:
    save(tmp_path / "a" / "one.png", 1)
    bad = tmp_path / "a" / "two.png"
    bad.write_text("not a picture")
    with pytest.raises(DataError, match="cannot be read as a picture") as error:
        read_folder(tmp_path)
    assert str(bad) in error.value.message
    assert error.value.exit_code == 4
    bad.rename(tmp_path / "a" / "notes.txt")
    with pytest.raises(DataError, match=r"notes\.txt is no image by its name"):
        read_folder(tmp_path)


def test_truncated_image(tmp_path: Path) -> None:
    path = tmp_path / "a" / "noise.png"
    path.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"noise\.png cannot be read as a picture"):
        read_folder(tmp_path)


@pytest.mark.parametrize("folders", [[], ["a"], ["a", "b"], ["train/a", "test/a"]])
def test_no_images(tmp_path: Path, folders: list[str]) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DataError, match="holds no images in subfolders") as error:
        load(tmp_path)
    assert error.value.exit_code == 4
    assert "CLASS/IMAGE.png" in (error.value.fix or "")


@pytest.mark.parametrize("folders", [["train", "test"], ["train"], ["Train", "Val", "Test"]])
def test_parts_without_classes(tmp_path: Path, folders: list[str]) -> None:
    for folder in folders:
        save(tmp_path / folder / "a.png", 1)
    with pytest.raises(DataError, match="no classes to train on") as error:
        read_folder(tmp_path)
    assert "train/CLASS/IMAGE.png" in (error.value.fix or "")


def test_empty_part(tmp_path: Path) -> None:
    save(tmp_path / "train" / "a" / "x.png", 1)
    save(tmp_path / "test" / "x.png", 1)
    with pytest.raises(DataError, match="test holds no images in subfolders"):
        read_folder(tmp_path)


def test_test_set_with_another_class(tmp_path: Path) -> None:
    save(tmp_path / "train" / "a" / "x.png", 1)
    save(tmp_path / "test" / "b" / "x.png", 1)
    with pytest.raises(DataError, match="b is a class that the training images do not have"):
        read_folder(tmp_path)


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a" / "x.png", 1)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match="needs Pillow") as error:
        read_folder(tmp_path)
    assert error.value.fix == 'pip install "gpucnn[image]"'
    assert error.value.exit_code == 1
