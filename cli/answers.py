"""The answers of `gpucnn predict` as a table in Kaggle's form."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import UsageError


class Input(NamedTuple):
    """An image as the model gets it.

    Attributes:
        name: its name in the output.
        file: its argument on the command line.
        stem: of its file, with the folders below the common folder of all files.
        number: of the image in its file; None if that has only one.
        image: uint8 (C, H, W).
        row: (name of the column, value) of the identifier of its row in a table, or None.
        is_picture: whether it is a picture, not a row or an array.
        doubts: what may be wrong with it.
    """

    name: str
    file: str
    stem: str
    number: int | None
    image: NDArray[np.uint8]
    row: tuple[str, str] | None
    is_picture: bool
    doubts: list[str]


Answer = tuple[Input, list[dict[str, Any]]]  # the image, and its classes as `classify` gives them


def submission(answers: list[Answer]) -> str:
    """The text of the table: ids of rows, names of pictures, or numbers from 1; and labels.

    Raises:
        UsageError: only some images have ids, or ids have different names, or two are equal.
    """
    images = [image for image, _ in answers]
    if any(image.row for image in images):
        header, keys = _ids(images)
    elif any(image.is_picture for image in images):
        header = ("filename", "label")
        names = [Path(image.name).name for image in images]
        keys = names if len(set(names)) == len(names) else [image.name for image in images]
    else:
        header = ("ImageId", "Label")
        keys = [str(number) for number in range(1, len(images) + 1)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    labels = [classes[0]["label"] for _, classes in answers]
    writer.writerows(zip(keys, labels, strict=True))
    return text.getvalue()


def _ids(images: list[Input]) -> tuple[tuple[str, str], list[str]]:
    """The header, and the id of each image."""
    names = {image.row[0] if image.row else None: image.file for image in images}
    keys = [image.row[1] for image in images if image.row]
    several = len({image.file for image in images}) > 1
    if len(names) > 1 or (several and len(set(keys)) < len(keys)):
        shown = [f"those of {file} {name or 'none'}" for name, file in names.items()]
        raise UsageError(
            "--csv cannot hold all of these images",
            cause=f"their ids differ in kind: {', '.join(shown)}"
            if len(names) > 1
            else "several of them have the same id",
            fix="predict on one FILE at a time",
        )
    (name,) = names
    assert name is not None
    return (name, "Label" if name[:1].isupper() else "label"), keys  # as in ImageId,Label
