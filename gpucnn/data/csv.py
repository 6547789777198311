"""Tables: CSV and TSV files with a row for each image, as spreadsheets, pandas, R and Kaggle write.

A row has the pixels of an image, or the name of a picture file, and perhaps its label;
`gpucnn.data.columns` finds the meaning of the columns. Cells are separated by commas, semicolons,
tabs or spaces, and may be quoted; numbers may be written 9, 9.0 or 9.000e+00.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.cells import parse
from gpucnn.data.columns import Columns, Known, refuse_doubtful, understand
from gpucnn.data.found import ROLE_OF
from gpucnn.data.header import Row, is_id, is_number
from gpucnn.data.labels import Labels, different
from gpucnn.data.lines import LINE_FIX, Lines, read_lines
from gpucnn.data.one_hot_columns import class_names
from gpucnn.errors import DataError
from gpucnn.quoting import quoted

SUFFIXES = (".csv", ".tsv")
_NAME = re.compile(
    rf"(?P<set>(.*[-_. ])?)(?P<role>{'|'.join(ROLE_OF)})\.(csv|tsv)(\.gz)?", re.IGNORECASE
)
_LIST = 16  # numbers in one cell: fewer may be a label


@dataclass(frozen=True, eq=False)
class Table:
    """The contents of a table.

    Args:
        columns: the meaning of the columns.
        pixels: numbers (N, P), uint8 if they are written as such, else float32; or None.
        files: the name of each row's picture; or None.
        labels: as `gpucnn.data.labels.as_labels` returns them; or None.
        ids: the identifiers of the rows, as they are written; or None.
        classes: their names in the order of their columns, if the labels are one-hot; or None.
        no_ids: the name of a column that was to have the identifiers, but does not; or None.
    """

    columns: Columns
    pixels: NDArray[Any] | None
    files: list[str] | None
    labels: Labels | None
    ids: list[str] | None
    classes: list[str] | None = None
    no_ids: str | None = None


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
    text = read_lines(path)
    sample = text.sample()
    _refuse_lists(sample, str(path))
    columns = understand(sample, str(path), known)
    del sample  # which takes more memory than its part of the file
    body = range(int(columns.header), len(text))
    if not body:
        raise DataError(f"{path} has no images", cause="it is only a header", fix=LINE_FIX)
    found = parse(text, body, columns, known.labeled)
    if found is None:
        _explain(text, body, columns)
    pixels = None
    if columns.pixels:
        if (wrong := found.scale.wrong()) is not None:
            _refuse_pixel(text, body[wrong[0]], wrong[1], columns)
        pixels = found.pixels.array((len(body), len(columns.pixels)), found.kept)
    labels, classes = None, None
    if columns.one_hot and known.labeled:
        classes = class_names([columns.names[place] for place in columns.one_hot])
        labels = np.array(classes, object)[np.concatenate(found.one_hot)]
    if columns.label is not None and known.labeled:
        if columns.guessed and pixels is not None:
            # Labels are whole: of more than 256 numbers up to 255, one is not.
            last = [f"{number:g}" for number in sorted(different(pixels[:, -1]))[:257]]
            refuse_doubtful(list(found.labels.words), last, len(body), str(path))
        labels = found.labels.labels()
    files, ids = (None if k is None else found.texts[k] for k in (columns.file, columns.ids))
    no_ids = None
    if ids is not None and columns.header:
        name = columns.names[columns.ids or 0]
        if not is_id(name) and len(set(ids)) < max(2, len(ids)):
            columns, ids, no_ids = replace(columns, ids=None), None, name
    return Table(columns, pixels, files, labels, ids, classes, no_ids)


def find_tables(directory: Path) -> dict[str, dict[str, Path]]:
    """The tables to train on in a directory, and those beside them: data set -> role -> file.

    ``train.csv`` goes with ``val.csv`` and ``test.csv``, ``sign_train.csv`` with ``sign_test.csv``.
    The words are those of `ROLE_OF`.

    Raises:
        DataError: two words name the same part, as ``val.csv`` and ``dev.csv``.
    """
    sets: dict[str, dict[str, dict[str, Path]]] = {}
    for file in sorted(directory.iterdir()):
        if (found := _NAME.fullmatch(file.name)) and file.is_file():
            word = found["role"].lower()
            roles = sets.setdefault(found["set"], {})
            roles.setdefault(ROLE_OF[word], {}).setdefault(word, file)
    tables: dict[str, dict[str, Path]] = {}
    for name, roles in sets.items():
        if "train" not in roles:
            continue
        for role, several in roles.items():
            if len(several) > 1:
                names = ", ".join(file.name for file in several.values())
                raise DataError(
                    f"{directory} has several tables that may be its {role} part: {names}",
                    fix="rename all but one of them, or take them out",
                )
        tables[name] = {role: next(iter(several.values())) for role, several in roles.items()}
    return tables


def _refuse_lists(rows: Sequence[Row], where: str) -> None:
    """Raise a DataError for rows with all pixels in one cell, as FER2013 has them."""
    first, last = rows[0], rows[-1]
    for place, cell in enumerate(last):
        if count := _numbers_in(cell):
            header = len(first) > place and not _numbers_in(first[place])
            column = first[place].strip() if header else place
            read = "pandas.read_csv(FILE)" if header else "pandas.read_csv(FILE, header=None)"
            raise DataError(
                f"{where}: the column {quoted(column if header else place + 1)} has"
                f" {count:,} numbers in one cell: {quoted(cell, 20)}",
                cause="each pixel needs a column of its own, or the images are an array",
                fix=f"save them as an array: t = {read};"
                rf' x = t[{column!r}].str.findall(r"[\d.]+").tolist();'
                ' numpy.savez("new.npz", x=numpy.array(x, float), y=t[LABEL].tolist())',
            )


def _numbers_in(cell: str) -> int:
    """How many numbers a cell lists; 0 for any other cell, also for one with a few of them."""
    if len(cell) < _LIST:  # fast, for most cells
        return 0
    numbers = re.split(r"[\s,;]+", cell.strip(" []()"))
    return len(numbers) if len(numbers) >= _LIST and all(map(is_number, numbers)) else 0


def _explain(text: Lines, body: range, columns: Columns) -> NoReturn:
    """Raise the DataError of the first wrong line, which a loop in Python finds."""
    width = len(columns.names)
    for row in body:
        fields = text.of(row)
        if len(fields) != width:
            raise DataError(
                f"{text.path}, line {text.number(row)}: {len(fields)} columns, where line"
                f" {text.number(0)} has {width}",
                cause="a comma in a number or a name separates cells, unless it is in quotes"
                if len(fields) > width and text.separator == ","
                else None,
                fix="get the file again if it was cut short; every line must be as long",
            )
        for number, place in enumerate(columns.pixels):
            if not is_number(fields[place]):
                _refuse_pixel(text, row, number, columns)
    raise DataError(
        f"{text.path} is not a table of images",
        cause="NumPy cannot read it as numbers",
        fix=LINE_FIX,
    )


def _refuse_pixel(text: Lines, row: int, number: int, columns: Columns) -> NoReturn:
    place = columns.pixels[number]
    cell = text.of(row)[place].strip()
    comma = re.fullmatch(r"\d*,\d+", cell)
    column = f" (column `{quoted(columns.names[place])}`)" if columns.header else ""
    raise DataError(
        f"{text.path}, line {text.number(row)}: the pixel {number}{column} is {cell[:20]!r},"
        " which is no whole number from 0 to 255",
        cause="it has a comma, and numbers have a decimal point" if comma else None,
        fix="pixels are 0 to 255, or all of them 0 to 1; correct or remove the line",
    )
