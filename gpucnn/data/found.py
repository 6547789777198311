"""What a reader finds at a path, before classes are numbered and images held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.labels import Labels
from gpucnn.data.reading import Reading

#: The parts that data may have, in their order. "all" is what has no parts of its own.
ROLES = ("all", "train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Part:
    """Images that are for one purpose.

    Args:
        role: one of `ROLES`.
        images: uint8 (N, C, H, W).
        labels: as `gpucnn.data.labels.as_labels` gives them; None where there are none.
        where: the file or folder, for messages.
        items: what each image is called; by default `where` and a number.
        ids: what tells the rows of a table from each other, as it is written there.
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
    """What a reader finds.

    Args:
        path: what was read.
        parts: one for each role that there is.
        reading: how the files became arrays, with all that was found out.
        noun: what the images are in the files: "rows" of a table, "images" of an array,
            "pictures"; or "named", of a data set known by its name.
        said: how they became arrays, in words.
        notes: what else the user should know, a sentence each.
        classes: their names where the files, or what is known of them, say them; by default the
            `values`.
        values: the labels in the files, one for each class; by default those that there are.
        label_column: the name of the label's column in a table with a header.
        doubts: what may be wrong with some images, by what they are called; `notes` has it too.
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
        """Those of all parts: uint8 (N, C, H, W)."""
        return np.concatenate([part.images for part in self.parts])
