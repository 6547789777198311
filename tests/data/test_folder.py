"""Folders of pictures: layouts, leftovers, parts, and what is refused."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gpucnn.data import Reading, load
from gpucnn.data.folder import read_folder
from gpucnn.data.found import Found
from gpucnn.data.resolve import read
from gpucnn.errors import DataError, MissingExtraError


def save(path: Path, value: int | tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(value, int) else "RGB", size, value).save(path)


def labels(found: Found, role: str = "all") -> list[str]:
    (part,) = [part for part in found.parts if part.role == role]
    assert part.labels is not None
    return list(part.labels)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Three pictures of cats and two of dogs."""
    for name, count in (("cat", 3), ("dog", 2)):
        for k in range(count):
            save(tmp_path / "pets" / name / f"{k}.png", 10 * k)
    return tmp_path / "pets"


def test_gray_images_by_class(tmp_path: Path) -> None:
    for name, value in (("cat", 10), ("ape", 20), ("dog", 30)):
        save(tmp_path / name / "b.png", value)
        save(tmp_path / name / "a.bmp", value + 1)
    (tmp_path / "cat" / ".hidden").write_text("not read")
    (tmp_path / ".cache").mkdir()
    found = read_folder(tmp_path)
    (part,) = found.parts
    assert found.classes == ["ape", "cat", "dog"]
    assert found.reading.image_shape == (1, 4, 6)
    assert labels(found) == ["ape", "ape", "cat", "cat", "dog", "dog"]
    assert part.images[:, 0, 0, 0].tolist() == [21, 20, 11, 10, 31, 30]  # a before b
    assert part.items is not None
    assert part.items[0] == str(tmp_path / "ape" / "a.bmp")


def test_numbers_sort_as_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "1"):
        save(tmp_path / name / "a.png", int(name))
    found = read_folder(tmp_path)
    assert found.classes == ["1", "9", "10"]
    assert found.parts[0].images[:, 0, 0, 0].tolist() == [1, 9, 10]


def test_one_color_image_makes_all_of_them_rgb(tmp_path: Path) -> None:
    save(tmp_path / "a" / "gray.png", 7)
    save(tmp_path / "b" / "color.png", (1, 2, 3))
    (part,) = read_folder(tmp_path).parts
    assert part.images.shape[1:] == (3, 4, 6)
    assert part.images[:, :, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3]]


def test_train_val_and_test_folders(tmp_path: Path) -> None:
    for folder, pixel in (("train", 1), ("val", 2), ("test", (3, 3, 3))):
        save(tmp_path / folder / "no" / "a.png", pixel)
        save(tmp_path / folder / "yes" / "a.jpg", pixel)
    splits = load(tmp_path)
    assert splits.validation is not None
    assert splits.test is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [2, 2, 2]
    # Color in one part makes all parts RGB: a model takes one shape.
    assert splits.image_shape == splits.test.image_shape == (3, 4, 6)
    assert splits.class_names == ["no", "yes"]
    for part, value in ((splits.train, 1), (splits.validation, 2), (splits.test, 3)):
        assert part.images[0, 0, 0, 0] == value


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "Test"),
        ("Train", "Valid", "TESTING"),
        ("training", "validation", "testing"),
        ("training_set", "dev", "test_set"),
        ("TRAIN", "eval", "tests"),
        ("train", "validate", None),
        ("training data", None, "test data"),
    ],
)
def test_names_of_parts(
    tmp_path: Path, train: str, validation: str | None, test: str | None
) -> None:
    names = {"train": train, "validation": validation, "test": test}
    for name in filter(None, names.values()):
        for label in "ab":
            save(tmp_path / name / label / "x.png", 1)
    found = read_folder(tmp_path)
    assert [part.role for part in found.parts] == [role for role, name in names.items() if name]
    assert not found.notes


