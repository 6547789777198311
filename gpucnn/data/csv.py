"""CSV tables of images, in the form of Kaggle's "Digit Recognizer".

A line is an image: its label (0..9) if the table has labels, then its pixels (0..255) row by row,
of a square. A header line (``label,pixel0,...``) may come first.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import NoReturn

import numpy as np

from gpucnn.data.dataset import Dataset
from gpucnn.data.files import read_bytes
from gpucnn.errors import DataError

CLASSES = 10
_LINE_FIX = "write a line for each image, separated by commas: label,pixel0,pixel1,..."
_CELL_FIX = f"labels are 0 to {CLASSES - 1} and pixels 0 to 255; correct or remove the line"
_OTHER_MARKS = ((";", "semicolons"), ("\t", "tabs"))
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # spreadsheets put it first


def read_csv(path: Path) -> Dataset:
    """The images of a CSV file, raw or gzip, with labels if it has them.

    Whether it has is told by the number of columns: a square of pixels, or one more.

    Raises:
        DataError: it is no such table; the message names the line.
    """
    content = read_bytes(path).removeprefix(_BYTE_ORDER_MARK)
    if b"\0" in content[:100]:
        raise DataError(
            f"{path} is not a table in UTF-8",
            cause="it has zero bytes, as UTF-16 has and files that are no text",
            fix="save it as CSV in UTF-8",
        )
    with _text(content) as lines:
        first = lines.readline()
        fields = [field.strip().strip('"') for field in first.split(",")]
        header = fields[0].lower() == "label" or not any(map(_is_number, fields))
        filled = not header or any(line.strip() for line in lines)
    if not filled:
        raise DataError(
            f"{path} has no images", cause="it is empty or only a header", fix=_LINE_FIX
        )
    columns = len(fields)
    side = math.isqrt(columns)
    labelled = side * side != columns
    if columns - labelled != side * side or side < 2:
        raise DataError(
            f"{path}, line 1: {columns} columns are neither the pixels of a square image nor a"
            " label and those",
            cause=next(
                (
                    f"columns are separated by {name}"
                    for mark, name in _OTHER_MARKS
                    if mark in first
                ),
                None,
            ),
            fix=_LINE_FIX,
        )
    try:
        with _text(content) as lines:
            table = np.loadtxt(
                lines, np.uint8, comments=None, delimiter=",", skiprows=int(header), ndmin=2
            )
    except ValueError as error:
        _explain(content, path, header, columns, labelled, str(error))
    if table.shape[1] != columns or (labelled and table[:, 0].max() >= CLASSES):
        _explain(content, path, header, columns, labelled, "")
    labels = table[:, 0].astype(np.int32) if labelled else None
    # Contiguous: a copy of bytes, which lets go of the column of labels.
    pixels = np.ascontiguousarray(table[:, int(labelled) :])
    return Dataset(str(path), pixels.reshape(-1, 1, side, side), labels, CLASSES)


def read_labelled(path: Path) -> Dataset:
    """`read_csv` of a table that must have labels."""
    dataset = read_csv(path)
    if dataset.labels is None:
        raise DataError(
            f"{path} has no labels: its {dataset.images[0].size} columns are all pixels",
            fix=_LINE_FIX,
        )
    return dataset


def find_file(directory: Path, name: str) -> Path | None:
    """The CSV file of that name in a directory, or its .gz."""
    for candidate in (name, f"{name}.gz"):
        if (directory / candidate).is_file():
            return directory / candidate
    return None


def _text(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="replace")


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _is_whole(field: str, highest: int) -> bool:
    digits = field.lstrip("0") or field[-1:]
    return digits.isascii() and digits.isdigit() and len(digits) <= 3 and int(digits) <= highest


def _explain(
    content: bytes, path: Path, header: bool, columns: int, labelled: bool, reason: str
) -> NoReturn:
    """Raise the DataError of the first line that is wrong, found by going through it in Python."""
    with _text(content) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip() or (header and number == 1):
                continue
            fields = [field.strip() for field in line.split(",")]
            if len(fields) != columns:
                raise DataError(
                    f"{path}, line {number}: {len(fields)} columns, where line 1 has {columns}",
                    fix="get the file again if it was cut short; every line must be as long",
                )
            for column, field in enumerate(fields):
                is_label = labelled and column == 0
                highest = CLASSES - 1 if is_label else 255
                if not _is_whole(field, highest):
                    what = "label" if is_label else f"pixel {column - labelled}"
                    raise DataError(
                        f"{path}, line {number}: the {what} is {field[:20]!r}, which is no whole"
                        f" number from 0 to {highest}",
                        fix="write the numbers without quotes" if '"' in field else _CELL_FIX,
                    )
    raise DataError(f"{path} is not a table of images", cause=reason, fix=_LINE_FIX)
