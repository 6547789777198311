"""`load`: from a name or a path, as ``--data`` takes it, to a data set split for training."""

from __future__ import annotations

import numbers
import os
from pathlib import Path

import numpy as np

from gpucnn.data import sources
from gpucnn.data.dataset import Dataset
from gpucnn.data.digits import load_digits
from gpucnn.data.found import ROLES, Found, Part
from gpucnn.data.gzip_files import unreadable
from gpucnn.data.labels import class_ids, class_names, different, is_plain, listing
from gpucnn.data.pixels import doubts_of_scale
from gpucnn.data.reading import Reading
from gpucnn.data.resolve import read
from gpucnn.data.splits import Splits, hold_out
from gpucnn.errors import DataError, GpucnnError, UsageError, expect

NAMES = (*sources.SOURCES, "digits")
_VALIDATION = {"mnist": 5000, "fashion-mnist": 5000, "digits": 0}


def load(
    name_or_path: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    validation: int | None = None,
    reading: Reading | None = None,
) -> Splits:
    """The training, validation and test images of a data set.

    Images that take more than an eighth of the memory (and 64 MB) lie in a file that is mapped;
    they are read-only.

    Args:
        name_or_path: ``mnist``, ``fashion-mnist`` or ``digits``; or a path:

            - a folder with idx files of MNIST's form (EMNIST, QMNIST, KMNIST), or the path of a
              file of images that has its labels beside it (raw or gzip);
            - a CSV file, or a folder with ``train.csv`` and perhaps ``val.csv`` and ``test.csv``
              (see `gpucnn.data.csv`; raw or gzip);
            - an ``.npz`` file (see `read_npz`);
            - a folder of pictures by class, which may be split into ``train``, ``val`` and ``test``
              (see `read_folder`), or a CSV file that lists pictures and labels (needs Pillow);
            - CIFAR-10's binary files, or the folder that has them.
        data_dir: for a named data set, the only place to look in (default: ``$GPUCNN_DATA_DIR``,
            else the user's cache directory, and then a download). `digits` comes with gpucnn. With
            a path, only what ``$GPUCNN_DATA_DIR`` says already may be given.
        validation: how many training images to hold out, the same ones whatever a run's seed.
            Default: 5,000 of mnist and fashion-mnist, 0 of digits, a tenth of what a path gives.
        reading: options for reading the files.

    Raises:
        DataError: the data are missing or damaged, their form is not certain, or they have no
            labels or only one class to train on.
        UsageError: `validation` is no whole number or leaves nothing to train on; the name is
            empty; or a path and `data_dir` are given.
        MissingExtraError: a folder of images, and Pillow is not installed.
        StorageError: a download cannot be written.
    """
    if validation is not None and not isinstance(validation, numbers.Integral):
        raise UsageError(
            f"validation is {validation!r}", fix="give a number of images: a whole number, or 0"
        )
    fix = f"give {', '.join(NAMES)}, or a path"
    expect(name_or_path, (str, os.PathLike), "the data set", fix)
    name = os.fspath(name_or_path)
    found = find(name, data_dir, reading)
    parts = datasets(found, name)
    _refuse_untrainable(found, parts)
    splits = cut(parts, name, validation)
    held = splits.get("validation") if "validation" not in parts else None
    text = describe_data(found, parts, held)
    notes = [*found.notes, *_doubts(parts)]
    train = splits.pop("train")
    return Splits(train, splits.get("validation"), splits.get("test"), found.reading, text, notes)