@pytest.mark.parametrize("stranger", ["extra", "unlabeled", "Train2", "cat"])
def test_a_folder_beside_the_parts_is_refused(tmp_path: Path, stranger: str) -> None:
    for name in ("train/a", "train/b", "test/a", f"{stranger}/a"):
        save(tmp_path / name / "x.png", 1)
    with pytest.raises(DataError, match=f"has the folder {stranger} beside test, train") as error:
        read_folder(tmp_path)
    assert error.value.exit_code == 4
    shutil.rmtree(tmp_path / stranger)
    (tmp_path / stranger).mkdir()  # empty, it is no matter
    assert any(stranger in note for note in read_folder(tmp_path).notes)


def test_parts_beside_classes_are_refused(tmp_path: Path) -> None:
    """Without this, the pictures of test/ would be a class of that name."""
    for name in ("cat", "dog", "test/cat", "test/dog"):
        save(tmp_path / name / "x.png", 1)
    with pytest.raises(DataError, match="has the folder cat beside test"):
        read_folder(tmp_path)


def test_two_folders_for_one_part(tmp_path: Path) -> None:
    for name in ("train", "val", "valid"):
        save(tmp_path / name / "a" / "x.png", 1)
    with pytest.raises(DataError, match=r"several folders .* validation part: val, valid"):
        read_folder(tmp_path)


def test_classes_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train", "car"):
        save(tmp_path / name / "a.png", 1)
    assert read_folder(tmp_path).classes == ["car", "train"]


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "._a.png", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini", "README",
     "README.md", "readme.txt", "LICENSE", "license.txt", "Icon\r", ".gitkeep",
     "__MACOSX/cat/._0.png", "__pycache__/x.pyc", ".ipynb_checkpoints/0-checkpoint.png"],
)  # fmt: skip
@pytest.mark.parametrize("where", [".", "cat"])
def test_what_systems_leave_behind(pets: Path, name: str, where: str) -> None:
    expected = labels(read_folder(pets))
    file = pets / where / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\0\5\x16\7")
    found = read_folder(pets)
    assert labels(found) == expected
    assert found.classes == ["cat", "dog"]
    (note,) = found.notes
    assert "files that are no data" in note
    shown = "._*" if "/" not in name and name[:2] == "._" else Path(name).parts[0]
    assert shown.replace("\r", "\\r") in note


def test_the_same_leftover_is_counted(pets: Path) -> None:
    for folder in (".", "cat", "dog"):
        (pets / folder / ".DS_Store").write_bytes(b"\0")
    assert read_folder(pets).notes == ["passed over files that are no data: 3 .DS_Store"]


def test_empty_folders_are_no_classes(pets: Path) -> None:
    (pets / "unsorted" / "below").mkdir(parents=True)
    found = read_folder(pets)
    assert found.classes == ["cat", "dog"]
    assert found.notes == [f"passed over folders without pictures: {pets / 'unsorted'}"]


def test_a_class_without_training_images_is_one_if_it_has_a_folder(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "val/a", "val/eel"):
        save(tmp_path / name / "x.png", 1)
    with pytest.raises(DataError, match="eel is a class that the training images do not have"):
        read_folder(tmp_path)
    (tmp_path / "train" / "eel").mkdir()
    splits = load(tmp_path)
    assert splits.class_names == ["a", "b", "eel"]
    assert splits.validation is not None
    assert splits.validation.labels is not None
    assert splits.validation.labels.tolist() == [0, 2]
    assert any("without images to train on: eel" in note for note in splits.notes)


def test_pictures_in_folders_below_a_class(pets: Path) -> None:
    save(pets / "cat" / "more" / "deep" / "z.png", 77)
    found = read_folder(pets)
    assert labels(found).count("cat") == 4
    assert 77 in found.parts[0].images


def test_files_beside_the_classes_are_named(pets: Path) -> None:
    (pets / "labels.csv").write_text("file,label\n")
    save(pets / "stray.png", 1)
    (note,) = read_folder(pets).notes
    assert note.startswith("files not read: ")
    assert "labels.csv" in note
    assert "stray.png" in note


