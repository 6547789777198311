"""From what ``--data`` says, a name or a path, to a data set cut for training."""

from __future__ import annotations

import difflib
import numbers
import os
from pathlib import Path

from gpucnn.data import csv, folder, idx, npz, sources
from gpucnn.data.dataset import Dataset, Splits, hold_out
from gpucnn.data.digits import load_digits
from gpucnn.data.files import describe
from gpucnn.errors import DataError, UsageError

NAMES = (*sources.SOURCES, "digits")
_KINDS = (
    "give an .npz, a .csv (or .csv.gz), an idx file of images named like train-images-idx3-ubyte,"
    " or a folder"
)
_VALIDATION = {"mnist": 5000, "fashion-mnist": 5000, "digits": 0}


def load(
    name_or_path: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    validation: int | None = None,
) -> Splits:
    """The training, validation and test images of a data set.

    Args:
        name_or_path: ``mnist``, ``fashion-mnist`` or ``digits``; or a path:

            - a folder with the four idx files of MNIST's form, or the path of a file of images that
              has its labels beside it (labels 0..9; raw or gzip);
            - a CSV file, or a folder with ``train.csv`` and perhaps ``test.csv`` (labels 0..9; a
              header and the labels of the test set are optional; raw or gzip);
            - an ``.npz`` file (any number of classes; see `read_npz`);
            - a folder of images by class, which may be split into ``train``, ``val`` and ``test``
              (needs Pillow; see `read_folder`).
        data_dir: for a named data set, the only place to look in (default: ``$GPUCNN_DATA_DIR``,
            else the user's cache directory, and then a download). `digits` comes with gpucnn. With
            a path, only what ``$GPUCNN_DATA_DIR`` says already may be given.
        validation: how many training images to hold out, the same ones whatever a run's seed.
            Default: 5,000 of mnist and fashion-mnist, 0 of digits, a tenth of what a path gives.

    Raises:
        DataError: the data are missing, damaged, or of a form that is not understood.
        UsageError: `validation` is no whole number or does not leave anything to train on; the
            name is empty; or a path and `data_dir` are given.
        MissingExtraError: a folder of images, and Pillow is not installed.
        StorageError: a download cannot be written.
    """
    name = os.fspath(name_or_path)
    if not name:
        raise UsageError("the data set has no name", fix=f"give {', '.join(NAMES)}, or a path")
    if validation is not None and not isinstance(validation, numbers.Integral):
        raise UsageError(
            f"validation is {validation!r}", fix="give a number of images: a whole number, or 0"
        )
    held: Dataset | None = None
    test: Dataset | None
    if name in sources.SOURCES:
        train, test = sources.read(name, data_dir)
    elif name == "digits":
        train, test = load_digits()
    else:
        try:
            path = Path(os.path.expanduser(name))
            if data_dir and path.exists() and not _of_environment(data_dir):
                raise UsageError(
                    f"the data set is {name}, a path, and data_dir {os.fspath(data_dir)} is where"
                    " to look for one given by name",
                    fix=f"leave --data-dir out, or give {' or '.join(sources.SOURCES)} as --data",
                )
            train, held, test = _read_path(path)
        except OSError as error:
            raise DataError(
                f"{name} cannot be read",
                cause=describe(error),
                fix="check its name and permissions",
            ) from error
    for part in (held, test):
        if part is not None and part.image_shape != train.image_shape:
            raise DataError(
                f"{part.name}: its images are {part.image_shape} (C, H, W), those to train on"
                f" {train.image_shape}",
                fix="scale all images to one size, all of them gray or all in colour",
            )
    if held is not None:
        if validation is not None:
            raise UsageError(
                f"validation is {validation}, but {name} has a validation set of its own",
                fix="leave --validation out",
            )
        return Splits(train, held, test)
    count = _VALIDATION.get(name, len(train) // 10) if validation is None else validation
    train, held = hold_out(train, count)
    return Splits(train, held, test)


def _of_environment(data_dir: str | os.PathLike[str]) -> bool:
    """Whether a `data_dir` is ``$GPUCNN_DATA_DIR``, which callers may hand on as they find it."""
    environment = os.environ.get("GPUCNN_DATA_DIR")
    given, found = (
        os.path.abspath(os.path.expanduser(each)) for each in (data_dir, environment or "")
    )
    return bool(environment) and given == found


def _read_path(path: Path) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """(training, validation or None, test or None)."""
    if path.is_dir():
        return _read_directory(path)
    if not path.exists():
        close = difflib.get_close_matches(str(path), NAMES, n=1)
        raise DataError(
            f"{path} is neither a data set nor a file or folder",
            fix=f"give {', '.join(NAMES)}, or a path"
            + (f"; did you mean {close[0]}?" if close else ""),
        )
    name = path.name.lower()
    if name.endswith(".npz"):
        train, test = npz.read_npz(path)
        return train, None, test
    if name.removesuffix(".gz").endswith(".csv"):
        return csv.read_labelled(path), None, None
    if "images" in name or "idx3" in name:
        return idx.read_pair(path), None, None
    raise DataError(f"{path} is not a kind of file that holds a data set", fix=_KINDS)


def _read_directory(path: Path) -> tuple[Dataset, Dataset | None, Dataset | None]:
    if (images := idx.find_file(path, idx.TRAIN[0])) is not None:
        test = idx.find_file(path, idx.TEST[0])
        return idx.read_pair(images), None, None if test is None else idx.read_pair(test)
    if (table := csv.find_file(path, "train.csv")) is not None:
        train = csv.read_labelled(table)
        test_table = csv.find_file(path, "test.csv")
        return train, None, None if test_table is None else csv.read_csv(test_table)
    return folder.read_folder(path)
