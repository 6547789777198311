"""The result of a reader, before classes are numbered and images held out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data import storage
from gpucnn.data.labels import Labels
from gpucnn.data.reading import Reading

#: The roles of parts, in their order. "all" is for data without parts.
ROLES = ("all", "train", "validation", "test")
#: The word for a part in the name of a folder, a file or an array -> its role.
ROLE_OF = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "eval"), "validation"),
    **dict.fromkeys(("test", "tests", "testing", "tst"), "test"),
}


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one part of a data set.

    Args:
        role: one of `ROLES`.
        images: uint8 (N, C, H, W).
        labels: as `gpucnn.data.labels.as_labels` returns them, or None.
        where: the file or folder, for messages.
        items: the name of each image; by default `where` and a number.
        ids: the identifiers of the rows of a table, as they are written there.
        id_name: the name of their column.
    """

    role: str
    images: NDArray[np.uint8]
    labels: Labels | None
    where: str
    items: Sequence[str] | None = None
    ids: Sequence[str] | None = None
    id_name: str | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """The result of a reader.

    Args:
        path: the file or folder that was read.
        parts: one for each role.
        reading: the options by which the files became arrays, with those that the reader found.
        noun: the kind of the images in the files: "rows" of a table, "images" of an array,
            "pictures"; or "named", for a data set known by its name.
        said: how they became arrays, in words.
        notes: remarks for the user, a sentence each.
        classes: their names, if the files have them or the data set is known; by default the
            `values`.
        values: the labels in the files, one for each class; by default those that occur.
        label_column: the name of the label's column in a table with a header.
        doubts: name of an image -> what may be wrong with it; it is also in `notes`.
    """

    path: Path
    parts: list[Part]
    reading: Reading
    noun: str
    said: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    classes: list[str] | None = None
    values: list[str] | None = None
    label_column: str | None = None
    doubts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def images(self) -> NDArray[np.uint8]:
        """The images of all parts: uint8 (N, C, H, W)."""
        return storage.concatenate([part.images for part in self.parts])


def words(name: str) -> list[str]:
    """The words and numbers in a name, in small letters: "x_train1" and "xTrain 1" have three."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return re.findall(r"[^\W\d_]+|\d+", parted)