def test_pictures_without_classes_have_no_labels(tmp_path: Path) -> None:
    for k in range(3):
        save(tmp_path / f"{k}.png", k)
    (part,) = read_folder(tmp_path).parts
    assert part.labels is None
    assert part.images[:, 0, 0, 0].tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="has no labels") as error:
        load(tmp_path)
    assert "CLASS/IMAGE.png" in (error.value.fix or "")


def test_a_gray_palette_is_gray(pets: Path) -> None:
    Image.new("L", (6, 4), 77).quantize(4).save(pets / "cat" / "p.png")
    Image.new("L", (6, 4), 77).save(pets / "dog" / "g.gif")
    assert read_folder(pets).reading.image_shape == (1, 4, 6)
    Image.new("RGB", (6, 4), (9, 99, 9)).quantize(4).save(pets / "cat" / "p.png")
    assert read_folder(pets).reading.image_shape == (3, 4, 6)


def test_links(tmp_path: Path) -> None:
    """Classes that are links, and a link to itself below a class."""
    for name in "ab":
        save(tmp_path / "store" / name / "x.png", 1)
        for part in ("train", "test"):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            (tmp_path / "set" / part / name / "link").symlink_to(tmp_path / "store" / name)
    found = read_folder(tmp_path / "set")
    assert {part.role for part in found.parts} == {"train", "test"}
    assert found.classes == ["a", "b"]
    (tmp_path / "store" / "a" / "self").symlink_to(tmp_path / "store" / "a")
    assert labels(read_folder(tmp_path / "store")) == ["a", "b"]


@pytest.mark.parametrize("hidden", [".s", "store"])
def test_each_folder_is_read_once_however_many_paths_lead_to_it(
    tmp_path: Path, hidden: str
) -> None:
    """Thirty folders with two links each: 2**30 paths."""
    top = tmp_path / "set"
    for name in "ab":
        save(top / name / "x.png", 1)
    store = tmp_path / hidden
    for k in range(31):
        save(store / str(k) / "y.png", 1)
        for link in ("p", "q") if k < 30 else ():
            (store / str(k) / link).symlink_to(store / str(k + 1))
    (top / "a" / "link").symlink_to(store / "0")
    found = read_folder(top)
    assert labels(found) == ["a"] * 32 + ["b"]
    assert len(read(top, labeled=False).parts[0].images) == 33


def test_a_ladder_of_links_without_pictures(tmp_path: Path) -> None:
    for k in range(31):
        (tmp_path / ".store" / str(k)).mkdir(parents=True)
        for link in ("p", "q") if k < 30 else ():
            (tmp_path / ".store" / str(k) / link).symlink_to(tmp_path / ".store" / str(k + 1))
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "link").symlink_to(tmp_path / ".store" / "0")
    with pytest.raises(DataError, match="holds no images"):
        read_folder(tmp_path)


@pytest.mark.parametrize("labeled", [True, False])
def test_folders_that_are_too_deep(tmp_path: Path, labeled: bool) -> None:
    for name in "ab":
        save(tmp_path / name / "x.png", 1)
    deepest = tmp_path / "a" / "/".join("d" * 99)
    save(deepest / "y.png", 1)
    assert len(read(tmp_path, labeled=labeled).parts[0].images) == 3
    deepest.joinpath("d", "d").mkdir(parents=True)
    with pytest.raises(DataError, match="has more than 100 folders in one another") as error:
        read(tmp_path, labeled=labeled)
    assert error.value.fix


def test_names_with_composed_and_decomposed_letters(tmp_path: Path) -> None:
    for part, name in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
        save(tmp_path / part / name / "x.png", 1)
        save(tmp_path / part / "tea" / "x.png", 1)
    assert read_folder(tmp_path).classes == ["caf\u00e9", "tea"]


def test_all_pictures_of_a_folder_where_labels_do_not_matter(pets: Path) -> None:
    save(pets / "stray.png", 1)
    save(pets / "test" / "deep" / "x.png", 1)
    (pets / "notes.txt").write_text("")
    found = read(pets, labeled=False)
    (part,) = found.parts
    assert part.labels is None
    assert len(part.images) == 7
    assert any("notes.txt" in note for note in found.notes)


