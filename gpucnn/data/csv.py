"""Tables: CSV and TSV files with a row for each image, as spreadsheets, pandas, R and Kaggle write.

A row has the pixels of an image, or the name of a picture file, and perhaps its label;
`gpucnn.data.columns` finds the meaning of the columns. Cells are separated by commas, semicolons,
tabs or spaces, and may be quoted; numbers may be written 9, 9.0 or 9.000e+00.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.columns import Columns, Known, refuse_doubtful, understand
from gpucnn.data.files import Content, read_bytes
from gpucnn.data.header import is_header, is_number
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
_SAMPLE = 1000  # rows that decide the meaning of the columns
_WIDEST = 100  # characters of a cell that NumPy reads; wider cells are read again
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LINE_FIX = "write a line for each image, separated by commas: label,pixel0,pixel1,..."


@dataclass(frozen=True, eq=False)
class Table:
    """The contents of a table.

    Args:
        columns: the meaning of the columns.
        pixels: numbers (N, P), uint8 if they are written as such; or None.
        files: the name of each row's picture; or None.
        labels: as `gpucnn.data.labels.as_labels` returns them; or None.
        ids: the identifiers of the rows, as they are written; or None.
    """

    columns: Columns
    pixels: NDArray[Any] | None
    files: list[str] | None
    labels: Labels | None
    ids: list[str] | None


@dataclass(frozen=True, eq=False)
class _Lines:
    """The text of a table.

    Args:
        path: of the file.
        lines: all of them.
        filled: the numbers, counted from 0, of those that hold rows.
        separator: of the cells.
    """

    path: Path
    lines: list[str]
    filled: list[int]
    separator: str

    def cells(self, numbers: Iterable[int]) -> Iterator[list[str]]:
        """The cells of lines, by their numbers."""
        chosen = (self.lines[number] for number in numbers)
        if self.separator == " ":
            return (line.split() for line in chosen)
        return csv.reader(chosen, delimiter=self.separator, skipinitialspace=True)

    def of(self, number: int) -> list[str]:
        """The cells of one line."""
        return next(self.cells([number]))


def read_table(path: Path, known: Known | None = None) -> Table:
    """The rows of a table, raw or gzip.

    Args:
        path: the file.
        known: facts that are known before.

    Raises:
        DataError: it is no such table, or the meaning of its columns is not certain; the message
            names the line, or the option that decides it.
    """
    known = known or Known()
    text = _lines(path)
    rows = list(text.cells(islice(text.filled, _SAMPLE)))
    columns = understand(rows, str(path), known)
    body = text.filled[columns.header :]
    if not body:
        raise DataError(f"{path} has no images", cause="it is only a header", fix=_LINE_FIX)
    found = _parse(text, body, columns)
    if found is None:
        _explain(text, body, columns)
    pixels = None
    if columns.pixels:
        pixels = _merged(found, columns.pixels)
        if (wrong := _first_wrong(pixels)) is not None:
            _refuse_pixel(text, body[wrong[0]], wrong[1], columns)
    texts = {
        place: _text(found[place], text, body, place)
        for place in (columns.label, columns.ids, columns.file)
        if place is not None
    }
    labels = None
    if columns.label is not None and known.labeled:
        cells = np.array(texts[columns.label])
        if columns.guessed and pixels is not None:
            last = [f"{number:g}" for number in np.unique(pixels[:, -1])]
            refuse_doubtful([cell.strip() for cell in texts[columns.label]], last, str(path))
        labels = as_labels(cells, str(path), lambda row: f"line {body[row] + 1}")
    files, ids = (None if place is None else texts[place] for place in (columns.file, columns.ids))
    return Table(columns, pixels, files, labels, ids)


def find_tables(directory: Path) -> dict[str, dict[str, Path]]:
    """The tables to train on in a directory, and those beside them: data set -> role -> file.

    ``train.csv`` goes with ``val.csv`` and ``test.csv``, ``sign_train.csv`` with ``sign_test.csv``.
    """
    sets: dict[str, dict[str, Path]] = {}
    for file in sorted(directory.iterdir()):
        if (found := _NAME.fullmatch(file.name)) and file.is_file():
            sets.setdefault(found["set"], {}).setdefault(_ROLES[found["role"].lower()], file)
    return {name: files for name, files in sets.items() if "train" in files}


def _lines(path: Path) -> _Lines:
    """The lines of a table with its rows; a header in a comment becomes one of them."""
    lines = _decoded(read_bytes(path), path).split("\n")
    filled = [k for k, line in enumerate(lines) if line and not line.isspace()]
    separator = None
    if filled and (excel := re.fullmatch(r"sep=(.)", lines[filled[0]].strip())):
        separator, filled = excel[1], filled[1:]
    comments = 0
    while comments < len(filled) and lines[filled[comments]].startswith("#"):
        comments += 1
    if comments == len(filled):
        raise DataError(f"{path} has no images", cause="it is empty", fix=_LINE_FIX)
    first = filled[comments]
    separator = separator or _separator(lines[first])
    lines = _plain(lines, filled, separator, path)
    text = _with_points(_Lines(path, lines, filled[comments:], separator))
    if comments:  # as np.savetxt writes a header
        last = filled[comments - 1]
        lines[last] = lines[last].lstrip("# ")
        both = list(text.cells([last, first]))
        if len(both[0]) == len(both[1]) and is_header(both):
            return replace(text, filled=[last, *text.filled])
    return text


def _decoded(content: Content, path: Path) -> str:
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if encoding is None and b"\0" in content[:100]:  # UTF-16 of plain letters, without its mark
        halves = content[0:100:2], content[1:100:2]
        if set(halves[1]) == {0} or set(halves[0]) == {0}:
            encoding = "utf-16-le" if set(halves[1]) == {0} else "utf-16-be"
        else:
            raise DataError(
                f"{path} is no table", cause="it has zero bytes, and text has none", fix=_LINE_FIX
            )
    # `as_labels` and the check of pixels refuse bytes that are no UTF-8.
    text = content.decode(encoding or "utf-8", errors="surrogateescape")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _separator(line: str) -> str:
    """The separator of the cells of a line.

    Beside semicolons and tabs, commas may be in numbers (0,5) and in names.
    """
    counts = {mark: line.count(mark) for mark in (",", ";", "\t")}
    for mark in ("\t", ";"):
        if counts[mark] and 2 * counts[mark] >= counts[","]:
            return mark
    return "," if counts[","] or len(line.split()) < 2 else " "


def _plain(lines: list[str], filled: list[int], separator: str, path: Path) -> list[str]:
    """The lines without blanks before quotes, and without a last separator if all have one.

    Raises:
        DataError: a quoted cell goes on in the next line.
    """
    if any('"' in lines[k] for k in filled):
        for k in filled:
            if lines[k].count('"') % 2:
                raise DataError(
                    f"{path}, line {k + 1}: a quoted cell goes on in the next line",
                    fix="write each row on one line",
                )
        lines = [line.replace(f'{separator} "', f'{separator}"') for line in lines]
    if separator != " " and all(
        lines[k].rstrip(" ").endswith(separator) or lines[k].startswith("#") for k in filled
    ):
        lines = [line.rstrip(" ").removesuffix(separator) for line in lines]
    return lines


def _with_points(text: _Lines) -> _Lines:
    """The same table with decimal points in place of decimal commas."""
    if text.separator not in (";", "\t"):
        return text
    cell = re.compile(
        rf'((?:^|{text.separator})"?\d*),(\d+(?:[eE][-+]?\d+)?)(?="?(?:{text.separator}|$))'
    )
    if not any(cell.search(text.lines[k]) for k in text.filled[:_SAMPLE]):
        return text
    return replace(text, lines=[cell.sub(r"\1.\2", line) for line in text.lines])


def _parse(text: _Lines, body: list[int], columns: Columns) -> dict[int, NDArray[Any]] | None:
    """Column by its place -> its cells: text, or for the first of some pixels all of them (N, P).

    None if a row has another number of columns, or a pixel is no number.
    """
    pixels, texts = set(columns.pixels), {columns.label, columns.ids, columns.file}
    rows = [text.lines[k] for k in body]
    for number in (np.uint8, np.float64):
        fields: list[Any] = []
        for place in range(len(columns.names)):
            is_pixel = place in pixels
            if is_pixel and place - 1 in pixels:
                first, kind, count = fields[-1]
                fields[-1] = (first, kind, (count[0] + 1,))
            elif is_pixel:
                fields.append((f"{place}", number, (1,)))
            else:
                fields.append((f"{place}", f"U{_WIDEST if place in texts else 1}"))
        try:
            table = np.loadtxt(
                rows,
                np.dtype(fields),
                comments=None,
                delimiter=None if text.separator == " " else text.separator,
                quotechar='"',
                ndmin=1,
            )
        except ValueError:
            continue
        return {int(name): table[name] for name in table.dtype.names or ()}
    return None


def _text(cells: NDArray[Any], text: _Lines, body: list[int], place: int) -> list[str]:
    """The cells of a column of text, none of them cut off."""
    if np.char.str_len(cells).max() < _WIDEST:
        return [str(cell) for cell in cells]
    return [row[place] for row in text.cells(body)]


def _merged(found: dict[int, NDArray[Any]], pixels: Sequence[int]) -> NDArray[Any]:
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


def _explain(text: _Lines, body: list[int], columns: Columns) -> NoReturn:
    """Raise the DataError of the first wrong line, which a loop in Python finds."""
    width = len(columns.names)
    for line in body:
        fields = text.of(line)
        if len(fields) != width:
            raise DataError(
                f"{text.path}, line {line + 1}: {len(fields)} columns, where line"
                f" {text.filled[0] + 1} has {width}",
                fix="get the file again if it was cut short; every line must be as long",
            )
        for number, place in enumerate(columns.pixels):
            if not is_number(fields[place]):
                _refuse_pixel(text, line, number, columns)
    raise DataError(
        f"{text.path} is not a table of images",
        cause="NumPy cannot read it as numbers",
        fix=_LINE_FIX,
    )


def _refuse_pixel(text: _Lines, line: int, number: int, columns: Columns) -> NoReturn:
    place = columns.pixels[number]
    cell = text.of(line)[place].strip()
    column = f" (column `{columns.names[place]}`)" if columns.header else ""
    raise DataError(
        f"{text.path}, line {line + 1}: the pixel {number}{column} is {cell[:20]!r}, which is no"
        " whole number from 0 to 255",
        fix="pixels are 0 to 255, or all of them 0 to 1; correct or remove the line",
    )
