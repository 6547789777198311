"""`evaluate` and `predict` read alike: the same answer to every image, on every kind of data."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import idx_bytes, picture_folder, pixel_table
from numpy.typing import NDArray
from selection import slow_except

from gpucnn import data

Image = pytest.importorskip("PIL.Image")

Images = NDArray[np.uint8]


def make(
    shape: tuple[int, ...], classes: int, count: int = 90, dark: bool = False, seed: int = 0
) -> tuple[Images, NDArray[Any]]:
    """Images (N, *shape) of blurred patterns, one a class, under noise; and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    patterns = rng.random((classes, *shape))
    images = 0.5 * patterns[labels] + 0.5 * rng.random((count, *shape))
    images = np.rint(255 * (1 - images if dark else images))
    return images.astype(np.uint8), labels


def _sizes(root: Path) -> Path:
    """Pictures of two sizes."""
    for file in sorted(root.rglob("*.png"))[::2]:
        Image.open(file).resize((20, 25)).save(file)
    return root


def _idx(images: Images, labels: NDArray[Any], prefix: str = "") -> Path:
    for kind, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
        Path(f"{prefix}train-{kind}-ubyte").write_bytes(idx_bytes(array))
    return Path(f"{prefix}train-images-idx3-ubyte")


def _npz(file: str, **arrays: Any) -> Path:
    np.savez(file, **arrays)
    return Path(file)


