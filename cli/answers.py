"""The answers of `gpucnn predict` as a table in Kaggle's form."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import UsageError
from gpucnn.writing import storage_errors, write_atomic


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


class AnswerTable:
    """The answers in a file, which is there when all of them are.

    A row has the id of the image's row in a table, the name of a picture, or a number from 1; and
    the label. Only all images together decide which of these it is. Until then the answers lie in
    a file beside `path` that has no name, so the system deletes it whatever happens. Memory does
    not grow with the number of answers.

    Raises:
        StorageError: no file can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._id_names: dict[str | None, str] = {}  # name of a column of ids, or None -> a FILE
        self._files: set[str] = set()
        self._has_pictures = False
        with self._storage_errors():
            self._kept = tempfile.TemporaryFile("w+", encoding="ascii", dir=path.parent)  # noqa: SIM115

    def __enter__(self) -> AnswerTable:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._storage_errors():
            self._kept.close()

    def add(self, image: Input, label: str) -> None:
        """Add the answer to an image.

        Raises:
            UsageError: only some images have ids, or ids have different names.
            StorageError: it cannot be written.
        """
        name, key = image.row or (None, image.name)
        self._id_names[name] = image.file
        if len(self._id_names) > 1:
            shown = [f"those of {file} {name or 'none'}" for name, file in self._id_names.items()]
            raise _cannot_hold(f"their ids differ in kind: {', '.join(shown)}")
        self._files.add(image.file)
        self._has_pictures |= image.is_picture
        with self._storage_errors():
            self._kept.write(json.dumps([key, label]) + "\n")

    def write(self) -> None:
        """Write the file: after a crash it is the old one, or the new one as a whole.

        Raises:
            UsageError: rows of several tables have the same id.
            StorageError: it cannot be written.
        """
        (name,) = self._id_names or (None,)
        rows: Iterable[tuple[str, str]] = self._answers()
        if name is not None:
            if len(self._files) > 1 and not _all_differ(key for key, _ in self._answers()):
                raise _cannot_hold("several of them have the same id")
            header = name, "Label" if name[:1].isupper() else "label"  # as in ImageId,Label
        elif self._has_pictures:
            header = "filename", "label"
            if _all_differ(Path(key).name for key, _ in self._answers()):
                rows = ((Path(key).name, label) for key, label in rows)
        else:
            header = "ImageId", "Label"
            rows = ((str(number), label) for number, (_, label) in enumerate(rows, 1))
        write_atomic(self._path, _lines(itertools.chain([header], rows)), "--csv FILE")

    def _answers(self) -> Iterator[tuple[str, str]]:
        """The id, or the name, and the label of each image."""
        self._kept.seek(0)
        for line in self._kept:
            key, label = json.loads(line)
            yield key, label

    def _storage_errors(self) -> contextlib.AbstractContextManager[None]:
        return storage_errors(self._path, "--csv FILE")


def _all_differ(keys: Iterable[str]) -> bool:
    seen: set[str] = set()
    for count, key in enumerate(keys, 1):
        seen.add(key)
        if len(seen) < count:
            return False
    return True


def _lines(rows: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """The lines of a CSV file; names and ids get the bytes that they have, in UTF-8 or not."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow(row)
        yield text.getvalue().encode(errors="surrogateescape")
        text.seek(0)
        text.truncate()


def _cannot_hold(cause: str) -> UsageError:
    return UsageError(
        "--csv cannot hold all of these images",
        cause=cause,
        fix="predict on one FILE at a time",
    )
