"""Folders that are parts of a data set by their names, or the classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from gpucnn.data import load
from gpucnn.data.folder import read_folder
from gpucnn.data.found import ROLE_OF
from gpucnn.errors import DataError


def save(root: Path, *names: str) -> None:
    """A picture with the name x.png in each of these folders."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 9).save(root / name / "x.png")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("seg_train", "seg_test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train/train", "test/test"),
        ("Train1", "Test1"),
        ("x_train", "x_val"),
        ("cats_train", "cats_test"),
        ("data_train_2", "data_dev_2"),
        ("petsTrainingSet", "petsTestSet"),
        ("pets training images", "pets eval images"),
        ("été_train", "été_test"),
    ],
)
def test_parts_with_other_words_in_their_names(tmp_path: Path, train: str, test: str) -> None:
    save(tmp_path, *(f"{part}/{name}" for part in (train, test) for name in ("sea", "forest")))
    splits = load(tmp_path)
    other = splits.test or splits.validation
    assert other is not None
    assert splits.class_names == ["forest", "sea"]
    assert [Path(str(splits.train.item(k))).parent.name for k in (0, 1)] == ["forest", "sea"]
    assert str(tmp_path / train) in str(splits.train.item(0))
    assert str(tmp_path / test) in str(other.item(0))
    assert f"{train} as train" in splits.text
    assert not splits.notes


@pytest.mark.parametrize("word", sorted(set(ROLE_OF) - {"test"}))
def test_each_word_for_a_part(tmp_path: Path, word: str) -> None:
    save(tmp_path, f"{word}/a", f"{word}/b", "TEST/a")
    if ROLE_OF[word] == "test":
        with pytest.raises(DataError, match="several folders that may be its test part"):
            read_folder(tmp_path)
        return
    found = read_folder(tmp_path)
    assert [part.role for part in found.parts] == [ROLE_OF[word], "test"]
    assert not found.said


@pytest.mark.parametrize(
    "names",
    [
        ("steam_train", "bullet_train"),
        ("steam_train/a", "steam_train/b", "bullet_train/a"),
        ("pre-test", "post-test"),
        ("valid", "invalid"),
        ("training", "trains", "contest"),
        ("toy train", "toy car", "toy test"),
        ("cat/images", "dog/images"),
        ("cat/in", "cat/out", "dog/in"),
        ("cat/test", "dog/test"),
    ],
)
def test_names_of_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    save(tmp_path, *names)
    assert read_folder(tmp_path).classes == sorted({Path(name).parts[0] for name in names})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("seg_train/a", "seg_test/a", "seg_pred"), "has the folder seg_pred beside seg_test"),
        (("seg_train", "seg_test"), "has seg_test, seg_train, but no classes to train on"),
        (("cat_train", "cat_val", "dog_train"), "but no classes to train on"),
        (("train1/a", "train1/b", "test2/a"), "test2, train1: parts by their names"),
        (("cat_train/a", "cat_test/a", "dog_train/a", "dog_test/b"), "parts by their names"),
        (("cat/train", "cat/test", "dog/train"), "has the folders cat, dog, and in them test"),
        (("1/cat", "1/dog", "2/cat", "2/dog"), "has the folders 1, 2, and in them cat, dog"),
    ],
)
def test_parts_are_no_classes(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    save(tmp_path, *names)
    with pytest.raises(DataError, match=message) as error:
        load(tmp_path)
    assert error.value.exit_code == 4
    assert "train" in (error.value.fix or "")


@pytest.mark.parametrize("name", ["seg_train", "pets", "été"])
def test_the_classes_may_be_in_a_folder_of_the_same_name(tmp_path: Path, name: str) -> None:
    save(tmp_path, f"{name}/{name}/cat", f"{name}/{name}/dog")
    splits = load(tmp_path / name)
    assert splits.class_names == ["cat", "dog"]
    assert f"classes of {name}/{name}" in splits.text
    save(tmp_path, f"{name}/other")
    assert load(tmp_path / name).class_names == sorted([name, "other"])


def test_a_folder_of_the_classes_of_a_part_is_read(tmp_path: Path) -> None:
    """The fix of the refusal."""
    save(tmp_path, "1/cat", "1/dog", "2/cat", "2/dog")
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert str(tmp_path / "1") in (error.value.fix or "")
    assert load(tmp_path / "1").class_names == ["cat", "dog"]