def find(
    name: str | Path,
    data_dir: str | os.PathLike[str] | None = None,
    reading: Reading | None = None,
    known: Reading | None = None,
    labeled: bool = True,
) -> Found:
    """The contents of a data set, before images are held out. See `load` for more.

    Args:
        name: of a data set, or a path; a `Path` is never a name.
        reading: options given by the user.
        known: options from elsewhere, as from a run; those in `reading` replace them.
        labeled: whether labels are needed.

    Raises:
        UsageError: also for an option in `reading` that does not apply to this kind of data.
    """
    reading = Reading() if reading is None else reading
    if not isinstance(reading, Reading):
        raise UsageError(
            f"reading is a {type(reading).__name__}",
            fix="give a gpucnn.data.Reading, as in Reading(image_size=(32, 32))",
        )
    if not str(name):
        raise UsageError("the data set has no name", fix=f"give {', '.join(NAMES)}, or a path")
    if name in NAMES:
        found = _named(str(name), data_dir, reading)
    else:
        path = Path(os.path.expanduser(name))
        if data_dir and os.path.exists(path) and not _of_environment(data_dir):
            raise UsageError(
                f"the data set is {name}, a path, and data_dir {os.fspath(data_dir)} is where"
                " to look for one given by name",
                fix=f"leave --data-dir out, or give {' or '.join(sources.SOURCES)} as --data",
            )
        try:
            found = read(path, reading.over(known) if known else reading, labeled, str(name))
        except OSError as error:
            raise unreadable(path, error) from error
        if found.noun != "pictures":
            for part in found.parts:
                found.notes.extend(doubts_of_scale(part.images, part.where))
    reading.refuse_unused(found.noun, str(name))
    return found