def _listed(root: Path) -> Path:
    with open("labels.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["label", "filename"])
        for file in sorted(root.rglob("*.*")):
            writer.writerow([f"the {file.parent.name}", file])
    return Path("labels.csv")


def _named(labels: NDArray[Any], names: str) -> list[str]:
    return [names.split()[k] for k in labels]


def _cifar(file: str, classes: int, seed: int) -> Path:
    images, labels = make((3, 32, 32), classes, seed=seed)
    records = [bytes([k]) + image.tobytes() for k, image in zip(labels, images, strict=True)]
    Path(file).write_bytes(b"".join(records))
    return Path(file)


GRAY, COLOR = (28, 28), (16, 20, 3)
DIGITS = "0 1 2 3 4 5 6 7 8 9"
MIXED = "10 9 b A été cat"


def _drawn() -> tuple[Images, NDArray[Any]]:
    """Digits, dark on light."""
    train = data.load("digits").train
    return 255 - train.images[:90, 0], train.labels[:90]


def _gray(classes: int = 10, **options: Any) -> tuple[Images, NDArray[Any]]:
    return make(GRAY, classes, **options)


DATA: dict[str, Callable[[], tuple[Path, list[str]]]] = {
    # Folders of pictures. The first is what failed: dark digits on light, of MNIST's size.
    "folder-dark-digits": lambda: (
        picture_folder("f", (i := _gray(dark=True))[0], _named(i[1], DIGITS)), [],
    ),
    "folder-light-words": lambda: (
        picture_folder("f", (i := _gray(6))[0], _named(i[1], MIXED)), [],
    ),
    "folder-color": lambda: (
        picture_folder("f", (i := make(COLOR, 6))[0], _named(i[1], MIXED), "webp"), [],
    ),
    "folder-scaled": lambda: (
        _sizes(picture_folder("f", (i := _gray(3))[0], _named(i[1], "x y z"))),
        ["--image-size", "14x18"],
    ),
    "folder-converted": lambda: (
        picture_folder("f", (i := _drawn())[0], _named(i[1], DIGITS), "bmp"),
        ["--convert", "mnist"],
    ),
    # Tables.
    "csv-kaggle": lambda: (pixel_table("t.csv", *_gray()), []),
    "csv-label-last": lambda: (pixel_table("t.csv", *_gray(), "px_", label_last=True), []),
    "csv-words": lambda: (
        pixel_table("t.csv", (i := make((8, 8), 6))[0], _named(i[1], MIXED), "p"), [],
    ),
    "csv-headless-last": lambda: (
        pixel_table("t.csv", *_gray(7), "", label_last=True), ["--label-column", "-1"],
    ),
    "csv-color": lambda: (
        pixel_table("t.csv", *make(COLOR, 4)), ["--image-shape", "16x20x3"],
    ),
    # Arrays.
    "npz-gray": lambda: (_npz("a.npz", x=(i := _gray())[0], y=i[1]), []),
    "npz-color-last": lambda: (
        _npz("a.npz", images=(i := make(COLOR, 5))[0], labels=i[1][:, None]), [],
    ),
    "npz-floats": lambda: (
        _npz("a.npz", data=(i := _gray(4))[0].reshape(90, -1) / 255, target=i[1] * 1.0), [],
    ),
    "npz-words": lambda: (
        _npz("a.npz", X=(i := _gray(6))[0], y=np.array(_named(i[1], MIXED))), [],
    ),
    "npz-binary": lambda: (_npz("a.npz", x=(i := _gray(5))[0] > 127, y=np.eye(5)[i[1]]), []),
    # idx files.
    "idx": lambda: (_idx(*_gray()), []),
    "idx-two-classes": lambda: (_idx(*_gray(2, dark=True)), []),
    "idx-swapped-by-name": lambda: (_idx(*_gray(10), "emnist-digits-"), []),
    "idx-swapped-if-said": lambda: (_idx(*make((9, 13), 40)), ["--transpose"]),
    "idx-from-1": lambda: (_idx((i := _gray(26))[0], i[1] + 1, "emnist-letters-"), []),
    # Tables of picture files.
    "list-gray": lambda: (
        _listed(picture_folder("f", (i := _gray(3))[0], _named(i[1], "x y z"))), [],
    ),
    "list-color": lambda: (
        _listed(picture_folder("f", (i := make(COLOR, 6))[0], _named(i[1], MIXED))), [],
    ),
    "list-scaled": lambda: (
        _listed(_sizes(picture_folder("f", (i := _gray(3))[0], _named(i[1], "x y z")))),
        ["--image-size", "12"],
    ),
    "list-converted": lambda: (
        _listed(picture_folder("f", (i := _drawn())[0], _named(i[1], DIGITS))),
        ["--convert", "mnist"],
    ),
    "list-jpeg": lambda: (
        _listed(picture_folder("f", (i := make(COLOR, 2))[0], _named(i[1], "n y"), "jpg")), [],
    ),
    # CIFAR-10's binary files.
    **{
        f"cifar-{classes}": lambda classes=classes: (
            _cifar("data_batch_1.bin", classes, classes), [],
        )
        for classes in (2, 4, 6, 8, 10)
    },
}  # fmt: skip


def _truth(run: Any, path: Path, options: list[str], names: list[str]) -> list[str]:
    """The class of each image in the order of `predict`, by Python's reader."""
    from gpucnn.training import SavedModel

    dataset = SavedModel.load("runs/train-1").dataset(str(path)).dataset
    assert dataset.labels is not None
    return [names[k] for k in dataset.labels]


def _train(run: Any, path: Path, options: list[Any]) -> None:
    usual = ["--model", "softmax", "--epochs", 8, "-b", 16, "--standardise"]
    trained = run("train", "--data", path, *usual, *options)
    assert trained.code == 0, trained.err


QUICK = ("folder-dark-digits", "csv-kaggle", "npz-gray", "idx", "list-converted", "cifar-10")


@pytest.mark.parametrize("kind", slow_except(DATA, *QUICK))
def test_evaluate_and_predict_agree(kind: str, run: Any) -> None:
    path, options = DATA[kind]()
    _train(run, path, options)
    *classes, confusion, end = run("evaluate", "runs/train-1", "--json").events
    assert run("evaluate", "runs/train-1", "--data", path, "--json").events[-1] == end
    predicted = run("predict", "runs/train-1", path, "--top", 1, "--json")
    assert predicted.code == 0, predicted.err
    names = confusion["labels"]
    answers = [event["top"][0]["label"] for event in predicted.events]
    truth = _truth(run, path, options, names)
    assert len(answers) == 90
    right = [answer == label for answer, label in zip(answers, truth, strict=True)]
    assert np.mean(right) == pytest.approx(end["accuracy"], abs=1e-12)
    assert end["accuracy"] > 1.5 / len(set(truth))  # it has learned something to agree on
    counted = np.zeros((len(names), len(names)), int)
    for label, answer in zip(truth, answers, strict=True):
        counted[names.index(label), names.index(answer)] += 1
    assert counted.tolist() == confusion["matrix"]
    for score in classes:
        column = [answer == score["label"] for answer in answers]
        hits = sum(hit and ok for hit, ok in zip(column, right, strict=True))
        assert score["images"] == truth.count(score["label"])
        if any(column):
            assert score["precision"] == pytest.approx(hits / sum(column))
        if score["images"]:
            assert score["recall"] == pytest.approx(hits / score["images"])


@pytest.mark.parametrize(
    "kind", slow_except([kind for kind in DATA if kind.startswith("folder")], "folder-dark-digits")
)
def test_pictures_one_by_one(kind: str, run: Any) -> None:
    """The files of a folder named each by each, and by their own truth: the name of the folder."""
    path, options = DATA[kind]()
    _train(run, path, options)
    end = run("evaluate", "runs/train-1", "--json").events[-1]
    files = sorted(path.rglob("*.*"))
    events = run("predict", "runs/train-1", *files, "--top", 1, "--json").events
    right = [
        event["top"][0]["label"] == file.parent.name
        for event, file in zip(events, files, strict=True)
    ]
    assert [event["file"] for event in events] == [str(file) for file in files]
    assert np.mean(right) == pytest.approx(end["accuracy"], abs=1e-12)