def test_a_table_and_pictures_that_it_does_not_list(pets: Path) -> None:
    (pets / "train.csv").write_text("label,p0,p1,p2,p3\n3,0,1,2,255\n9,4,5,6,7\n")
    with pytest.raises(
        DataError, match=r"holds pictures and .*train\.csv, which does not list them"
    ):
        load(pets)


@pytest.mark.parametrize(
    "suffix",
    ["png", "jpg", "jpeg", "JPG", "bmp", "gif", "webp", "tif", "tiff", "ppm"],
)
def test_formats(pets: Path, suffix: str) -> None:
    save(pets / "dog" / f"new.{suffix}", 200, (6, 4))
    reading = Reading(image_size=(4, 6))
    found = read_folder(pets, reading)
    assert labels(found).count("dog") == 3
    assert found.parts[0].images[-1].mean() == pytest.approx(200, abs=3)


def test_sizes_differ(tmp_path: Path) -> None:
    save(tmp_path / "a" / "one.png", 1, (6, 4))
    save(tmp_path / "b" / "two.png", 9, (4, 6))
    with pytest.raises(DataError, match=r"two\.png is 4x6 pixels, but .*one\.png is 6x4") as error:
        read_folder(tmp_path)
    assert error.value.exit_code == 4
    assert "--image-size 4x6" in (error.value.fix or "")
    found = read_folder(tmp_path, Reading(image_size=(4, 6)))
    assert found.reading.image_shape == (1, 4, 6)
    assert found.parts[0].images[:, 0, 0, 0].tolist() == [1, 9]
    assert "1 of them scaled to 4x6" in found.said


def test_file_that_is_no_image(tmp_path: Path) -> None:
    save(tmp_path / "a" / "one.png", 1)
    bad = tmp_path / "a" / "two.png"
    bad.write_text("not a picture")
    with pytest.raises(DataError, match="cannot be read as a picture") as error:
        read_folder(tmp_path)
    assert str(bad) in error.value.message
    assert error.value.exit_code == 4
    assert "--skip-broken" in (error.value.fix or "")
    bad.rename(tmp_path / "a" / "notes.txt")
    with pytest.raises(DataError, match=r"notes\.txt is no image by its name"):
        read_folder(tmp_path)