def cut(parts: dict[str, Dataset], name: str, validation: int | None) -> dict[str, Dataset]:
    """The parts "train", "validation" and "test" of a data set, if it has them.

    Images are held out for validation if it has no part for that.

    Args:
        parts: the result of `datasets`.
        name: of the data set.
        validation: the number of images to hold out; the default is that of `load`.

    Raises:
        UsageError: it has a part for validation, or too few images to hold so many out.
    """
    splits = {"train" if role == "all" else role: dataset for role, dataset in parts.items()}
    if "validation" in splits:
        if validation is not None:
            raise UsageError(
                f"validation is {validation}, but {name} has a validation set of its own",
                fix="leave --validation out",
            )
    elif "train" in splits:
        train = splits["train"]
        count = _VALIDATION.get(name, len(train) // 10) if validation is None else validation
        splits["train"], held = hold_out(train, int(count))
        if held is not None:
            splits["validation"] = held
    return splits


def datasets(found: Found, name: str) -> dict[str, Dataset]:
    """Role -> data set, with class ids for labels."""
    labels = [part.labels for part in found.parts if part.labels is not None]
    values = found.values or found.classes or class_names(labels)
    names = found.classes or values
    # Labels that are numbers without names: a model may have names for them.
    numbered = names == values and all(map(is_plain, values))
    return {
        part.role: Dataset(
            name if len(found.parts) == 1 else part.where,
            part.images,
            None if part.labels is None else class_ids(part.labels, values, part.where),
            len(names),
            names,
            values,
            part.items,
            part.ids,
            numbered=numbered,
        )
        for part in sorted(found.parts, key=lambda part: ROLES.index(part.role))
    }


def _named(name: str, data_dir: str | os.PathLike[str] | None, reading: Reading) -> Found:
    notes = []
    if os.path.exists(name):
        notes.append(f"{name} is the data set of that name; what lies here is ./{name}")
    if name == "digits":
        train, test = load_digits()
        convert: str | None = "mnist"
    else:
        try:
            train, test = sources.read(name, data_dir)
        except GpucnnError as error:
            error.fix = "; ".join([*filter(None, [error.fix]), *notes])
            raise
        convert = sources.get(name).convert
    parts = []
    for role, dataset in (("train", train), ("test", test)):
        assert dataset.labels is not None
        parts.append(Part(role, dataset.images, dataset.labels.astype(np.int32), name))
    known = Reading(image_shape=(1, 28, 28), convert=reading.convert or convert)
    values = [str(number) for number in range(train.classes)]
    return Found(Path(name), parts, known, "named", [], notes, train.class_names, values)


def _refuse_untrainable(found: Found, parts: dict[str, Dataset]) -> None:
    """Raise a DataError for data without training images, labels or a second class."""
    train = parts.get("all", parts.get("train"))
    if train is None:
        raise DataError(
            f"{found.path} has {' and '.join(parts)} images, and none to train on",
            fix="give data with a training part, named train",
        )
    if train.labels is None:
        fix = "put the images of each class in a folder of its own: CLASS/IMAGE.png"
        if found.noun == "rows":
            fix = "give a table with a column of labels, by a name such as label, or --label-column"
        elif found.noun == "images":
            fix = "save the labels beside the images: np.savez(FILE, x=images, y=labels)"
        kind = f"its rows have {train.images[0].size} pixels{' and an id' * bool(train.ids)}"
        raise DataError(
            f"{train.name} has no labels" + (f": {kind}" if found.noun == "rows" else ""), fix=fix
        )
    if len(_used(train)) < 2 and len(train):
        only = train.class_names[train.labels[0]]
        raise DataError(
            f"{train.name} has one class only: all of its {len(train):,} labels are {only}",
            cause="there is nothing to tell apart",
            fix="give images of at least two classes, or say which column is the label:"
            " --label-column"
            if found.noun == "rows"
            else "give images of at least two classes",
        )


def describe_data(found: Found, parts: dict[str, Dataset], held: Dataset | None = None) -> str:
    """A sentence about the data and how they were read.

    Args:
        found: the result of `find`.
        parts: the result of `datasets`.
        held: the images that were held out of them.
    """
    whole = next(iter(parts.values()))
    noun = found.noun if found.noun in ("rows", "pictures") else "images"
    text = f"{len(whole):,} {noun} of {found.path.name or found.path}: "
    pieces = []
    if found.label_column:
        pieces.append(f"label column `{found.label_column}`")
    pieces.append(_classes(parts) if whole.labels is not None else "no labels")
    pieces += found.said
    shape = "x".join(map(str, whole.image_shape))
    if not any(shape in words for words in found.said):
        pieces.append(shape)
    if held is not None:
        percent = 100 * len(held) / len(whole)
        pieces.append(f"{f'{percent:.0f} %' if percent % 1 < 0.05 else f'{len(held):,}'} held out")
    for role, part in list(parts.items())[1:]:
        pieces.append(f"{len(part):,} for {role}{' without labels' * (part.labels is None)}")
    return text + ", ".join(pieces)


def _classes(parts: dict[str, Dataset]) -> str:
    used = _used(*parts.values())
    names = next(iter(parts.values())).class_names
    absent = [name for place, name in enumerate(names) if place not in used]
    text = f"{len(names)} classes {listing(names)}"
    return f"{text} ({listing(absent)} without images)" if absent else text


def _used(*parts: Dataset) -> set[int]:
    """The class ids of the images of some parts."""
    return {k for part in parts if part.labels is not None for k in different(part.labels)}


def _doubts(parts: dict[str, Dataset]) -> list[str]:
    """Notes on training data that can be read but look wrong."""
    train = parts["all"] if "all" in parts else parts["train"]
    notes = []
    trained, others = _used(train), _used(*parts.values())
    if others - trained:
        names = [train.class_names[place] for place in sorted(others - trained)]
        notes.append(f"classes without images to train on: {listing(names)}")
    if len(train) >= 20 and 2 * len(trained) > len(train):
        notes.append(f"{len(train):,} images have {len(trained):,} classes: are these the labels?")
    return notes


def _of_environment(data_dir: str | os.PathLike[str]) -> bool:
    """Whether a `data_dir` is the value of ``$GPUCNN_DATA_DIR``, which callers may pass on."""
    environment = os.environ.get("GPUCNN_DATA_DIR")
    given, there = (
        os.path.abspath(os.path.expanduser(each)) for each in (data_dir, environment or "")
    )
    return bool(environment) and given == there
