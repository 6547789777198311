"""Tables: CSV and TSV files with a row for each image, as spreadsheets, pandas, R and Kaggle write.

A row holds the pixels of an image, or the name of a picture file, and perhaps its label. What each
column is, `gpucnn.data.columns` tells by the header. Cells are separated by commas, semicolons,
tabs or spaces, and may be quoted; numbers may be written 9, 9.0 or 9.000e+00.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.columns import Columns, is_number, understand
from gpucnn.data.files import read_bytes
from gpucnn.data.labels import Labels, as_labels
from gpucnn.errors import DataError

SUFFIXES = (".csv", ".tsv")
_NAME = re.compile(
    r"(?P<set>(.*[-_. ])?)(?P<role>train|val|valid|validation|test)\.(csv|tsv)(\.gz)?",
    re.IGNORECASE,
)
_ROLES = {"train": "train", "test": "test"} | dict.fromkeys(
    ("val", "valid", "validation"), "validation"
)
_SAMPLE = 1000  # rows that are looked at to tell what the columns are
_WIDEST = 100  # characters of a label, or of an id
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LINE_FIX = "write a line for each image, separated by commas: label,pixel0,pixel1,..."


@dataclass(frozen=True, eq=False)
class Table:
    """What a table holds.

    Args:
        columns: what the columns are.
        pixels: numbers (N, P), uint8 where they are written as such; or None.
        files: the name of each row's picture; or None.
        labels: as `gpucnn.data.labels.as_labels` gives them; or None.
        ids: what tells the rows from each other, as it is written; or None.
    """

    columns: Columns
    pixels: NDArray[Any] | None
    files: list[str] | None
    labels: Labels | None
    ids: list[str] | None


def read_table(path: Path, label_column: str | None = None, pixels: int | None = None) -> Table:
    """The rows of a table, raw or gzip.

    Args:
        path: the file.
        label_column: what the user says of it: see `gpucnn.data.columns.understand`.
        pixels: how many an image has, if that is known.

    Raises:
        DataError: it is no such table, or it cannot be told with certainty what its columns are;
            the message names the line, or the option that says it.
    """
    lines = _lines(read_bytes(path), path)
    start = next((k for k, line in enumerate(lines) if _is_filled(line) and line[0] != "#"), None)
    if start is None:
        raise DataError(f"{path} has no images", cause="it is empty", fix=_LINE_FIX)
    separator = _separator(lines[start])
    filled = filter(_is_filled, islice(lines, start, None))
    rows = list(islice(_cells(filled, separator), _SAMPLE))
    columns = understand(rows, str(path), label_column, pixels)
    body = [k for k in range(start + columns.header, len(lines)) if _is_filled(lines[k])]
    if not body:
        raise DataError(f"{path} has no images", cause="it is only a header", fix=_LINE_FIX)
    found = _parse([lines[k] for k in body], columns, separator)
    if found is None:
        _explain(lines, body, path, columns, separator)
    numbers = None
    if columns.pixels:
        numbers = _merged(found, columns.pixels)
        if (wrong := _first_wrong(numbers)) is not None:
            row, number = wrong
            _refuse_pixel(lines, body[row], number, path, columns, separator)
    labels = None
    if columns.label is not None:
        labels = as_labels(found[columns.label], str(path), lambda row: f"line {body[row] + 1}")
    files, ids = (
        None if place is None else found[place].tolist() for place in (columns.file, columns.ids)
    )
    return Table(columns, numbers, files, labels, ids)


def find_tables(directory: Path) -> dict[str, dict[str, Path]]:
    """The tables to train on in a directory, and those beside them: data set -> role -> file.

    ``train.csv`` goes with ``val.csv`` and ``test.csv``, ``sign_train.csv`` with ``sign_test.csv``.
    """
    sets: dict[str, dict[str, Path]] = {}
    for file in sorted(directory.iterdir()):
        if (found := _NAME.fullmatch(file.name)) and file.is_file():
            sets.setdefault(found["set"], {}).setdefault(_ROLES[found["role"].lower()], file)
    return {name: files for name, files in sets.items() if "train" in files}


def _lines(content: bytes, path: Path) -> list[str]:
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if encoding is None and b"\0" in content[:100]:  # UTF-16 of plain letters, without its mark
        halves = content[0:100:2], content[1:100:2]
        if set(halves[1]) == {0} or set(halves[0]) == {0}:
            encoding = "utf-16-le" if set(halves[1]) == {0} else "utf-16-be"
        else:
            raise DataError(
                f"{path} is no table", cause="it has zero bytes, which text has not", fix=_LINE_FIX
            )
    text = content.decode(encoding or "utf-8", errors="replace")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


def _is_filled(line: str) -> bool:
    return bool(line) and not line.isspace()


def _separator(line: str) -> str:
    counts = {mark: line.count(mark) for mark in (",", ";", "\t")}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else " " if len(line.split()) > 1 else ","


def _cells(lines: Any, separator: str) -> Any:
    if separator == " ":
        return (line.split() for line in lines)
    return csv.reader(lines, delimiter=separator, skipinitialspace=True)


def _parse(body: list[str], columns: Columns, separator: str) -> dict[int, NDArray[Any]] | None:
    """Column by its place -> its cells: text, or for the first of some pixels all of them (N, P).

    None if a row has another number of columns, or a pixel is no number.
    """
    pixels, text = set(columns.pixels), {columns.label, columns.ids, columns.file}
    width = len(columns.names)
    for number in (np.uint8, np.float64):
        fields: list[Any] = []
        for place in range(width + columns.blank):
            is_pixel = place in pixels
            if is_pixel and place - 1 in pixels:
                first, kind, count = fields[-1]
                fields[-1] = (first, kind, (count[0] + 1,))
            elif is_pixel:
                fields.append((f"{place}", number, (1,)))
            else:
                fields.append((f"{place}", f"U{_WIDEST if place in text else 1}"))
        try:
            table = np.loadtxt(
                body,
                np.dtype(fields),
                comments=None,
                delimiter=None if separator == " " else separator,
                quotechar='"',
                ndmin=1,
            )
        except ValueError:
            continue
        return {int(name): table[name] for name in table.dtype.names or ()}
    return None


def _merged(found: dict[int, NDArray[Any]], pixels: Any) -> NDArray[Any]:
    """The pixels in their order, (N, P), C-contiguous."""
    runs = [np.asarray(found[place]) for place in sorted(found) if place in set(pixels)]
    array = runs[0] if len(runs) == 1 else np.concatenate(runs, axis=1)
    if list(pixels) != sorted(pixels):
        array = array[:, np.argsort(np.argsort(pixels))]
    return np.ascontiguousarray(array)


def _first_wrong(pixels: NDArray[Any]) -> tuple[int, int] | None:
    """(row, pixel) of the first number that is no pixel: neither 0 to 255 nor 0 to 1."""
    if pixels.dtype == np.uint8:
        return None
    wrong = ~((pixels >= 0) & (pixels <= 255))  # NaN as well
    if not wrong.any():
        broken, large = pixels != np.rint(pixels), pixels > 1
        if not (broken.any() and large.any()):
            return None
        wrong = broken if broken.sum() <= large.sum() else large  # the fewer are the mistake
    row, number = np.argwhere(wrong)[0]
    return int(row), int(number)


def _explain(
    lines: list[str], body: list[int], path: Path, columns: Columns, separator: str
) -> NoReturn:
    """Raise the DataError of the first line that is wrong, found by going through it in Python."""
    width = len(columns.names) + columns.blank
    for line in body:
        fields = next(_cells([lines[line]], separator))
        if len(fields) != width:
            raise DataError(
                f"{path}, line {line + 1}: {len(fields)} columns, where line"
                f" {body[0] + 1 - columns.header} has {width}",
                fix="get the file again if it was cut short; every line must be as long",
            )
        for number, place in enumerate(columns.pixels):
            if not is_number(fields[place]):
                _refuse_pixel(lines, line, number, path, columns, separator)
    raise DataError(f"{path} is not a table of images", fix=_LINE_FIX)


def _refuse_pixel(
    lines: list[str], line: int, number: int, path: Path, columns: Columns, separator: str
) -> NoReturn:
    place = columns.pixels[number]
    cell = next(_cells([lines[line]], separator))[place].strip()
    column = f" (column `{columns.names[place]}`)" if columns.header else ""
    raise DataError(
        f"{path}, line {line + 1}: the pixel {number}{column} is {cell[:20]!r}, which is no whole"
        " number from 0 to 255",
        fix="pixels are 0 to 255, or all of them 0 to 1; correct or remove the line",
    )