def _break(pets: Path) -> list[Path]:
    """Two pictures cut short and an empty one."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 6), dtype=np.uint8)
    broken = [pets / "cat" / "9.png", pets / "dog" / "8.png", pets / "dog" / "9.png"]
    for file in broken:
        Image.fromarray(noise).save(file)
        file.write_bytes(file.read_bytes()[:50])
    broken[0].write_bytes(b"")
    return broken


def test_all_broken_pictures_are_named(pets: Path) -> None:
    broken = _break(pets)
    with pytest.raises(DataError, match=f"3 of the 8 pictures of {pets} cannot be used") as error:
        read_folder(pets)
    assert all(str(file) in (error.value.cause or "") for file in broken)
    assert "--skip-broken" in (error.value.fix or "")


@pytest.mark.parametrize("whole", [0, 2])
def test_pictures_with_the_same_fault_have_its_fix(tmp_path: Path, whole: int) -> None:
    for k in range(3 + whole):
        folder = tmp_path / "ab"[k % 2]
        folder.mkdir(exist_ok=True)
        kind: type = np.uint16 if k < 3 else np.uint8
        Image.fromarray(np.full((4, 4), 200 if k >= 3 else 40000, kind)).save(folder / f"{k}.png")
    with pytest.raises(DataError, match=f"3 of the {3 + whole} pictures") as error:
        read_folder(tmp_path)
    left_out = ", or leave them out with --skip-broken" * bool(whole)
    assert error.value.fix == f"for each of them: save it with 8 bits a channel{left_out}"


def test_broken_pictures_can_be_left_out(pets: Path) -> None:
    expected = labels(read_folder(pets))
    broken = _break(pets)
    found = read_folder(pets, Reading(skip_broken=True))
    assert labels(found) == expected
    (note,) = found.notes
    assert note.startswith("left out 3 of 8 pictures: ")
    assert all(str(file) in note for file in broken)


def test_the_first_of_many_broken_pictures_are_named(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpucnn.data.pictures._NAMED", 2)
    broken = _break(pets)
    (note,) = read_folder(pets, Reading(skip_broken=True)).notes
    assert note.startswith("left out 3 of 8 pictures: ")
    assert note.endswith("; and 1 more")
    assert sum(str(file) in note for file in broken) == 2
    with pytest.raises(DataError, match="3 of the 8 pictures") as caught:
        read_folder(pets)
    assert str(caught.value.cause).splitlines()[2] == "and 1 more"


def test_broken_pictures_of_parts(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        for label in ("a", "b"):
            for k in range(3):
                save(tmp_path / part / label / f"{k}.png", 10 * k + (label == "b"))
    for file in ("train/a/0.png", "val/b/2.png", "test/a/1.png", "test/b/1.png"):
        (tmp_path / file).write_bytes(b"x")
    found = read_folder(tmp_path, Reading(skip_broken=True))
    values = {part.role: part.images[:, 0, 0, 0].tolist() for part in found.parts}
    assert values == {
        "train": [10, 20, 1, 11, 21],
        "validation": [0, 10, 20, 1, 11],
        "test": [0, 20, 1, 21],
    }
    assert labels(found, "validation") == ["a", "a", "a", "b", "b"]


def test_nothing_but_broken_pictures(tmp_path: Path) -> None:
    for label in "ab":
        save(tmp_path / label / "x.png", 1)
        (tmp_path / label / "x.png").write_bytes(b"x")
    with pytest.raises(DataError, match="2 of the 2 pictures"):
        read_folder(tmp_path, Reading(skip_broken=True))


@pytest.mark.parametrize("folders", [[], ["a"], ["a", "b"], ["train/a", "test/a"]])
def test_no_images(tmp_path: Path, folders: list[str]) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DataError, match="holds no images in subfolders") as error:
        load(tmp_path)
    assert error.value.exit_code == 4
    assert "CLASS/IMAGE.png" in (error.value.fix or "")


def test_an_archive_that_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "digit-recognizer.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="holds no images") as error:
        load(tmp_path)
    assert "digit-recognizer.zip" in (error.value.cause or "")
    assert error.value.fix == "unpack it"


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


def test_a_table_of_pictures(pets: Path) -> None:
    table = pets / "labels.csv"
    table.write_text("filename,label\ncat/0.png,x\ndog/1.png,y\ncat/2.png,x\n")
    splits = load(table, validation=0)
    assert splits.class_names == ["x", "y"]
    assert splits.train.labels is not None
    assert splits.train.labels.tolist() == [0, 1, 0]
    assert splits.train.images[:, 0, 0, 0].tolist() == [0, 10, 20]
    assert splits.train.item(1) == str(pets / "dog/1.png")
    table.write_text("filename,label\ncat/0.png,x\nnone.png,y\ndog/none.png,y\n")
    with pytest.raises(DataError, match="2 of the 3 pictures") as error:
        load(table)
    assert "dog/none.png" in (error.value.cause or "")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["{pets}/cat/1.png", "list/../in.png", "..in.png"], None),
        (["in.png", "../pets/cat/1.png"], "1 picture lies outside of the folder of {list}, such as"
         " ../pets/cat/1.png"),
        (["a/../../pets/cat/1.png", "{pets}/dog/1.png", "{pets}2/in.png"], "3 pictures lie outside"
         " of the folder of {list}, such as a/../../pets/cat/1.png"),
    ],
)  # fmt: skip
def test_pictures_outside_of_the_folder_of_their_list(
    files: list[str], says: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read; a note counts them, for a relative path of the list, too."""
    monkeypatch.chdir(tmp_path)
    inside = says is None
    for name in ("pets/cat/1.png", "pets/dog/1.png", "pets2/in.png"):
        save(tmp_path / name, 9)
    folder = tmp_path if inside else tmp_path / "lists"
    (folder / "a").mkdir(parents=True)
    (folder / "list").mkdir()
    save(folder / "in.png", 3)
    save(folder / "..in.png", 3)
    table = folder / "list.csv"
    table.write_text("\n".join(["file", *(file.format(pets=tmp_path / "pets") for file in files)]))
    for path in (table, table.relative_to(tmp_path)):
        found = read(path, labeled=False)
        assert len(found.images) == len(files)
        assert found.notes == ([] if says is None else [says.format(list=path)])


def test_pictures_converted_as_mnist(tmp_path: Path) -> None:
    """Dark strokes on light paper of several sizes become light ones of 28x28."""
    for label, size in (("0", (60, 80)), ("1", (100, 50))):
        picture = Image.new("L", size, 250)
        picture.paste(10, (20, 10, 30, 40))
        (tmp_path / label).mkdir()
        picture.save(tmp_path / label / "x.png")
    found = read_folder(tmp_path, Reading(convert="mnist"))
    assert found.reading.image_shape == (1, 28, 28)
    assert found.reading.convert == "mnist"
    images: Any = found.parts[0].images
    assert (images[:, 0, 0, 0] == 0).all()
    assert (images.max(axis=(1, 2, 3)) == 255).all()


@pytest.mark.parametrize(
    ("stroke", "ground", "expected"),
    [
        ((0, 0, 0, 255), (0, 0, 0, 0), (0, 255)),
        ((255, 255, 255, 255), (0, 0, 0, 0), (255, 0)),
        ((255, 255, 255, 255), (255, 255, 255, 0), (255, 0)),
        ((250, 250, 250, 255), (255, 255, 255, 0), (250, 0)),
        ((200, 200, 200, 255), (0, 0, 0, 0), (200, 255)),
    ],
)
def test_strokes_on_a_transparent_canvas(
    tmp_path: Path,
    stroke: tuple[int, ...],
    ground: tuple[int, ...],
    expected: tuple[int, int],
) -> None:
    canvas = Image.new("RGBA", (10, 10), ground)
    canvas.paste(stroke, (4, 4, 6, 6))
    for label in "ab":
        (tmp_path / label).mkdir()
        canvas.save(tmp_path / label / "x.png")
    images = read_folder(tmp_path).parts[0].images
    assert (images[0, 0, 5, 5], images[0, 0, 0, 0]) == expected


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a" / "x.png", 1)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match="needs Pillow") as error:
        read_folder(tmp_path)
    assert error.value.fix == 'pip install "gpucnn[image]"'
    assert error.value.exit_code == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("part", ["", "train"])
def test_the_name_of_a_class_is_a_text(tmp_path: Path, part: str) -> None:
    folder = tmp_path / "pets" / part
    save(folder / "cat" / "1.png", 1)
    save(folder / os.fsdecode(b"\xfe") / "1\udcff.png", 1)
    with pytest.raises(DataError, match="is no text in UTF-8") as caught:
        read_folder(tmp_path / "pets")
    assert f"in {folder} is" in caught.value.message
    (folder / "\udcfe").rename(folder / "chien\N{DOG FACE}")
    assert read_folder(tmp_path / "pets").parts[0].images.shape == (2, 1, 4, 6)


@pytest.mark.parametrize("part", ["", "train"])
def test_the_name_of_a_class_is_no_longer_than_a_label(tmp_path: Path, part: str) -> None:
    folder = tmp_path / "pets" / part
    save(folder / "cat" / "1.png", 1)
    save(folder / ("d" * 201) / "1.png", 1)
    with pytest.raises(DataError, match="has 201 characters, where 200 are read at most"):
        read_folder(tmp_path / "pets")
    (folder / ("d" * 201)).rename(folder / ("d" * 200))
    assert len(read_folder(tmp_path / "pets").parts[0].images) == 2
